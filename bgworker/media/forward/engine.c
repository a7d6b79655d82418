/* engine.c: see engine.h.  One a program, made and freed by main; control.c and ops.c call it, from the loop's own
 * turn.
 *
 *   engine ── hub, table of transports
 *          └─ routers (one a meeting) ── endpoints (one a peer and direction) ── producers, consumers
 *
 * Closing an object closes what hangs on it.  Nothing is freed within a turn: bodies are deferred, so that whoever is
 * further up on the stack still finds them. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/map.h"
#include "media_event.h"

#define SPEAKER_TICKS 25 /* half a second */

struct router
{
	char id[RT_OBJECT_ID];
	struct rt_endpoint *endpoints;
	struct rt_speaker *speaker;
};

struct rt_engine
{
	struct rt_hub *hub;
	struct rt_fanout *fanout;
	struct rt_webrtc_transport_table *transports;
	struct rt_map *routers; /* by id */
	struct rt_timer *tick;
	uint64_t ticks;
};

void
rt_engine_touch(struct rt_engine *e)
{
	rt_hub_set_now(e->hub, rt_clock_us());
}

struct rt_hub *
rt_engine_hub(const struct rt_engine *e)
{
	return e->hub;
}

void
rt_engine_share(struct rt_engine *e, double used)
{
	rt_engine_touch(e);
	rt_fanout_turn(e->fanout, used, rt_hub_now_us(e->hub));
}

size_t
rt_engine_limited(const struct rt_engine *e)
{
	return rt_fanout_limited(e->fanout);
}

/* ---- packets ---- */

/* RFC 7983: STUN, DTLS and SRTP on one port are told apart by their first byte.  STUN is answered to anybody; the
 * rest comes from validated addresses alone. */
static void
on_packet(void *arg, const struct rt_tuple *from, uint8_t *data, size_t len, uint64_t now_us)
{
	struct rt_engine *e = arg;
	enum rt_rtp_class class = rt_rtp_classify(data, len);
	struct rt_webrtc_transport *t;

	rt_hub_set_now(e->hub, now_us);
	if (class == RT_PACKET_STUN)
	{
		rt_webrtc_transport_stun(e->transports, from, data, len);
		return;
	}
	t = class == RT_PACKET_UNKNOWN ? NULL : rt_webrtc_transport_find(e->transports, from);
	if (t == NULL)
		rt_hub_count(e->hub, RT_HUB_STRAY, 1);
	else if (class == RT_PACKET_DTLS)
		rt_webrtc_transport_dtls(t, data, len);
	else if (class == RT_PACKET_RTP)
		rt_endpoint_rtp(rt_webrtc_transport_owner(t), data, len);
	else
		rt_endpoint_rtcp(rt_webrtc_transport_owner(t), data, len);
}

static void
on_tcp_closed(void *arg, const struct rt_tuple *from)
{
	struct rt_engine *e = arg;

	rt_webrtc_transport_tcp_closed(e->transports, from);
}

static bool
is_peer(void *arg, const struct rt_tuple *from)
{
	struct rt_engine *e = arg;

	return rt_webrtc_transport_find(e->transports, from) != NULL;
}

/* ---- what is due by time ---- */

static void
tick_router(struct rt_engine *e, struct router *r)
{
	const char *producer_id;
	int volume;

	if (e->ticks % SPEAKER_TICKS == 0 && rt_speaker_turn(r->speaker, &producer_id, &volume))
		rt_media_event_active_speaker(e->hub, r->id, producer_id, volume);
	for (struct rt_endpoint *p = r->endpoints, *next; p != NULL; p = next)
	{
		next = rt_endpoint_next(p); /* it may close */
		rt_endpoint_tick(p, e->ticks);
	}
}

static void
on_tick(void *arg)
{
	struct rt_engine *e = arg;
	struct router *r;
	size_t pos = 0;

	rt_activity_begin(RT_ACTIVITY_TICK);
	rt_engine_touch(e);
	e->ticks++;
	while ((r = rt_map_next(e->routers, &pos)) != NULL)
		tick_router(e, r);
	rt_port_flush(rt_hub_port(e->hub));
	rt_timer_start(e->tick, RT_ENDPOINT_TICK_MS);
}

/* ---- life ---- */

