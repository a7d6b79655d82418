/* egress.c: see egress.h.  Consumers send through it, demux.c brings it feedback, allot.c asks for the estimate; the
 * endpoint owns it.
 *
 *   consumer ──> may pass? ──yes──> protected, numbered, noted with the estimator ──> transport
 *                   └──no──> pacer ──(each 5 ms, as long as anything waits)──> consumer sends it
 *
 * Invariants: twcc_seq goes up by one for each packet that carries it, and is noted with the estimator at once: the
 * feedback names packets by nothing else.  The timer runs if and only if something waits or a probe is under way. */
#include "egress.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/media/congestion/estimator.h"
#include "bgworker/media/congestion/probe.h"
#include "bgworker/media/congestion/resend.h"

#define PACED_US 30000000 /* after the estimate fell last */
#define MAX_AGE_MS 600    /* that video may have waited */
#define OVERDUE_US 2000000
#define FREE_QUEUE_MS 15
#define BUSY_QUEUE_MS 40 /* on the path: it is to drain */
#define MIN_PACE_BPS 60000
#define PADDING_AT_ONCE 64 /* packets a turn of the timer */

struct rt_egress
{
	struct rt_hub *hub;
	struct rt_webrtc_transport *transport;
	uint16_t twcc_seq; /* of the next packet */
	struct rt_estimator *estimator;
	struct rt_pacer *pacer;
	const struct rt_egress_source *source; /* of what waits */
	struct rt_timer *timer;
	bool timed; /* the timer runs */
	struct rt_resend resend;
	struct rt_probe probe;
	uint32_t paths;      /* that the estimator knows of */
	uint8_t cluster;     /* of the probe that is under way; 0: none */
	uint64_t overdue_us; /* when video had waited too long, last; 0: never */
	bool has_video;
	uint64_t wanted_bps, least_bps;
	const struct rt_egress_source *padder;
	void *padded; /* the stream that sends padding; NULL: none */
	bool wants_allotment;
};

static void on_timer(void *arg);

struct rt_egress *
rt_egress_new(struct rt_hub *h, struct rt_webrtc_transport *t)
{
	struct rt_egress *e = rt_alloc(sizeof(*e));

	e->hub = h;
	e->transport = t;
	e->estimator = rt_estimator_new();
	e->pacer = rt_pacer_new();
	e->timer = rt_timer_new(rt_hub_loop(h), on_timer, e);
	return e;
}

void
rt_egress_free(struct rt_egress *e)
{
	if (e == NULL)
		return;
	rt_timer_free(e->timer);
	rt_pacer_free(e->pacer);
	rt_estimator_free(e->estimator);
	free(e);
}

struct rt_hub *
rt_egress_hub(const struct rt_egress *e)
{
	return e->hub;
}

bool
rt_egress_ready(const struct rt_egress *e)
{
	return rt_webrtc_transport_ready(e->transport);
}

uint32_t
rt_egress_rtt_ms(const struct rt_egress *e)
{
	return rt_webrtc_transport_rtt_ms(e->transport);
}

bool
rt_egress_is_aead(const struct rt_egress *e)
{
	return rt_webrtc_transport_is_aead(e->transport);
}

/* ---- packets ---- */

uint8_t *
rt_egress_buffer(struct rt_egress *e)
{
	return rt_port_buffer(rt_hub_port(e->hub));
}

uint16_t
rt_egress_number(const struct rt_egress *e)
{
	return e->twcc_seq;
}

size_t
rt_egress_send(struct rt_egress *e, bool numbered, struct rt_srtp_roc *roc, uint8_t *out, size_t header_len,
			   const uint8_t *prefix, size_t prefix_len, const uint8_t *payload, size_t payload_len)
{
	size_t len =
		rt_webrtc_transport_queue_rtp(e->transport, roc, out, header_len, prefix, prefix_len, payload, payload_len);
	uint64_t now_us = rt_hub_now_us(e->hub);

	if (len == 0)
		return 0;
	rt_pacer_spend(e->pacer, len + RT_EGRESS_IP_BYTES, now_us);
	if (numbered)
	{
		rt_estimator_sent(e->estimator, e->twcc_seq++, len + RT_EGRESS_IP_BYTES, e->cluster, now_us);
		if (e->cluster)
			rt_probe_sent(&e->probe, len + RT_EGRESS_IP_BYTES);
	}
	return len;
}

