#include "bwe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "rtp.h"

#define HISTORY 1024  /* packets in flight that can be recognised: half a second at 20 Mbit/s */
#define GROUP_US 5000 /* packets sent within this time are one burst */
#define TREND_WINDOW 20
#define OVERUSE_US 10000
#define MAX_BPS 100000000.0
#define MAX_REFERENCE ((int64_t) 1 << 40) /* in 64 ms; in microseconds it fits into 63 bits */

enum signal
{
	NORMAL,
	OVERUSE,
	UNDERUSE
};

struct sent
{
	uint32_t at_us; /* wraps after an hour: see sent_at() */
	uint16_t bytes; /* 0: waits for no feedback */
	uint16_t seq;
};

struct group
{
	uint64_t first_sent_us, last_sent_us;
	int64_t last_arrival_us;
};

struct rt_bwe
{
	struct sent sent[HISTORY];
	/* delay */
	struct group current, previous;
	bool has_current, has_previous;
	double accumulated_ms, smoothed_ms, trend_x[TREND_WINDOW], trend_y[TREND_WINDOW];
	int ntrend, ndeltas;
	double threshold, previous_trend;
	uint64_t threshold_us, overuse_since_us;
	int overuses;
	enum signal signal;
	int64_t first_arrival_us;
	/* rate */
	double delay_bps, loss_bps, remb_bps, acked_bps;
	uint64_t acked_bytes, acked_from_us, increased_us, decreased_us;
	/* loss */
	uint32_t window_lost, window_total;
	uint64_t window_from_us;
	double loss;
	bool known;
	/* of the feedback that is being read */
	int64_t clock_us;
	int64_t reference_64ms; /* its base time, which wraps at 2^24, counted on */
	uint64_t now_us;
};

struct rt_bwe *
rt_bwe_new(void)
{
	struct rt_bwe *b = rt_alloc(sizeof(*b));

	b->delay_bps = b->loss_bps = RT_BWE_START_BPS;
	b->remb_bps = MAX_BPS;
	b->threshold = 12.5;
	return b;
}

void
rt_bwe_free(struct rt_bwe *b)
{
	free(b);
}

void
rt_bwe_sent(struct rt_bwe *b, uint16_t seq, size_t bytes, uint64_t now_us)
{
	b->sent[seq % HISTORY] = (struct sent){.at_us = (uint32_t) now_us, .bytes = (uint16_t) bytes, .seq = seq};
}

static uint64_t
sent_at(const struct rt_bwe *b, const struct sent *s)
{
	return b->now_us - (uint32_t) ((uint32_t) b->now_us - s->at_us);
}

/* ---- delay gradient ---- */

static double
trend_slope(const struct rt_bwe *b)
{
	double mx = 0, my = 0, num = 0, den = 0;

	for (int i = 0; i < TREND_WINDOW; i++)
	{
		mx += b->trend_x[i] / TREND_WINDOW;
		my += b->trend_y[i] / TREND_WINDOW;
	}
	for (int i = 0; i < TREND_WINDOW; i++)
	{
		num += (b->trend_x[i] - mx) * (b->trend_y[i] - my);
		den += (b->trend_x[i] - mx) * (b->trend_x[i] - mx);
	}
	return den > 0 ? num / den : 0;
}

static void
adapt_threshold(struct rt_bwe *b, double trend)
{
	double dt = b->threshold_us ? (double) (b->now_us - b->threshold_us) / 1000 : 0,
		   over = fabs(trend) - b->threshold;

	b->threshold_us = b->now_us;
	if (over > 15)
		return;
	b->threshold += (over < 0 ? 0.039 : 0.0087) * over * (dt > 100 ? 100 : dt);
	b->threshold = fmin(fmax(b->threshold, 6), 600);
}

static void
detect(struct rt_bwe *b, double slope)
{
	double trend = (b->ndeltas < 60 ? b->ndeltas : 60) * slope * 4;

	if (trend > b->threshold)
	{
		if (!b->overuse_since_us)
			b->overuse_since_us = b->now_us;
		b->overuses++;
		if (b->now_us - b->overuse_since_us >= OVERUSE_US && b->overuses > 1 && trend >= b->previous_trend)
			b->signal = OVERUSE;
	}
	else
	{
		b->overuse_since_us = 0;
		b->overuses = 0;
		b->signal = trend < -b->threshold ? UNDERUSE : NORMAL;
	}
	b->previous_trend = trend;
	adapt_threshold(b, trend);
}

static void
note_delta(struct rt_bwe *b)
{
	double sent_ms = (double) (b->current.last_sent_us - b->previous.last_sent_us) / 1000;
	double arrival_ms = (double) (b->current.last_arrival_us - b->previous.last_arrival_us) / 1000;
	int i = b->ntrend++ % TREND_WINDOW;

	b->ndeltas++;
	b->accumulated_ms += arrival_ms - sent_ms;
	b->smoothed_ms = 0.9 * b->smoothed_ms + 0.1 * b->accumulated_ms;
	if (!b->first_arrival_us)
		b->first_arrival_us = b->current.last_arrival_us;
	b->trend_x[i] = (double) (b->current.last_arrival_us - b->first_arrival_us) / 1000;
	b->trend_y[i] = b->smoothed_ms;
	if (b->ntrend >= TREND_WINDOW)
		detect(b, trend_slope(b));
}

