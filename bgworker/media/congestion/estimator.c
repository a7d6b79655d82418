/* estimator.c: see estimator.h.  Called by the loop that sends; owns nothing but its own memory: 1 kB, and 1
 * to 8 kB of packets that wait for feedback, from the first one on. */
#include "estimator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/media/rtp/rtp.h"

#define HISTORY 1024 /* packets in flight that can be recognised, at the most: half a second at 20 Mbit/s */
#define MIN_HISTORY 128
#define WAITS_US 8000000 /* for feedback; one that was told as lost may be late for LATE_US */
#define LATE_US 1000000
#define MAX_BYTES 4095
#define GROUP_US 5000 /* packets sent within this time are one burst */
#define TREND_WINDOW 20
#define OVERUSE_US 10000
#define MAX_BPS 100000000.0
#define MAX_REFERENCE ((int64_t) 1 << 40) /* in 64 ms; in microseconds it fits into 63 bits */
#define BETA 0.85
#define RECENT 12          /* packets whose least delay is the path's of now */
#define BASE_US 5000000    /* two such spans back goes the least delay of all */
#define QUEUE_US 12000     /* a queue that is shorter is none */
#define STANDING_US 150000 /* one that is longer is one, whatever its trend */
#define DECREASE_GAP_US 200000
#define BUCKET_US 50000
#define BUCKETS 10
#define SILENCE_US 1000000 /* without feedback, though packets are out */
#define IDLE_US 500000     /* without a packet */
#define PROBE_GRACE_US 200000
#define MIN_PROBE_PACKETS 4
#define PROVEN_US 1500000
#define SEEN_US 10000000
#define MUCH_LESS 0.7
#define SMOOTH_S 1.0
#define HALF_A_PACKET_BPS 32000 /* more in 150 ms, see busiest_bps() */

enum signal
{
	NORMAL,
	OVERUSE,
	UNDERUSE
};

enum fate
{
	OUTSTANDING,
	LOST, /* told as lost; may still be told as received, when it was only late */
	RECEIVED
};

struct sent
{
	uint32_t at_us;      /* wraps after an hour: see sent_at() */
	uint32_t bytes : 12; /* 0: waits for no feedback */
	uint32_t high : 9;   /* of its number; the place in the ring has the other bits */
	uint32_t fate : 2;
	uint32_t cluster : 8;
};

struct group
{
	uint64_t first_sent_us, last_sent_us;
	int64_t last_arrival_us;
};

/* One probe: what left and what of it arrived. */
struct cluster
{
	uint8_t id;
	uint32_t packets, got;
	uint64_t sent_bytes, got_bytes;
	uint64_t first_sent_us, last_sent_us;
	uint32_t last_sent_bytes, first_got_bytes;
	int64_t first_arrival_us, last_arrival_us;
};

struct rt_estimator
{
	struct sent *sent; /* room, by number; NULL: nothing has left.  It grows as long as what waits would be lost */
	uint16_t room;
	uint16_t next, covered; /* behind what was sent last, and behind what feedback has told of */
	bool any_sent;
	uint32_t outstanding; /* since the last feedback */
	/* delay */
	struct group current, previous;
	bool has_current, has_previous;
	double accumulated_ms, smoothed_ms, trend_x[TREND_WINDOW], trend_y[TREND_WINDOW];
	int ntrend, ndeltas;
	double threshold, trend, previous_trend;
	uint64_t threshold_us, overuse_since_us;
	int overuses;
	enum signal signal;
	int64_t first_arrival_us;
	/* queue: delays are of two clocks, so only their differences count */
	int64_t recent[RECENT], base_us, older_base_us;
	int nrecent;
	int64_t base_until_us; /* arrival time */
	int64_t newest_arrival_us;
	double reordered_us; /* by how much packets overtake one another */
	/* rate */
	double bps, loss_bps, remb_bps, capacity_bps, carried_bps, seen_bps, smooth_bps;
	uint64_t increased_us, decreased_us, probed_us, carried_us, proven_us, seen_us;
	enum rt_estimator_state state;
	/* acknowledged, by arrival */
	uint32_t buckets[BUCKETS];
	int64_t bucket;
	int64_t first_bucket;
	/* loss */
	uint32_t window_lost, window_total;
	uint64_t window_from_us;
	double loss, inherent_loss, loss_before;
	int falls_in_vain;
	bool known, told, silent; /* told: by transport-wide feedback */
	uint64_t feedback_us, sent_us;
	/* probes */
	struct cluster clusters[RT_ESTIMATOR_CLUSTERS];
	uint8_t next_cluster;
	/* of the feedback that is being read */
	int64_t clock_us;
	int64_t reference_64ms; /* its base time, which wraps at 2^24, counted on */
	uint64_t now_us;
};