enum rt_result
rt_engine_new(struct rt_engine **ep, struct rt_loop *l, const struct rt_engine_options *o, rt_hub_event_cb on_event,
			  void *arg)
{
	struct rt_hub *hub = rt_srtp_startup() == RT_OK ? rt_hub_new(l, on_event, arg) : NULL;
	struct rt_engine *e;
	struct rt_port_handler handler = {on_packet, on_tcp_closed, is_peer, NULL};

	if (hub == NULL)
		return RT_INTERNAL;
	e = rt_alloc(sizeof(*e));
	e->hub = hub;
	e->fanout = rt_fanout_new();
	e->transports = rt_webrtc_transport_table_new(hub);
	e->routers = rt_map_new();
	e->tick = rt_timer_new(l, on_tick, e);
	rt_hub_set_idle_timeout(hub, o->idle_timeout_ms);
	handler.arg = e;
	if (rt_hub_open(hub, o->addresses, o->port, &handler) != RT_OK)
	{
		rt_engine_free(e);
		return RT_INTERNAL;
	}
	rt_timer_start(e->tick, RT_ENDPOINT_TICK_MS);
	*ep = e;
	return RT_OK;
}

/* After the transports, whose own end is deferred too: they hold on to the certificate and the maps. */
static void
free_engine(void *arg)
{
	struct rt_engine *e = arg;

	rt_webrtc_transport_table_free(e->transports);
	rt_hub_free(e->hub);
	rt_fanout_free(e->fanout);
	rt_map_free(e->routers);
	free(e);
}

void
rt_engine_free(struct rt_engine *e)
{
	if (e == NULL)
		return;
	rt_engine_close_all(e);
	rt_timer_free(e->tick);
	rt_loop_defer(rt_hub_loop(e->hub), free_engine, e);
}

void
rt_engine_set_idle_timeout(struct rt_engine *e, uint64_t ms)
{
	rt_hub_set_idle_timeout(e->hub, ms);
}

/* ---- meetings ---- */

static struct router *
need_router(struct rt_engine *e, const char *id)
{
	struct router *r = rt_map_find_str(e->routers, id);

	if (r != NULL)
		return r;
	r = rt_alloc(sizeof(*r));
	strncpy(r->id, id, RT_OBJECT_ID - 1);
	r->speaker = rt_speaker_new();
	rt_map_put_str(e->routers, r->id, r);
	return r;
}

struct rt_endpoint *
rt_engine_new_endpoint(struct rt_engine *e, const char *router_id, const char *id, const char *user, bool sends)
{
	struct router *r = need_router(e, router_id);
	struct rt_endpoint_home home = {e->hub, e->transports, r->speaker, e->fanout, &r->endpoints};

	return rt_endpoint_new(&home, id, user, sends);
}

static void
free_router(void *arg)
{
	struct router *r = arg;

	rt_speaker_free(r->speaker);
	free(r);
}

void
rt_engine_close_router(struct rt_engine *e, const char *id)
{
	struct router *r = rt_map_take_str(e->routers, id);

	if (r == NULL)
		return;
	while (r->endpoints != NULL)
		rt_endpoint_close(r->endpoints);
	rt_loop_defer(rt_hub_loop(e->hub), free_router, r);
}

void
rt_engine_close_all(struct rt_engine *e)
{
	struct router *r;
	size_t pos = 0;

	while ((r = rt_map_next(e->routers, &pos)) != NULL)
	{
		char id[RT_OBJECT_ID];

		memcpy(id, r->id, sizeof(id));
		rt_engine_close_router(e, id);
		pos = 0; /* the map has changed */
	}
}

struct rt_endpoint *
rt_engine_endpoint(const struct rt_engine *e, const char *id)
{
	return rt_hub_find(e->hub, RT_HUB_ENDPOINTS, id);
}

struct rt_producer *
rt_engine_producer(const struct rt_engine *e, const char *id)
{
	return rt_hub_find(e->hub, RT_HUB_PRODUCERS, id);
}

struct rt_consumer *
rt_engine_consumer(const struct rt_engine *e, const char *id)
{
	return rt_hub_find(e->hub, RT_HUB_CONSUMERS, id);
}

struct rt_endpoint *
rt_engine_next_endpoint(const struct rt_engine *e, size_t *pos)
{
	return rt_hub_next(e->hub, RT_HUB_ENDPOINTS, pos);
}
