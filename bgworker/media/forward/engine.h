/* engine.h: one worker's forwarder: the meetings, whose endpoints it owns, the packets from the port, and the tick.
 */
#ifndef RT_ENGINE_H
#define RT_ENGINE_H

#include "endpoint.h"

struct rt_engine;

struct rt_engine_options
{
	const char *addresses; /* comma-separated, as rt.listen_addresses */
	int port;
	uint64_t idle_timeout_ms;
};

/* RT_INTERNAL, and logged: no certificate, or no socket. */
enum rt_result rt_engine_new(struct rt_engine **ep, struct rt_loop *l, const struct rt_engine_options *o,
							 rt_hub_event_cb on_event, void *arg);
void rt_engine_free(struct rt_engine *e); /* at the end of the turn; NULL is fine */
void rt_engine_set_idle_timeout(struct rt_engine *e, uint64_t ms);
/* Brings the clock up to date before calls that do not come from the port or the tick. */
void rt_engine_touch(struct rt_engine *e);
struct rt_hub *rt_engine_hub(const struct rt_engine *e); /* for counters and figures */
/* How busy the worker is: see rt_fanout_turn(). */
void rt_engine_share(struct rt_engine *e, double used);
size_t rt_engine_limited(const struct rt_engine *e); /* users with more than their share */

/* A router is a meeting; it is made at need.  The id of an endpoint is new; user: whose it is. */
struct rt_endpoint *rt_engine_new_endpoint(struct rt_engine *e, const char *router_id, const char *id,
										   const char *user, bool sends);
void rt_engine_close_router(struct rt_engine *e, const char *id);
void rt_engine_close_all(struct rt_engine *e);

struct rt_endpoint *rt_engine_endpoint(const struct rt_engine *e, const char *id); /* NULL, as below */
struct rt_producer *rt_engine_producer(const struct rt_engine *e, const char *id);
struct rt_consumer *rt_engine_consumer(const struct rt_engine *e, const char *id);
struct rt_endpoint *rt_engine_next_endpoint(const struct rt_engine *e, size_t *pos); /* from 0 on; NULL at the end */

#endif