static void
forget_delay(struct rt_estimator *e)
{
	e->has_current = e->has_previous = false;
	e->ntrend = e->ndeltas = e->nrecent = 0;
	e->accumulated_ms = e->smoothed_ms = e->trend = e->previous_trend = 0;
	e->threshold = 12.5;
	e->overuse_since_us = 0;
	e->overuses = 0;
	e->signal = NORMAL;
	e->first_arrival_us = 0;
	e->base_us = e->older_base_us = INT64_MAX;
	e->base_until_us = INT64_MIN;
	e->newest_arrival_us = INT64_MIN;
	e->reordered_us = 0;
}

struct rt_estimator *
rt_estimator_new(void)
{
	struct rt_estimator *e = rt_alloc(sizeof(*e));

	e->bps = RT_ESTIMATOR_START_BPS;
	e->loss_bps = e->remb_bps = MAX_BPS;
	forget_delay(e);
	return e;
}

void
rt_estimator_free(struct rt_estimator *e)
{
	if (e == NULL)
		return;
	free(e->sent);
	free(e);
}

void
rt_estimator_new_path(struct rt_estimator *e)
{
	forget_delay(e);
	e->window_lost = e->window_total = 0;
	e->outstanding = 0;
	e->silent = false;
	e->loss = e->inherent_loss = e->loss_before = 0;
	e->carried_us = e->proven_us = e->seen_us = 0;
}

/* ---- what leaves ---- */

static struct cluster *
find_cluster(struct rt_estimator *e, uint8_t id)
{
	struct cluster *c = &e->clusters[id % RT_ESTIMATOR_CLUSTERS];

	return id && c->id == id ? c : NULL;
}

uint8_t
rt_estimator_probe(struct rt_estimator *e)
{
	if (++e->next_cluster == 0)
		e->next_cluster = 1;
	e->clusters[e->next_cluster % RT_ESTIMATOR_CLUSTERS] = (struct cluster){.id = e->next_cluster};
	return e->next_cluster;
}

/* The place of a packet's number; it may hold an older one. */
static struct sent *
place_of(const struct rt_estimator *e, uint16_t seq)
{
	return &e->sent[seq % e->room];
}

static struct sent *
find_sent(const struct rt_estimator *e, uint16_t seq)
{
	struct sent *s = e->room ? place_of(e, seq) : NULL;

	return s != NULL && s->bytes && s->high == seq / MIN_HISTORY ? s : NULL;
}

static bool
is_waiting(const struct sent *s, uint64_t now_us)
{
	uint32_t age_us = (uint32_t) now_us - s->at_us;

	return s->bytes && s->fate != RECEIVED && age_us < (s->fate == LOST ? LATE_US : WAITS_US);
}

static void
double_room(struct rt_estimator *e)
{
	struct sent *old = e->sent;
	uint16_t room = e->room;

	e->room = room ? (uint16_t) (2 * room) : MIN_HISTORY;
	e->sent = rt_alloc(e->room * sizeof(*e->sent));
	for (uint16_t i = 0; i < room; i++)
		if (old[i].bytes)
			*place_of(e, (uint16_t) (old[i].high * MIN_HISTORY + i % MIN_HISTORY)) = old[i];
	free(old);
}

