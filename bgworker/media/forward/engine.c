#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/clock.h"
#include "bgworker/common/log.h"
#include "allot.h"
#include "consumer.h"
#include "demux.h"
#include "producer.h"
#include "report.h"
#include "bgworker/media/rtp/rtcp.h"
#include "transport.h"

#define TICK_MS 20
#define TWCC_TICKS 5     /* 100 ms */
#define SPEAKER_TICKS 25 /* half a second */
#define SECOND_TICKS 50
#define RTCP_ROOM 1200
#define MAX_REPORTS 31 /* of one packet: RFC 3550 section 6.4.1 */

void
rt_engine_touch(struct rt_engine *e)
{
	e->now_us = rt_clock_us();
}

/* ---- packets ---- */

static void
on_packet(void *arg, const struct rt_tuple *from, uint8_t *data, size_t len, uint64_t now_us)
{
	struct rt_engine *e = arg;
	enum rt_packet_kind kind = rt_packet_kind(data, len);
	struct rt_transport *t;

	e->now_us = now_us;
	if (kind == RT_PACKET_STUN)
	{
		rt_transport_stun(e, from, data, len);
		return;
	}
	t = kind == RT_PACKET_UNKNOWN ? NULL : rt_transport_find(e, from);
	if (t == NULL)
	{
		e->stray++;
		return;
	}
	if (kind == RT_PACKET_DTLS)
		rt_transport_dtls(t, data, len);
	else if (t->srtp == NULL)
		e->stray++;
	else if (kind == RT_PACKET_RTP)
		rt_demux_rtp(t, data, len);
	else
		rt_demux_rtcp(t, data, len);
}

static void
on_tcp_closed(void *arg, const struct rt_tuple *from)
{
	rt_transport_tcp_closed(arg, from);
}

static bool
is_peer(void *arg, const struct rt_tuple *from)
{
	return rt_transport_find(arg, from) != NULL;
}

/* ---- what is due by time ---- */

static void
send_twcc(struct rt_transport *t)
{
	uint8_t out[RTCP_ROOM];
	size_t n;

	while ((n = rt_twcc_feedback(t->twcc, out, sizeof(out) - RT_SRTP_OVERHEAD, 1)))
		rt_transport_send_rtcp(t, out, n, sizeof(out));
}

/* For a sender without transport-wide feedback: what it sends now and half as much again, less where it loses. */
static size_t
write_remb(struct rt_transport *t, uint8_t *out, size_t cap)
{
	uint32_t ssrcs[RT_MAX_STREAMS];
	uint64_t bps = 0;
	bool lossy = false;
	int n = 0;

	for (struct rt_producer *p = t->producers; p != NULL; p = p->next)
		for (int i = 0; i < p->params.n_encodings && n < RT_MAX_STREAMS; i++)
			if (p->params.kind == RT_KIND_VIDEO && p->params.feedback.remb &&
				!p->params.ext.id[RT_EXT_TRANSPORT_CC] && p->layers[i].recv.ssrc)
			{
				ssrcs[n++] = p->layers[i].recv.ssrc;
				bps += rt_producer_bitrate(p, i);
				lossy |= p->layers[i].recv.fraction_lost > 25;
			}
	if (n == 0)
		return 0;
	bps = lossy ? bps * 85 / 100 : bps * 3 / 2;
	return rt_rtcp_write_remb(out, cap, 1, bps < 300000 ? 300000 : bps, ssrcs, n);
}

/* One compound: receiver reports; the last one has our time too, which the sender answers with the round trip, and
 * REMB. */
static void
send_reports(struct rt_transport *t, const struct rt_rtcp_report *reports, int count, bool last)
{
	uint8_t out[RTCP_ROOM];
	size_t n, cap = sizeof(out) - RT_SRTP_OVERHEAD;

	n = rt_rtcp_write_rr(out, cap, RT_OUR_SSRC, reports, count);
	if (last)
	{
		n += rt_rtcp_write_rrtr(out + n, cap - n, RT_OUR_SSRC, rt_rtcp_ntp_now());
		n += write_remb(t, out + n, cap - n);
	}
	rt_transport_send_rtcp(t, out, n, sizeof(out));
}

/* On all that comes, in as many compounds as it takes. */
static void
send_receiver_reports(struct rt_transport *t)
{
	struct rt_rtcp_report reports[MAX_REPORTS];
	int count = 0;

	for (struct rt_producer *p = t->producers; p != NULL; p = p->next)
		for (int i = 0; i < p->params.n_encodings; i++)
		{
			struct rt_recv *r = &p->layers[i].recv;

			if (!r->started)
				continue;
			if (count == MAX_REPORTS)
			{
				send_reports(t, reports, count, false);
				count = 0;
			}
			rt_recv_report(r, t->engine->now_us, &reports[count++]);
			p->score = (uint8_t) (10 - r->fraction_lost * 10 / 256);
		}
	if (count)
		send_reports(t, reports, count, true);
}

static void
send_sender_reports(struct rt_transport *t)
{
	uint8_t out[RTCP_ROOM];
	size_t n = 0, cap = sizeof(out) - RT_SRTP_OVERHEAD;

	for (struct rt_consumer *c = t->consumers; c != NULL; c = c->next)
	{
		if (cap - n < 320) /* a report and the longest name */
		{
			rt_transport_send_rtcp(t, out, n, sizeof(out));
			n = 0;
		}
		n += rt_consumer_sender_report(c, out + n, cap - n);
	}
	rt_transport_send_rtcp(t, out, n, sizeof(out));
}

