/* endpoint.c: see endpoint.h.  It puts the parts together, and does what is due by time: reports, feedback,
 * allotment, the end of what is silent.  What a packet is, demux.c knows; the way to the peer is
 * webrtc_transport.c's.
 *
 *   endpoint ── webrtc_transport
 *            ├─ ssrc_table, demux
 *            ├─ producers                (the peer sends)
 *            └─ egress, allot, consumers (the peer receives)
 *
 * Parts are freed after what uses them: producers and consumers unlink themselves when they close, within the call;
 * the bodies of all go at the end of the turn. */
#include "endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>

#include "bgworker/common/alloc.h"
#include "allot.h"
#include "budget.h"
#include "demux.h"
#include "media_event.h"

#define FEEDBACK_TICKS 5 /* 100 ms */
#define SECOND_TICKS 50
#define RTCP_ROOM 1200
#define SENDER_REPORT 320 /* bytes: with the longest CNAME */
#define MAX_REPORTS 31    /* of one packet: RFC 3550 section 6.4.1 */
#define LOSSY 25          /* of 256 */
#define MIN_REMB_BPS 300000
/* RTP packets that one peer may send in a second: three cameras and screens in layers have 3,000.  A call that was
 * held up over TCP comes in one burst. */
#define MAX_RTP 5000

struct rt_endpoint
{
	char id[RT_OBJECT_ID];
	struct rt_endpoint_home home;
	struct rt_endpoint *next; /* of the meeting */
	bool sends, closing;
	struct rt_fanout_user *user;
	struct rt_webrtc_transport *transport;
	struct rt_ssrc_table *ssrcs;
	struct rt_demux *demux;
	struct rt_egress *egress; /* NULL: the peer sends */
	struct rt_allot *allot;   /* likewise */
	struct rt_producer *producers;
	struct rt_consumer *consumers;
	char cname[RT_PARAMS_MAX_CNAME + 1];
	uint32_t next_mid, next_ssrc; /* of a consumer */
	struct rt_budget rtcp;        /* of what the peer reports and asks for */
	unsigned rtp;                 /* packets in this second */
};

/* ---- life ---- */

static void
on_connected(void *arg)
{
	struct rt_endpoint *e = arg;

	rt_media_event_transport_state(e->home.hub, e->id, rt_webrtc_transport_ice_state(e->transport),
								   rt_webrtc_transport_dtls_state(e->transport));
	for (struct rt_consumer *c = e->consumers; c != NULL; c = rt_consumer_next(c))
		rt_consumer_begin(c);
}

static void
on_ended(void *arg, const char *reason)
{
	rt_endpoint_end(arg, reason);
}

static uint32_t
first_ssrc(void)
{
	uint32_t r = 0;

	RAND_bytes((unsigned char *) &r, sizeof(r));
	return 100000000 + r % 900000000;
}

static void
add_demux(struct rt_endpoint *e)
{
	struct rt_demux_parts parts = {e->home.hub, e->transport, e->ssrcs, e->egress, &e->producers, &e->consumers};

	e->demux = rt_demux_new(&parts);
}

struct rt_endpoint *
rt_endpoint_new(const struct rt_endpoint_home *home, const char *id, const char *user, bool sends)
{
	struct rt_endpoint *e = rt_alloc(sizeof(*e));
	struct rt_webrtc_transport_handler handler = {on_connected, on_ended, e};

	strncpy(e->id, id, RT_OBJECT_ID - 1);
	e->home = *home;
	e->sends = sends;
	e->user = rt_fanout_join(home->fanout, user);
	e->transport = rt_webrtc_transport_new(home->table, &handler);
	e->ssrcs = rt_ssrc_table_new();
	e->egress = sends ? NULL : rt_egress_new(home->hub, e->transport);
	e->allot = sends ? NULL : rt_allot_new(e->egress);
	add_demux(e);
	e->next_ssrc = first_ssrc();
	e->next = *home->list;
	*home->list = e;
	rt_hub_put(home->hub, RT_HUB_ENDPOINTS, e->id, e);
	return e;
}

static void
free_endpoint(void *arg)
{
	struct rt_endpoint *e = arg;

	rt_demux_free(e->demux);
	rt_allot_free(e->allot);
	rt_egress_free(e->egress);
	rt_ssrc_table_free(e->ssrcs);
	free(e);
}