void
rt_estimator_sent(struct rt_estimator *e, uint16_t seq, size_t bytes, uint8_t cluster, uint64_t now_us)
{
	struct cluster *c = find_cluster(e, cluster);

	while (e->room < HISTORY && (e->room == 0 || is_waiting(place_of(e, seq), now_us)))
		double_room(e);
	*place_of(e, seq) = (struct sent){.at_us = (uint32_t) now_us,
									  .bytes = bytes < MAX_BYTES ? (uint32_t) bytes : MAX_BYTES,
									  .high = seq / MIN_HISTORY,
									  .cluster = c != NULL ? cluster : 0};
	if (!e->any_sent)
		e->covered = seq;
	e->any_sent = true;
	e->sent_us = now_us;
	e->next = (uint16_t) (seq + 1);
	if (e->outstanding++ == 0 && !e->silent)
		e->feedback_us = now_us; /* silence is counted from here on */
	if (c == NULL)
		return;
	if (c->packets++ == 0)
		c->first_sent_us = now_us;
	c->last_sent_us = now_us;
	c->last_sent_bytes = (uint32_t) bytes;
	c->sent_bytes += bytes;
}

static uint64_t
sent_at(const struct rt_estimator *e, const struct sent *s)
{
	return e->now_us - (uint32_t) ((uint32_t) e->now_us - s->at_us);
}

/* ---- the queue ---- */

static int64_t
queue_us(const struct rt_estimator *e)
{
	int64_t least = INT64_MAX, base = e->base_us < e->older_base_us ? e->base_us : e->older_base_us;
	int n = e->nrecent < RECENT ? e->nrecent : RECENT;

	for (int i = 0; i < n; i++)
		if (e->recent[i] < least)
			least = e->recent[i];
	return n < RECENT / 2 || base == INT64_MAX || least < base ? 0 : least - base;
}

static void
note_delay(struct rt_estimator *e, uint64_t sent_us, int64_t arrival_us)
{
	int64_t delay = arrival_us - (int64_t) sent_us;

	if (arrival_us < e->newest_arrival_us)
	{
		double by = (double) (e->newest_arrival_us - arrival_us);

		e->reordered_us = fmin(fmax(e->reordered_us, by), 200000);
	}
	else
		e->newest_arrival_us = arrival_us;
	e->reordered_us *= 0.998;
	e->recent[e->nrecent++ % RECENT] = delay;
	if (e->nrecent == 2 * RECENT)
		e->nrecent = RECENT;
	if (arrival_us >= e->base_until_us)
	{
		e->older_base_us = e->base_us;
		e->base_us = INT64_MAX;
		e->base_until_us = arrival_us + BASE_US;
	}
	if (delay < e->base_us)
		e->base_us = delay;
}

/* ---- the trend ---- */

static double
trend_slope(const struct rt_estimator *e)
{
	double mx = 0, my = 0, num = 0, den = 0;

	for (int i = 0; i < TREND_WINDOW; i++)
	{
		mx += e->trend_x[i] / TREND_WINDOW;
		my += e->trend_y[i] / TREND_WINDOW;
	}
	for (int i = 0; i < TREND_WINDOW; i++)
	{
		num += (e->trend_x[i] - mx) * (e->trend_y[i] - my);
		den += (e->trend_x[i] - mx) * (e->trend_x[i] - mx);
	}
	return den > 0 ? num / den : 0;
}

static void
adapt_threshold(struct rt_estimator *e, double trend)
{
	double dt = e->threshold_us ? (double) (e->now_us - e->threshold_us) / 1000 : 0,
		   over = fabs(trend) - e->threshold;

	e->threshold_us = e->now_us;
	if (over > 15)
		return;
	e->threshold += (over < 0 ? 0.039 : 0.0087) * over * (dt > 100 ? 100 : dt);
	e->threshold = fmin(fmax(e->threshold, 6), 600);
}

static void
detect(struct rt_estimator *e, double slope)
{
	double trend = (e->ndeltas < 60 ? e->ndeltas : 60) * slope * 4;

	e->trend = trend;
	if (trend > e->threshold)
	{
		if (!e->overuse_since_us)
			e->overuse_since_us = e->now_us;
		e->overuses++;
		if ((e->now_us - e->overuse_since_us >= OVERUSE_US || e->overuses > 2) && e->overuses > 1 &&
			trend >= e->previous_trend)
			e->signal = OVERUSE;
	}
	else
	{
		e->overuse_since_us = 0;
		e->overuses = 0;
		e->signal = trend < -e->threshold ? UNDERUSE : NORMAL;
	}
	e->previous_trend = trend;
	adapt_threshold(e, trend);
}