static void
tell_scores(struct rt_transport *t)
{
	for (struct rt_consumer *c = t->consumers; c != NULL; c = c->next)
		if (c->score != c->told_score)
			rt_report_score(c);
}

static void
tick_transport(struct rt_transport *t, uint64_t tick)
{
	bool second = tick % SECOND_TICKS == 0;

	if (second && rt_transport_expire(t))
		return;
	if (!rt_transport_ready(t))
		return;
	for (struct rt_producer *p = t->producers; p != NULL; p = p->next)
		rt_producer_tick(p);
	rt_allot_layers(t);
	if (t->twcc != NULL && tick % TWCC_TICKS == 0)
		send_twcc(t);
	if (second)
	{
		send_receiver_reports(t);
		tell_scores(t);
	}
	if (tick % (SECOND_TICKS / 5) == 0)
		send_sender_reports(t);
}

static void
tick_router(struct rt_router *r, uint64_t tick)
{
	const char *producer_id;
	int volume;

	if (tick % SPEAKER_TICKS == 0 && rt_speaker_turn(r->speaker, &producer_id, &volume))
		rt_report_active_speaker(r, producer_id, volume);
	for (struct rt_transport *t = r->transports, *next; t != NULL; t = next)
	{
		next = t->next;
		tick_transport(t, tick);
	}
}

static void
on_tick(void *arg)
{
	struct rt_engine *e = arg;
	struct rt_router *r;
	size_t pos = 0;

	rt_engine_touch(e);
	e->ticks++;
	while ((r = rt_map_next(e->routers, &pos)) != NULL)
		tick_router(r, e->ticks);
	rt_port_flush(e->port);
	rt_timer_start(e->tick, TICK_MS);
}

/* ---- life ---- */

enum rt_result
rt_engine_new(struct rt_engine **ep, struct rt_loop *l, const struct rt_engine_options *o,
			  rt_engine_event_cb on_event, void *arg)
{
	struct rt_engine *e = rt_alloc(sizeof(*e));
	struct rt_port_handler handler = {on_packet, on_tcp_closed, is_peer, e};

	e->loop = l;
	e->on_event = on_event;
	e->arg = arg;
	e->idle_timeout_us = o->idle_timeout_ms * 1000;
	e->routers = rt_map_new();
	e->transports = rt_map_new();
	e->producers = rt_map_new();
	e->consumers = rt_map_new();
	e->ufrags = rt_map_new();
	e->tuples = rt_map_new();
	e->ice = rt_ice_new(rt_transport_password, e);
	e->tick = rt_timer_new(l, on_tick, e);
	e->dtls = rt_srtp_startup() == RT_OK ? rt_dtls_context_new() : NULL;
	rt_engine_touch(e);
	if (e->dtls == NULL || rt_port_new(&e->port, l, o->addresses, o->port, &handler) != RT_OK)
	{
		rt_engine_free(e);
		return RT_INTERNAL;
	}
	rt_timer_start(e->tick, TICK_MS);
	*ep = e;
	return RT_OK;
}

/* After the transports, whose own end is deferred too: they hold on to the context and the maps. */
static void
free_engine(void *arg)
{
	struct rt_engine *e = arg;

	rt_port_free(e->port);
	rt_dtls_context_free(e->dtls);
	rt_ice_free(e->ice);
	rt_map_free(e->routers);
	rt_map_free(e->transports);
	rt_map_free(e->producers);
	rt_map_free(e->consumers);
	rt_map_free(e->ufrags);
	rt_map_free(e->tuples);
	free(e);
}

void
rt_engine_free(struct rt_engine *e)
{
	if (e == NULL)
		return;
	rt_engine_close_all(e);
	rt_timer_free(e->tick);
	rt_loop_defer(e->loop, free_engine, e);
}

void
rt_engine_set_idle_timeout(struct rt_engine *e, uint64_t ms)
{
	e->idle_timeout_us = ms * 1000;
}

struct rt_router *
rt_engine_router(struct rt_engine *e, const char *id)
{
	struct rt_router *r = rt_map_find_str(e->routers, id);

	if (r != NULL)
		return r;
	r = rt_alloc(sizeof(*r));
	strncpy(r->id, id, RT_OBJECT_ID - 1);
	r->engine = e;
	r->speaker = rt_speaker_new();
	rt_map_put_str(e->routers, r->id, r);
	return r;
}

static void
free_router(void *arg)
{
	struct rt_router *r = arg;

	rt_speaker_free(r->speaker);
	free(r);
}

void
rt_engine_close_router(struct rt_engine *e, const char *id)
{
	struct rt_router *r = rt_map_take_str(e->routers, id);

	if (r == NULL)
		return;
	while (r->transports != NULL)
		rt_transport_close(r->transports);
	rt_loop_defer(e->loop, free_router, r);
}

void
rt_engine_close_all(struct rt_engine *e)
{
	struct rt_router *r;
	size_t pos = 0;

	while ((r = rt_map_next(e->routers, &pos)) != NULL)
	{
		char id[RT_OBJECT_ID];

		memcpy(id, r->id, sizeof(id));
		rt_engine_close_router(e, id);
		pos = 0; /* the map has changed */
	}
}

struct rt_transport *
rt_engine_transport(struct rt_engine *e, const char *id)
{
	return rt_map_find_str(e->transports, id);
}

struct rt_producer *
rt_engine_producer(struct rt_engine *e, const char *id)
{
	return rt_map_find_str(e->producers, id);
}

struct rt_consumer *
rt_engine_consumer(struct rt_engine *e, const char *id)
{
	return rt_map_find_str(e->consumers, id);
}