void
rt_endpoint_close(struct rt_endpoint *e)
{
	struct rt_endpoint **at = e->home.list;

	if (e->closing)
		return;
	e->closing = true;
	while (e->producers != NULL)
		rt_producer_close(e->producers);
	while (e->consumers != NULL)
		rt_consumer_close(e->consumers);
	rt_webrtc_transport_close(e->transport);
	rt_hub_take(e->home.hub, RT_HUB_ENDPOINTS, e->id);
	rt_fanout_leave(e->home.fanout, e->user);
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	rt_loop_defer(rt_hub_loop(e->home.hub), free_endpoint, e);
}

void
rt_endpoint_end(struct rt_endpoint *e, const char *reason)
{
	if (e->closing)
		return;
	rt_media_event_transport_closed(e->home.hub, e->id, reason);
	rt_endpoint_close(e);
}

const char *
rt_endpoint_id(const struct rt_endpoint *e)
{
	return e->id;
}

bool
rt_endpoint_sends(const struct rt_endpoint *e)
{
	return e->sends;
}

struct rt_endpoint *
rt_endpoint_next(const struct rt_endpoint *e)
{
	return e->next;
}

struct rt_webrtc_transport *
rt_endpoint_transport(const struct rt_endpoint *e)
{
	return e->transport;
}

struct rt_egress *
rt_endpoint_egress(const struct rt_endpoint *e)
{
	return e->egress;
}

struct rt_producer *
rt_endpoint_producers(const struct rt_endpoint *e)
{
	return e->producers;
}

struct rt_consumer *
rt_endpoint_consumers(const struct rt_endpoint *e)
{
	return e->consumers;
}

const char *
rt_endpoint_cname(const struct rt_endpoint *e)
{
	return e->cname[0] ? e->cname : NULL;
}

/* ---- producers and consumers ---- */

enum rt_result
rt_endpoint_produce(struct rt_producer **pp, struct rt_endpoint *e, const char *id, struct rt_producer_params *params)
{
	struct rt_producer_home home = {e->home.hub, e->transport, e->ssrcs, e->home.speaker, e->user, &e->producers};
	enum rt_result rc;
	int n = 0;

	for (struct rt_producer *p = e->producers; p != NULL; p = rt_producer_next(p))
		n++;
	if (n == RT_ENDPOINT_MAX_PRODUCERS)
		return RT_LIMIT;
	rc = rt_producer_new(pp, &home, id, params);
	if (rc == RT_OK && !e->cname[0])
		memcpy(e->cname, rt_producer_parameters(*pp)->cname, sizeof(e->cname));
	return rc;
}

void
rt_endpoint_announced(struct rt_endpoint *e)
{
	rt_demux_announced(e->demux);
}

void
rt_endpoint_name_next(const struct rt_endpoint *e, char mid[RT_ENDPOINT_MID], uint32_t *ssrc)
{
	snprintf(mid, RT_ENDPOINT_MID, "%u", e->next_mid);
	*ssrc = e->next_ssrc;
}

enum rt_result
rt_endpoint_consume(struct rt_consumer **cp, struct rt_endpoint *e, struct rt_producer *p, const char *id,
					struct rt_consumer_params *params)
{
	int n = 0;

	if (!rt_producer_is_heard_by(p, e->home.speaker))
		return RT_BAD_INPUT;
	for (struct rt_consumer *c = e->consumers; c != NULL; c = rt_consumer_next(c))
		n++;
	if (n == RT_ENDPOINT_MAX_CONSUMERS)
		return RT_LIMIT;
	*cp = rt_consumer_new(e->egress, &e->consumers, p, id, params);
	e->next_mid++;
	e->next_ssrc += 2;
	return RT_OK;
}

void
rt_endpoint_rtp(struct rt_endpoint *e, uint8_t *data, size_t len)
{
	if (++e->rtp > MAX_RTP)
		rt_hub_count(e->home.hub, RT_HUB_BAD_RTP, 1);
	else
		rt_demux_rtp(e->demux, data, len);
}

void
rt_endpoint_rtcp(struct rt_endpoint *e, uint8_t *data, size_t len)
{
	uint64_t began_ns;

	if (!rt_budget_allows(&e->rtcp, rt_hub_now_us(e->home.hub)))
	{
		rt_hub_count(e->home.hub, RT_HUB_BAD_RTCP, 1);
		return;
	}
	began_ns = rt_budget_clock_ns();
	rt_demux_rtcp(e->demux, data, len);
	rt_budget_spend(&e->rtcp, rt_budget_clock_ns() - began_ns);
}

/* ---- each tick ---- */