static void
note_delta(struct rt_estimator *e)
{
	double sent_ms = (double) (e->current.last_sent_us - e->previous.last_sent_us) / 1000;
	double arrival_ms = (double) (e->current.last_arrival_us - e->previous.last_arrival_us) / 1000;
	int i = e->ntrend++ % TREND_WINDOW;

	e->ndeltas++;
	e->accumulated_ms += arrival_ms - sent_ms;
	e->smoothed_ms = 0.9 * e->smoothed_ms + 0.1 * e->accumulated_ms;
	if (!e->first_arrival_us)
		e->first_arrival_us = e->current.last_arrival_us;
	e->trend_x[i] = (double) (e->current.last_arrival_us - e->first_arrival_us) / 1000;
	e->trend_y[i] = e->smoothed_ms;
	if (e->ntrend >= TREND_WINDOW)
		detect(e, trend_slope(e));
}

static void
add_to_group(struct rt_estimator *e, uint64_t sent_us, int64_t arrival_us)
{
	if (e->has_current && sent_us < e->current.first_sent_us)
		return; /* late: tells nothing of now */
	if (e->has_current && sent_us - e->current.first_sent_us <= GROUP_US)
	{
		e->current.last_sent_us = sent_us;
		if (arrival_us > e->current.last_arrival_us)
			e->current.last_arrival_us = arrival_us;
		return;
	}
	if (e->has_current && e->has_previous)
		note_delta(e);
	e->previous = e->current;
	e->has_previous = e->has_current;
	e->current = (struct group){sent_us, sent_us, arrival_us};
	e->has_current = true;
}

/* ---- what is acknowledged ---- */

/* By arrival, in buckets of 50 ms. */
static void
note_acked(struct rt_estimator *e, int64_t arrival_us, uint32_t bytes)
{
	int64_t bucket = arrival_us / BUCKET_US;

	if (!e->first_bucket || bucket > e->bucket + BUCKETS || bucket < e->bucket - BUCKETS)
	{
		memset(e->buckets, 0, sizeof(e->buckets));
		e->first_bucket = e->bucket = bucket;
	}
	for (; e->bucket < bucket; e->bucket++)
		e->buckets[((e->bucket + 1) % BUCKETS + BUCKETS) % BUCKETS] = 0;
	if (bucket > e->bucket - BUCKETS)
		e->buckets[(bucket % BUCKETS + BUCKETS) % BUCKETS] += bytes;
}

/* Of the last n full buckets. */
static double
acked_bps(const struct rt_estimator *e, int n)
{
	uint64_t bytes = 0;
	int have = e->bucket - e->first_bucket < n ? (int) (e->bucket - e->first_bucket) : n;

	if (!e->first_bucket || have < 2)
		return 0;
	for (int i = 1; i <= have; i++)
		bytes += e->buckets[((e->bucket - i) % BUCKETS + BUCKETS) % BUCKETS];
	return (double) bytes * 8e6 / BUCKET_US / have;
}

/* Of the busiest 150 ms in the last quarter of a second.  While a queue stands, the path's end is busy, and that is
 * its rate, however little is sent on the average. */
static double
busiest_bps(const struct rt_estimator *e)
{
	uint64_t most = 0;

	if (!e->first_bucket || e->bucket - e->first_bucket < 5)
		return acked_bps(e, 4);
	for (int i = 1; i <= 3; i++)
	{
		uint64_t bytes = 0;

		for (int k = i; k < i + 3; k++)
			bytes += e->buckets[((e->bucket - k) % BUCKETS + BUCKETS) % BUCKETS];
		if (bytes > most)
			most = bytes;
	}
	return (double) most * 8e6 / (3 * BUCKET_US);
}

uint64_t
rt_estimator_acked_bps(const struct rt_estimator *e)
{
	return (uint64_t) acked_bps(e, BUCKETS - 1);
}

/* ---- rate ---- */

/* The trend alone is not trusted: jitter makes it rise and fall.  A queue delays every packet, the luckiest too. */
static bool
is_overused(const struct rt_estimator *e)
{
	int64_t queue = queue_us(e);
	double doubt = QUEUE_US + e->reordered_us / 2;

	if (e->now_us - e->probed_us < PROBE_GRACE_US)
		doubt += 80000; /* a queue of our own making, which drains */
	return ((double) queue > doubt && e->signal == OVERUSE) ||
		   ((double) queue > STANDING_US + doubt && e->trend > -e->threshold);
}

