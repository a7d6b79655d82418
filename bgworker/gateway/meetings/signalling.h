/* signalling.h: media signalling: a client's request, and the media worker's answer to it.
 *
 * The database checks a request and hands it to the worker; the answer comes over the bus, and may be there before
 * the database has said that the request is on its way.  Whoever gets none within five seconds is told so. */
#ifndef RT_SIGNALLING_H
#define RT_SIGNALLING_H

#include <stddef.h>

struct rt_clients;
struct rt_commands;
struct rt_db;
struct rt_client_events;
struct rt_loop;
struct rt_signalling;

/* What it uses; all is lent, and must live as long. */
struct rt_signalling_uses
{
	struct rt_loop *loop;
	struct rt_db *db;
	const struct rt_clients *clients;
	struct rt_client_events *events; /* it adds its own */
	struct rt_commands *commands;    /* likewise */
};

struct rt_signalling *rt_signalling_new(const struct rt_signalling_uses *uses);
void rt_signalling_free(struct rt_signalling *sg); /* NULL is fine; the database's callbacks must have ended */
size_t rt_signalling_waiting(const struct rt_signalling *sg);

#endif
