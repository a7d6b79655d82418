/* meeting_event.h: the meeting events of the wire contract (section 3), and what the database tells the gateways
 * about meetings. */
#ifndef RT_MEETING_EVENT_H
#define RT_MEETING_EVENT_H

#include <jansson.h>
#include <stdbool.h>

struct rt_bus;
struct rt_client;
struct rt_commands;
struct rt_db;
struct rt_client_events;
struct rt_meeting_events;
struct rt_meetings;
struct rt_self;
struct rt_sockets;
struct rt_typings;

/* What it uses; all is lent, and must live as long. */
struct rt_meeting_events_uses
{
	struct rt_db *db;
	const struct rt_bus *bus;
	const struct rt_self *self;
	struct rt_sockets *sockets;
	struct rt_meetings *meetings;
	struct rt_typings *typings;
	struct rt_client_events *events; /* it adds its own */
	struct rt_commands *commands;    /* likewise */
};

struct rt_meeting_events *rt_meeting_events_new(const struct rt_meeting_events_uses *uses);
void rt_meeting_events_free(struct rt_meeting_events *me); /* NULL is fine */

/* The client was accepted as recovered, with places in these meetings: it takes them back, as by join-meeting. */
void rt_meeting_events_resume(struct rt_meeting_events *me, struct rt_client *c, const json_t *meetings);

/* The client goes.  dropped: its places are kept for a while; else another socket has them now. */
void rt_meeting_events_gone(struct rt_meeting_events *me, struct rt_client *c, bool dropped);

#endif