/* So much came through.  seen_bps: the most of the last seconds. */
static void
note_seen(struct rt_estimator *e, double bps)
{
	if (e->seen_us && e->now_us - e->seen_us < SEEN_US && bps < 0.97 * e->seen_bps)
		return;
	e->seen_bps = bps;
	e->seen_us = e->now_us;
}

/* The path was full, and so much came through.  What was seen a moment ago, if it was not much more, counts: a time
 * in which a queue stood was not all busy. */
static void
note_carried(struct rt_estimator *e, double bps)
{
	note_seen(e, bps);
	e->carried_bps = bps < e->seen_bps && bps > MUCH_LESS * e->seen_bps ? e->seen_bps : bps;
	e->carried_us = e->now_us;
}

static void
decrease(struct rt_estimator *e)
{
	double to = BETA * busiest_bps(e);

	e->state = RT_ESTIMATOR_DECREASE;
	if (e->now_us - e->decreased_us < DECREASE_GAP_US || to <= 0)
		return;
	e->decreased_us = e->now_us;
	note_carried(e, fmax(to, to / BETA - HALF_A_PACKET_BPS));
	if (to < e->bps)
	{
		e->bps = to;
		e->capacity_bps = to / BETA;
	}
}

static void
increase(struct rt_estimator *e, double dt)
{
	double acked = acked_bps(e, BUCKETS - 1), limit = 1.5 * acked + 10000, grown,
		   carried = (double) rt_estimator_carried_bps(e, e->now_us);
	bool near = e->capacity_bps > 0 && fabs(e->bps - e->capacity_bps) < 0.15 * e->capacity_bps;

	e->state = RT_ESTIMATOR_INCREASE;
	e->smooth_bps += (acked - e->smooth_bps) * (dt < SMOOTH_S ? dt / SMOOTH_S : 1);
	if (carried > 0)
		note_seen(e, e->smooth_bps);
	carried = fmax(carried, carried > 0 ? e->smooth_bps : 0);
	if (carried > 0)
		limit = fmin(limit, carried);
	if (e->capacity_bps > 0 && acked > 1.3 * e->capacity_bps)
		e->capacity_bps = 0; /* it carries more by now */
	/* near what it could carry: by about a packet each round trip */
	grown = near ? e->bps + 40000 * dt : e->bps * pow(1.08, dt);
	/* Without traffic the estimate neither grows nor falls: nothing was tried. */
	e->bps = fmax(e->bps, fmin(grown, limit));
}

static void
control_rate(struct rt_estimator *e)
{
	double dt = e->increased_us ? (double) (e->now_us - e->increased_us) / 1e6 : 0;

	e->increased_us = e->now_us;
	if (is_overused(e))
		decrease(e);
	else if (e->signal == NORMAL && e->now_us - e->decreased_us > DECREASE_GAP_US && queue_us(e) < 3 * QUEUE_US)
		increase(e, dt > 1 ? 1 : dt);
	else
		e->state = RT_ESTIMATOR_HOLD;
	e->bps = fmin(fmax(e->bps, RT_ESTIMATOR_MIN_BPS), MAX_BPS);
}

/* ---- loss ---- */

/* Loss that does not fall when the rate does is the path's own, not ours. */
static void
control_loss(struct rt_estimator *e)
{
	double over;

	if (e->now_us - e->window_from_us < 400000 || e->window_total < 20)
		return;
	e->loss = (double) e->window_lost / e->window_total;
	e->window_from_us = e->now_us;
	e->window_lost = e->window_total = 0;
	over = e->loss - e->inherent_loss;
	if (e->inherent_loss > 0 && over < 0.1)
		e->inherent_loss += 0.1 * over;
	if (over > 0.1)
	{
		e->falls_in_vain += e->loss_before > 0 && e->loss > 0.75 * e->loss_before && queue_us(e) < QUEUE_US;
		if (e->falls_in_vain >= 2)
		{
			e->inherent_loss = fmin(e->loss, 0.3);
			e->falls_in_vain = 0;
		}
		else
		{
			e->loss_bps =
				fmax(fmin(e->loss_bps, (double) rt_estimator_bps(e)) * (1 - 0.5 * over), acked_bps(e, BUCKETS - 1));
			e->decreased_us = e->now_us;
		}
		e->loss_before = e->loss;
	}
	else
	{
		e->loss_before = 0;
		e->falls_in_vain = 0;
		if (over < 0.02)
			e->loss_bps = fmin(e->loss_bps * 1.08, MAX_BPS);
	}
	e->loss_bps = fmax(e->loss_bps, RT_ESTIMATOR_MIN_BPS);
}