static void
add_to_group(struct rt_bwe *b, uint64_t sent_us, int64_t arrival_us)
{
	if (b->has_current && sent_us < b->current.first_sent_us)
		return; /* reordered: tells nothing */
	if (b->has_current && sent_us - b->current.first_sent_us <= GROUP_US)
	{
		b->current.last_sent_us = sent_us;
		b->current.last_arrival_us = arrival_us;
		return;
	}
	if (b->has_current && b->has_previous)
		note_delta(b);
	b->previous = b->current;
	b->has_previous = b->has_current;
	b->current = (struct group){sent_us, sent_us, arrival_us};
	b->has_current = true;
}

/* ---- rate ---- */

static void
control_rate(struct rt_bwe *b)
{
	double cap = 1.5 * b->acked_bps + 100000, dt = b->increased_us ? (double) (b->now_us - b->increased_us) / 1e6 : 0;

	b->increased_us = b->now_us;
	if (b->signal == OVERUSE)
	{
		if (b->now_us - b->decreased_us < 300000 || b->acked_bps <= 0)
			return;
		b->decreased_us = b->now_us;
		b->delay_bps = fmin(b->delay_bps, 0.85 * b->acked_bps);
	}
	else if (b->signal == NORMAL)
	{
		double grown = b->delay_bps * pow(1.08, dt > 1 ? 1 : dt);

		/* Without traffic the estimate neither grows nor falls: nothing was tried. */
		b->delay_bps = fmax(b->delay_bps, fmin(grown, cap));
	}
	b->delay_bps = fmin(fmax(b->delay_bps, RT_BWE_MIN_BPS), MAX_BPS);
}

static void
control_loss(struct rt_bwe *b)
{
	if (b->now_us - b->window_from_us < 1000000 || b->window_total < 20)
		return;
	b->loss = (double) b->window_lost / b->window_total;
	b->window_from_us = b->now_us;
	b->window_lost = b->window_total = 0;
	if (b->loss > 0.1)
		b->loss_bps = fmin(b->loss_bps, (double) rt_bwe_estimate(b)) * (1 - 0.5 * b->loss);
	else if (b->loss < 0.02)
		b->loss_bps = fmin(b->loss_bps * 1.08, MAX_BPS);
	b->loss_bps = fmax(b->loss_bps, RT_BWE_MIN_BPS);
}

static void
note_acked(struct rt_bwe *b, uint32_t bytes)
{
	b->acked_bytes += bytes;
	if (!b->acked_from_us)
		b->acked_from_us = b->now_us;
	if (b->now_us - b->acked_from_us < 500000)
		return;
	b->acked_bps = (double) b->acked_bytes * 8e6 / (double) (b->now_us - b->acked_from_us);
	b->acked_from_us = b->now_us;
	b->acked_bytes = 0;
}

static void
on_packet(struct rt_bwe *b, uint16_t seq, bool received)
{
	struct sent *s = &b->sent[seq % HISTORY];

	if (s->bytes == 0 || s->seq != seq)
		return;
	b->window_total++;
	if (!received)
	{
		b->window_lost++; /* it may still be told as received later: rare, and it only makes us careful */
		return;
	}
	note_acked(b, s->bytes);
	s->bytes = 0;
	add_to_group(b, sent_at(b, s), b->clock_us);
}

static void
on_status(void *arg, uint16_t seq, int n, bool received, int32_t delta_250us)
{
	struct rt_bwe *b = arg;

	b->clock_us += (int64_t) delta_250us * 250;
	for (int i = 0; i < n && i < HISTORY; i++)
		on_packet(b, (uint16_t) (seq + i), received);
}

bool
rt_bwe_feedback(struct rt_bwe *b, const struct rt_rtcp *p, uint64_t now_us)
{
	uint32_t reference;

	if (p->len < 16)
		return false;
	b->now_us = now_us;
	b->known = true;
	/* the base time comes before the deltas: see rt_rtcp_read_twcc() */
	reference = rt_bytes_get24(p->body + 12);
	b->reference_64ms += (int32_t) ((reference - (uint32_t) b->reference_64ms) << 8) >> 8;
	if (b->reference_64ms > MAX_REFERENCE || b->reference_64ms < -MAX_REFERENCE)
		b->reference_64ms = reference; /* no clock runs that far */
	b->clock_us = b->reference_64ms * 64000;
	if (!rt_rtcp_read_twcc(p, &reference, on_status, b))
		return false;
	control_rate(b);
	control_loss(b);
	return true;
}

void
rt_bwe_remb(struct rt_bwe *b, uint64_t bps)
{
	b->known = true;
	b->remb_bps = fmax((double) bps, RT_BWE_MIN_BPS);
}

uint64_t
rt_bwe_estimate(const struct rt_bwe *b)
{
	return (uint64_t) fmin(fmin(b->delay_bps, b->loss_bps), b->remb_bps);
}

bool
rt_bwe_known(const struct rt_bwe *b)
{
	return b->known;
}

bool
rt_bwe_congested(const struct rt_bwe *b)
{
	return b->signal == OVERUSE || b->loss > 0.1;
}

double
rt_bwe_loss(const struct rt_bwe *b)
{
	return b->loss;
}
