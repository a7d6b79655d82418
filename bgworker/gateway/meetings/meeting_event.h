/* meeting_event.h: the meeting events of the wire contract (section 3), and what the database tells the gateways
 * about meetings. */
#ifndef RT_MEETING_EVENT_H
#define RT_MEETING_EVENT_H

#include <jansson.h>
#include <stdbool.h>

struct rt_app;
struct rt_client;

void rt_meeting_event_init(void); /* adds them to the tables of events and commands */

/* The client was accepted as recovered, with places in these meetings: it takes them back, as by join-meeting. */
void rt_meeting_resume(struct rt_app *app, struct rt_client *c, const json_t *meetings);

/* The client goes.  dropped: its places are kept for a while; else another socket has them now. */
void rt_meeting_gone(struct rt_app *app, struct rt_client *c, bool dropped);

#endif
