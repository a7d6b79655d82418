/* engine.h: owns routers and all that hangs on them; takes packets from the port; does what is due by time. */
#ifndef RT_ENGINE_H
#define RT_ENGINE_H

#include "objects.h"

struct rt_engine_options
{
	const char *addresses; /* comma-separated */
	int port;
	uint64_t idle_timeout_ms;
};

enum rt_result rt_engine_new(struct rt_engine **ep, struct rt_loop *l, const struct rt_engine_options *o,
							 rt_engine_event_cb on_event, void *arg);
void rt_engine_free(struct rt_engine *e);
void rt_engine_set_idle_timeout(struct rt_engine *e, uint64_t ms);
/* Brings now_us up to date before calls that do not come from the port or the tick. */
void rt_engine_touch(struct rt_engine *e);

struct rt_router *rt_engine_router(struct rt_engine *e, const char *id); /* made at need */
void rt_engine_close_router(struct rt_engine *e, const char *id);
void rt_engine_close_all(struct rt_engine *e);

struct rt_transport *rt_engine_transport(struct rt_engine *e, const char *id); /* NULL, as below */
struct rt_producer *rt_engine_producer(struct rt_engine *e, const char *id);
struct rt_consumer *rt_engine_consumer(struct rt_engine *e, const char *id);

#endif
