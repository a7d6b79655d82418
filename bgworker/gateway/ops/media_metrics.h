/* media_metrics.h: the media workers' counters on /metrics.  The workers talk to the database alone, which gives
 * their totals with the reply to each report of the gateway; so every gateway has those of all workers. */
#ifndef RT_MEDIA_METRICS_H
#define RT_MEDIA_METRICS_H

#include <jansson.h>

#include "bgworker/common/text.h"

/* Appends each metric, with a sample a worker.  workers: of rt_report_media(), may be NULL; database: that label. */
void rt_media_metrics_write(const json_t *workers, struct rt_text *out, const char *database);

#endif