/* ---- probes ---- */

static void
note_probe(struct rt_estimator *e, struct cluster *c, uint32_t bytes, int64_t arrival_us)
{
	e->probed_us = e->now_us;
	if (c->got++ == 0)
	{
		c->first_arrival_us = c->last_arrival_us = arrival_us;
		c->first_got_bytes = bytes;
	}
	c->got_bytes += bytes;
	if (arrival_us > c->last_arrival_us)
		c->last_arrival_us = arrival_us;
	if (arrival_us < c->first_arrival_us)
	{
		c->first_arrival_us = arrival_us;
		c->first_got_bytes = bytes;
	}
}

/* Its rate at the receiver: at most the one at which it left; below that the path's own, of which a little is left
 * free. */
static double
probe_bps(struct rt_estimator *e, const struct cluster *c)
{
	double sent_us = (double) (c->last_sent_us - c->first_sent_us),
		   took_us = (double) (c->last_arrival_us - c->first_arrival_us), sent, got;

	if (c->got < MIN_PROBE_PACKETS || c->got_bytes * 10 < c->sent_bytes * 8 || sent_us < 1000)
		return 0;
	sent = (double) (c->sent_bytes - c->last_sent_bytes) * 8e6 / sent_us;
	got = took_us < 1000 ? sent : (double) (c->got_bytes - c->first_got_bytes) * 8e6 / took_us;
	if (got < 0.97 * sent)
		note_carried(e, got);
	else
	{
		if (got > 1.1 * e->carried_bps)
			e->carried_us = 0; /* it carries more by now */
		e->proven_us = e->now_us;
		note_seen(e, fmin(sent, got));
	}
	return got < 0.9 * sent ? 0.95 * got : fmin(sent, got);
}

static void
judge_probes(struct rt_estimator *e)
{
	for (int i = 0; i < RT_ESTIMATOR_CLUSTERS; i++)
	{
		struct cluster *c = &e->clusters[i];
		double bps = c->id ? probe_bps(e, c) : 0;

		if (bps <= 0)
			continue;
		c->id = 0;
		if (is_overused(e))
			continue;
		if (bps > e->bps)
		{
			e->bps = fmin(bps, MAX_BPS);
			e->capacity_bps = 0;
		}
		if (bps > e->loss_bps && e->loss - e->inherent_loss < 0.05)
			e->loss_bps = fmin(bps, MAX_BPS);
	}
}

/* ---- feedback ---- */

/* A run of packets that did not arrive by now.  Only what no feedback has told of yet is looked at. */
static void
on_missing(struct rt_estimator *e, uint16_t seq, int n)
{
	int16_t told = (int16_t) (e->covered - seq), sent = (int16_t) (e->next - seq);
	int from = told > 0 ? told : 0, to = sent < n ? sent : n;

	if (sent <= 0)
		return;
	for (int i = from; i < to; i++)
	{
		struct sent *s = find_sent(e, (uint16_t) (seq + i));

		if (s == NULL || s->fate != OUTSTANDING)
			continue;
		s->fate = LOST;
		e->window_lost++;
		e->window_total++;
	}
	if (to > from)
		e->covered = (uint16_t) (seq + to);
}

static void
on_received(struct rt_estimator *e, uint16_t seq)
{
	struct sent *s = find_sent(e, seq);
	struct cluster *c;

	if (s == NULL || s->fate == RECEIVED)
		return;
	if (s->fate == LOST)
		e->window_lost -= e->window_lost > 0; /* it was only late */
	else
		e->window_total++;
	s->fate = RECEIVED;
	if ((int16_t) (seq + 1 - e->covered) > 0)
		e->covered = (uint16_t) (seq + 1);
	note_acked(e, e->clock_us, s->bytes);
	note_delay(e, sent_at(e, s), e->clock_us);
	if ((c = find_cluster(e, s->cluster)) != NULL)
		note_probe(e, c, s->bytes, e->clock_us);
	else
		add_to_group(e, sent_at(e, s), e->clock_us);
}