bool
rt_egress_repeat(struct rt_egress *e, const uint8_t *data, size_t len)
{
	if (!rt_egress_may_resend(e, len))
		return false;
	memcpy(rt_egress_buffer(e), data, len);
	rt_webrtc_transport_queue_again(e->transport, len);
	rt_pacer_spend(e->pacer, len + RT_EGRESS_IP_BYTES, rt_hub_now_us(e->hub));
	return true;
}

bool
rt_egress_may_resend(struct rt_egress *e, size_t bytes)
{
	return rt_resend_take(&e->resend, bytes, rt_egress_estimate_bps(e), rt_hub_now_us(e->hub));
}

bool
rt_egress_may_pass(struct rt_egress *e, enum rt_pacer_class class)
{
	return rt_pacer_may_pass(e->pacer, class, rt_hub_now_us(e->hub));
}

static void
run_timer(struct rt_egress *e)
{
	if (e->timed)
		return;
	e->timed = true;
	rt_timer_start(e->timer, RT_PACER_PERIOD_MS);
}

bool
rt_egress_queue(struct rt_egress *e, const struct rt_egress_source *source, enum rt_pacer_class class, void *stream,
				uint16_t seq, size_t bytes)
{
	e->source = source;
	if (!rt_pacer_push(e->pacer, class, stream, seq, bytes, rt_hub_now_us(e->hub)))
		return false;
	run_timer(e);
	return true;
}

int
rt_egress_take_back(struct rt_egress *e, const void *stream)
{
	uint16_t first;

	return rt_pacer_is_empty(e->pacer) ? 0 : rt_pacer_take_back(e->pacer, stream, &first);
}

void
rt_egress_forget(struct rt_egress *e, const void *stream)
{
	rt_egress_take_back(e, stream);
	if (e->padded == stream)
		e->padded = NULL;
}

/* ---- by time ---- */

static void
set_pace(struct rt_egress *e)
{
	uint64_t now_us = rt_hub_now_us(e->hub), bps = rt_egress_estimate_bps(e),
			 decreased_us = rt_estimator_decreased_us(e->estimator),
			 carried_bps = rt_estimator_carried_bps(e->estimator, now_us);

	if (!decreased_us || now_us - decreased_us > PACED_US)
		bps = 0;
	else if (rt_estimator_congested(e->estimator) || rt_estimator_queue_ms(e->estimator) > BUSY_QUEUE_MS)
		bps = bps * 8 / 10;
	else
	{
		/* What it carried when it was full, it carries; the estimate is below that to let the queue drain. */
		bps = bps * 11 / 10;
		if (bps < carried_bps && rt_estimator_queue_ms(e->estimator) < FREE_QUEUE_MS)
			bps = carried_bps;
	}
	rt_pacer_set_rate(e->pacer, bps && bps < MIN_PACE_BPS ? MIN_PACE_BPS : bps, now_us);
}

static void
send_due(struct rt_egress *e)
{
	uint64_t now_us = rt_hub_now_us(e->hub);
	enum rt_pacer_class class;
	struct rt_paced item;
	void *oldest;

	while (rt_pacer_pop(e->pacer, &item, &class, now_us))
		e->source->send(item.stream, item.seq, class);
	while (rt_pacer_age_ms(e->pacer, now_us, &oldest) > MAX_AGE_MS)
	{
		e->overdue_us = now_us;
		e->source->overdue(oldest);
	}
}

static void
stop_probe(struct rt_egress *e)
{
	rt_probe_stop(&e->probe);
	e->cluster = 0;
}

static void
send_padding(struct rt_egress *e)
{
	uint64_t now_us = rt_hub_now_us(e->hub);

	for (int i = 0; e->cluster && i < PADDING_AT_ONCE && rt_probe_due(&e->probe, now_us) > 0; i++)
		if (e->padded == NULL || e->padder->pad(e->padded) == 0)
			stop_probe(e);
	if (!e->probe.active)
		e->cluster = 0;
}