/* For a sender without transport-wide feedback: what it sends now and half as much again, less where it loses. */
static size_t
write_remb(struct rt_endpoint *e, uint8_t *out, size_t cap)
{
	uint32_t ssrcs[RT_SSRC_TABLE_SIZE];
	uint64_t bps = 0;
	bool lossy = false;
	int n = 0;

	for (struct rt_producer *p = e->producers; p != NULL; p = rt_producer_next(p))
	{
		const struct rt_producer_params *q = rt_producer_parameters(p);

		if (q->kind != RT_KIND_VIDEO || !q->feedback.remb || q->ext.id[RT_EXT_TRANSPORT_CC])
			continue;
		for (int i = 0; i < q->n_encodings && n < RT_SSRC_TABLE_SIZE; i++)
		{
			struct rt_producer_layer_stats s;

			rt_producer_read_stats(p, i, &s);
			if (!s.ssrc)
				continue;
			ssrcs[n++] = s.ssrc;
			bps += s.bitrate_bps;
			lossy |= s.fraction_lost > LOSSY;
		}
	}
	if (n == 0)
		return 0;
	bps = lossy ? bps * 85 / 100 : bps * 3 / 2;
	return rt_rtcp_write_remb(out, cap, RT_RTCP_OUR_SSRC, bps < MIN_REMB_BPS ? MIN_REMB_BPS : bps, ssrcs, n);
}

/* One compound: receiver reports; the last one has our time too, which the sender answers with the round trip, and
 * REMB. */
static void
send_reports(struct rt_endpoint *e, const struct rt_rtcp_report *reports, int count, bool last)
{
	uint8_t out[RTCP_ROOM];
	size_t n, cap = sizeof(out) - RT_SRTP_OVERHEAD;

	n = rt_rtcp_write_rr(out, cap, RT_RTCP_OUR_SSRC, reports, count);
	if (last)
	{
		n += rt_rtcp_write_rrtr(out + n, cap - n, RT_RTCP_OUR_SSRC, rt_rtcp_ntp_now());
		n += write_remb(e, out + n, cap - n);
	}
	rt_webrtc_transport_send_rtcp(e->transport, out, n, sizeof(out));
}

/* On all that comes, in as many compounds as it takes. */
static void
send_receiver_reports(struct rt_endpoint *e)
{
	struct rt_rtcp_report reports[MAX_REPORTS];
	int count = 0;

	for (struct rt_producer *p = e->producers; p != NULL; p = rt_producer_next(p))
		for (int i = 0; i < rt_producer_parameters(p)->n_encodings; i++)
		{
			if (count == MAX_REPORTS)
			{
				send_reports(e, reports, count, false);
				count = 0;
			}
			count += rt_producer_report(p, i, &reports[count]);
		}
	if (count)
		send_reports(e, reports, count, true);
}

static void
send_sender_reports(struct rt_endpoint *e)
{
	uint8_t out[RTCP_ROOM];
	size_t n = 0, cap = sizeof(out) - RT_SRTP_OVERHEAD;

	for (struct rt_consumer *c = e->consumers; c != NULL; c = rt_consumer_next(c))
	{
		if (cap - n < SENDER_REPORT)
		{
			rt_webrtc_transport_send_rtcp(e->transport, out, n, sizeof(out));
			n = 0;
		}
		n += rt_consumer_sender_report(c, out + n, cap - n);
	}
	rt_webrtc_transport_send_rtcp(e->transport, out, n, sizeof(out));
}

static void
tick_second(struct rt_endpoint *e)
{
	send_receiver_reports(e);
	for (struct rt_consumer *c = e->consumers; c != NULL; c = rt_consumer_next(c))
		rt_consumer_tell_score(c);
}

void
rt_endpoint_tick(struct rt_endpoint *e, uint64_t tick)
{
	bool second = tick % SECOND_TICKS == 0;
	const char *overdue = second ? rt_webrtc_transport_overdue(e->transport) : NULL;

	if (overdue != NULL)
	{
		rt_endpoint_end(e, overdue);
		return;
	}
	if (second)
		e->rtp = 0;
	if (!rt_webrtc_transport_ready(e->transport))
		return;
	for (struct rt_producer *p = e->producers; p != NULL; p = rt_producer_next(p))
		rt_producer_tick(p);
	if (e->allot != NULL)
	{
		rt_allot_layers(e->allot, e->consumers);
		rt_egress_tick(e->egress);
	}
	if (tick % FEEDBACK_TICKS == 0)
		rt_demux_send_feedback(e->demux);
	if (second)
	{
		rt_demux_forget_stale(e->demux);
		tick_second(e);
	}
	if (tick % (SECOND_TICKS / 5) == 0)
		send_sender_reports(e);
}
