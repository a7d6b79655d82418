/* report.h: what the engine tells, unasked: events for rt_api.media_event, and closing with a reason. */
#ifndef RT_REPORT_H
#define RT_REPORT_H

#include "objects.h"

void rt_report_transport_state(struct rt_transport *t);
/* Tells, and closes it. */
void rt_report_transport_closed(struct rt_transport *t, const char *reason);
void rt_report_active_speaker(struct rt_router *r, const char *producer_id, int volume);
void rt_report_layers(struct rt_consumer *c);
void rt_report_score(struct rt_consumer *c);

#endif