static void
on_timer(void *arg)
{
	struct rt_egress *e = arg;

	rt_activity_begin(RT_ACTIVITY_EGRESS);
	e->timed = false;
	rt_hub_set_now(e->hub, rt_clock_us());
	if (!rt_egress_ready(e))
		stop_probe(e); /* what waits stays until it is too old */
	else
	{
		send_due(e);
		send_padding(e);
		rt_port_flush(rt_hub_port(e->hub));
	}
	if (!rt_pacer_is_empty(e->pacer) || e->cluster)
		run_timer(e);
}

void
rt_egress_want_bps(struct rt_egress *e, uint64_t bps, uint64_t least_bps, const struct rt_egress_source *source,
				   void *stream)
{
	e->wanted_bps = bps;
	e->least_bps = least_bps;
	e->padder = source;
	e->padded = stream;
}

void
rt_egress_note_burst(struct rt_egress *e)
{
	rt_estimator_burst(e->estimator, rt_hub_now_us(e->hub));
}

void
rt_egress_set_video(struct rt_egress *e, bool video)
{
	e->has_video = video;
}

bool
rt_egress_has_video(const struct rt_egress *e)
{
	return e->has_video;
}

void
rt_egress_tick(struct rt_egress *e)
{
	uint64_t now_us = rt_hub_now_us(e->hub);
	struct rt_probe_input in = {.estimate_bps = rt_egress_estimate_bps(e),
								.wanted_bps =
									e->padded != NULL && rt_estimator_known(e->estimator) ? e->wanted_bps : 0,
								.least_bps = e->least_bps,
								.carried_bps = rt_estimator_carried_bps(e->estimator, now_us),
								.congested = rt_estimator_congested(e->estimator),
								.decreased_us = rt_estimator_decreased_us(e->estimator),
								.queue_ms = rt_estimator_queue_ms(e->estimator)};

	if (rt_webrtc_transport_paths(e->transport) != e->paths)
	{
		e->paths = rt_webrtc_transport_paths(e->transport);
		rt_estimator_new_path(e->estimator);
	}
	rt_estimator_tick(e->estimator, now_us);
	set_pace(e);
	if (rt_probe_begin(&e->probe, &in, now_us))
	{
		e->cluster = rt_estimator_probe(e->estimator);
		run_timer(e);
	}
}

/* ---- the estimate ---- */

void
rt_egress_feedback(struct rt_egress *e, const struct rt_rtcp *p)
{
	rt_estimator_feedback(e->estimator, p, rt_hub_now_us(e->hub));
	set_pace(e);
}

void
rt_egress_remb(struct rt_egress *e, uint64_t bps)
{
	rt_estimator_remb(e->estimator, bps);
}

bool
rt_egress_known(const struct rt_egress *e)
{
	return rt_estimator_known(e->estimator);
}

uint64_t
rt_egress_estimate_bps(const struct rt_egress *e)
{
	return rt_estimator_bps(e->estimator);
}

bool
rt_egress_congested(const struct rt_egress *e)
{
	uint64_t now_us = rt_hub_now_us(e->hub);

	/* The pacer keeps the path free of a queue; then the queue is here. */
	return rt_estimator_congested(e->estimator) || (e->overdue_us && now_us - e->overdue_us < OVERDUE_US) ||
		   rt_pacer_age_ms(e->pacer, now_us, NULL) > MAX_AGE_MS / 2;
}

uint64_t
rt_egress_decreased_us(const struct rt_egress *e)
{
	return rt_estimator_decreased_us(e->estimator);
}

uint64_t
rt_egress_carried_bps(const struct rt_egress *e)
{
	return rt_estimator_carried_bps(e->estimator, rt_hub_now_us(e->hub));
}

uint32_t
rt_egress_queue_ms(const struct rt_egress *e)
{
	return rt_estimator_queue_ms(e->estimator);
}

uint32_t
rt_egress_paced_ms(const struct rt_egress *e)
{
	return rt_pacer_age_ms(e->pacer, rt_hub_now_us(e->hub), NULL);
}

bool
rt_egress_proven(const struct rt_egress *e)
{
	return rt_estimator_proven(e->estimator, rt_hub_now_us(e->hub));
}

double
rt_egress_loss(const struct rt_egress *e)
{
	return rt_estimator_loss(e->estimator);
}

void
rt_egress_want_allotment(struct rt_egress *e)
{
	e->wants_allotment = true;
}

bool
rt_egress_take_want(struct rt_egress *e)
{
	bool wanted = e->wants_allotment;

	e->wants_allotment = false;
	return wanted;
}