static void
on_status(void *arg, uint16_t seq, int n, bool received, int32_t delta_250us)
{
	struct rt_estimator *e = arg;

	if (!received)
		on_missing(e, seq, n);
	else
	{
		e->clock_us += (int64_t) delta_250us * 250;
		on_received(e, seq);
	}
}

bool
rt_estimator_feedback(struct rt_estimator *e, const struct rt_rtcp *p, uint64_t now_us)
{
	uint32_t reference;

	if (p->len < 16)
		return false;
	e->now_us = now_us;
	/* the base time comes before the deltas: see rt_rtcp_read_twcc() */
	reference = rt_bytes_get24(p->body + 12);
	e->reference_64ms += (int32_t) ((reference - (uint32_t) e->reference_64ms) << 8) >> 8;
	if (e->reference_64ms > MAX_REFERENCE || e->reference_64ms < -MAX_REFERENCE)
		e->reference_64ms = reference; /* no clock runs that far */
	e->clock_us = e->reference_64ms * 64000;
	if (!rt_rtcp_read_twcc(p, &reference, on_status, e))
		return false;
	e->known = e->told = true;
	e->silent = false;
	e->outstanding = 0;
	e->feedback_us = now_us;
	control_rate(e);
	control_loss(e);
	judge_probes(e);
	return true;
}

void
rt_estimator_burst(struct rt_estimator *e, uint64_t now_us)
{
	e->probed_us = now_us;
}

void
rt_estimator_remb(struct rt_estimator *e, uint64_t bps)
{
	e->known = true;
	e->remb_bps = fmax((double) bps, RT_ESTIMATOR_MIN_BPS);
}

/* Nothing has left for a while, so nothing will be told: what was last told holds no more.  Else whoever waits for
 * the congestion to end before they send would wait for ever. */
static void
forget_congestion(struct rt_estimator *e)
{
	e->state = RT_ESTIMATOR_HOLD;
	e->signal = NORMAL;
	e->overuses = 0;
	e->overuse_since_us = 0;
	e->silent = false;
	e->outstanding = 0;
	e->nrecent = 0;
	e->loss = e->inherent_loss;
	e->window_lost = e->window_total = 0;
}

/* A path that has carried feedback and is silent carries nothing: half of it a second, until it speaks. */
void
rt_estimator_tick(struct rt_estimator *e, uint64_t now_us)
{
	if (e->any_sent && now_us - e->sent_us > IDLE_US)
		forget_congestion(e);
	if (!e->told || e->covered == e->next || e->outstanding < 10 || now_us - e->feedback_us < SILENCE_US)
		return;
	e->silent = true;
	e->feedback_us = now_us;
	e->bps = fmax(e->bps / 2, RT_ESTIMATOR_MIN_BPS);
}

/* ---- what it says ---- */

uint64_t
rt_estimator_bps(const struct rt_estimator *e)
{
	return (uint64_t) fmin(fmin(e->bps, e->loss_bps), e->remb_bps);
}

enum rt_estimator_state
rt_estimator_state(const struct rt_estimator *e)
{
	return e->state;
}

bool
rt_estimator_known(const struct rt_estimator *e)
{
	return e->known;
}

bool
rt_estimator_congested(const struct rt_estimator *e)
{
	return e->state == RT_ESTIMATOR_DECREASE || e->silent || e->loss - e->inherent_loss > 0.1;
}

uint32_t
rt_estimator_queue_ms(const struct rt_estimator *e)
{
	return (uint32_t) (queue_us(e) / 1000);
}

double
rt_estimator_loss(const struct rt_estimator *e)
{
	return e->loss;
}

uint64_t
rt_estimator_carried_bps(const struct rt_estimator *e, uint64_t now_us)
{
	return e->carried_us && now_us - e->carried_us < RT_ESTIMATOR_CARRIED_US ? (uint64_t) e->carried_bps : 0;
}

bool
rt_estimator_proven(const struct rt_estimator *e, uint64_t now_us)
{
	return e->proven_us > e->decreased_us && now_us - e->proven_us < PROVEN_US;
}

uint64_t
rt_estimator_decreased_us(const struct rt_estimator *e)
{
	return e->decreased_us;
}
