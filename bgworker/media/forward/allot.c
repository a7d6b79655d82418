/* allot.c: see allot.h.  The endpoint calls it; it sets targets and nothing else: what goes out follows them when it
 * can (layers.c).
 *
 * The order is: sound, what the client gave a higher priority, screens and the active speaker, the others.  A screen
 * or a picture of higher priority gets all that it may before the next one gets anything; of the others each gets its
 * lowest level before one of them gets more, the active speaker first.
 *
 * Three rules keep it from swinging.  A level that flows without congestion is not taken away because the estimate is
 * low: an estimate grows only with what is sent.  More is given when the estimate allows it with an eighth to spare,
 * or when a probe at just that rate has come through; a second after the estimate fell at the earliest.  Where nobody
 * can send probes, more is tried once in a while, on one consumer at a time.  When congestion follows, the wait for
 * the next step up doubles. */
#include "allot.h"

#include <assert.h>
#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "producer.h"

#define ALLOT_US 200000
#define FIRST_UPGRADE_US 2000000 /* before more is tried without a probe */
#define MAX_UPGRADE_WAIT_US 60000000
#define FIRST_STEP_US 1000000 /* between two steps up of which one failed; doubles */
#define MAX_STEP_US 8000000
#define MINOR_US 3000000 /* congestion before that is still what took the level away */
#define TRIAL_US 3000000 /* congestion within this time after an upgrade was its fault */
#define RANK_PRIORITY 4
#define RANK_SCREEN 2
#define RANK_SPEAKER 1
#define MAX_STEPPED 8
#define BLAME_US 500000
#define CLOSE_TRIAL_US 20000000 /* what is given with little to spare is to hold for so long */
#define FIRST_CLOSE_US 2000000
#define MAX_CLOSE_US 30000000
#define MAX_BURST_MS 60
#define MAX_BURST_LOSS 0.02
#define STANDS_US 1000000   /* a queue that has not drained for so long stands */
#define DRAINED_MS 40       /* a shorter one is none, */
#define PACED_MS 150        /* and a shorter one of our own */
#define WIRE_BYTES 44       /* of a packet beside what came: IPv4, UDP, SRTP's tag */
#define SOUND_WIRE_BYTES 72 /* and RTP's header with extensions, beside its payload */

struct rt_allot
{
	struct rt_egress *egress;
	uint64_t allotted_us;     /* when it was done last */
	uint64_t upgrade_us;      /* when a layer was last tried upwards */
	uint64_t upgrade_wait_us; /* how long to wait until the next try; doubles when one fails */
	uint64_t step_us;         /* when more was given last */
	uint64_t step_wait_us;    /* after congestion */
	uint64_t decreased_us;    /* when the estimate fell, as of the last time */
	bool can_probe;           /* somebody can send padding */
	uint64_t used_bps;        /* what all targets took, as of the last time */
	uint64_t drained_us;      /* when no queue was seen, last */
	uint64_t close_us;        /* when more was given with little to spare, last; 0: it was taken back since */
	uint64_t close_wait_us;   /* until the next time, after it was wrong; doubles */
	uint64_t close_again_us;
	/* who was given more at step_us; compared, never followed: they may be gone */
	const struct rt_consumer *stepped[MAX_STEPPED];
	int nstepped;
	uint64_t blame_us; /* congestion came right after that: until then they lose, and nobody else */
};

/* A consumer, and the level that it gets this time. */
struct share
{
	struct rt_consumer *consumer;
	const struct rt_layers *layers;
	const struct rt_producer *producer;
	struct rt_level level;
	struct rt_level most; /* what the client prefers, or less where the sender is limited */
	enum rt_fanout_limit limit;
	bool has_choice; /* a picture: it may be given less, or nothing */
	int rank;        /* higher ranks come first, */
	int order;       /* and in a rank whoever is there longer */
};

struct rt_allot *
rt_allot_new(struct rt_egress *e)
{
	struct rt_allot *a = rt_alloc(sizeof(*a));

	a->egress = e;
	a->upgrade_us = rt_hub_now_us(rt_egress_hub(e));
	a->upgrade_wait_us = FIRST_UPGRADE_US;
	a->step_wait_us = FIRST_STEP_US;
	return a;
}

void
rt_allot_free(struct rt_allot *a)
{
	free(a);
}

static bool
is_live(const struct share *s, int spatial)
{
	return s->layers->simulcast ? rt_producer_layer_live(s->producer, spatial)
								: rt_producer_spatial_live(s->producer, spatial);
}

/* The higher rank first; within it as they were. */
static int
by_rank(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	return x->rank != y->rank ? y->rank - x->rank : x->order - y->order;
}

/* ---- levels ---- */

static bool
is_below(struct rt_level a, struct rt_level b)
{
	return a.spatial < b.spatial || (a.spatial == b.spatial && a.temporal < b.temporal);
}

static bool
is_preferred(const struct share *s, struct rt_level l)
{
	return l.spatial >= s->layers->preferred.spatial && l.temporal >= s->layers->preferred.temporal;
}

/* The part of a stream's bits in its temporal layers up to this one, in percent.  Nobody announces it; browsers'
 * encoders divide their rate like this. */
static unsigned
temporal_share(int temporal, int count)
{
	static const uint8_t share[4][4] = {{100}, {60, 100}, {40, 60, 100}, {25, 40, 60, 100}};

	if (count < 1 || temporal >= count - 1 || temporal < 0)
		return 100;
	return share[(count > 4 ? 4 : count) - 1][temporal > 3 ? 3 : temporal];
}

/* On the wire: by what came of these layers; where that is not known yet, by what encoders usually do. */
static uint64_t
cost_of(const struct share *s, struct rt_level l)
{
	int stream = s->layers->simulcast ? l.spatial : 0;
	uint64_t bps, flows_bps;

	if (l.spatial < 0)
		return 0;
	bps = rt_producer_cost(s->producer, stream, s->layers->simulcast ? 0 : l.spatial, l.temporal,
						   !s->layers->simulcast && s->layers->key);
	if (bps == 0)
	{
		bps = rt_producer_bitrate(s->producer, stream);
		if (!s->layers->simulcast)
			bps = bps * (uint64_t) (l.spatial + 1) / (uint64_t) rt_layers_spatial_count(s->layers);
		bps = bps * temporal_share(l.temporal, rt_layers_temporal_count(s->layers)) / 100;
	}
	flows_bps = rt_producer_bitrate(s->producer, stream);
	if (!flows_bps)
		return bps + bps / 16;
	return bps + bps * (8 * WIRE_BYTES * rt_producer_packet_rate(s->producer, stream)) / flows_bps;
}

/* Of a track that has no choice: sound's packets are small, so their headers count. */
static uint64_t
cost_of_sound(const struct share *s)
{
	return rt_consumer_bitrate(s->consumer) + 8 * SOUND_WIRE_BYTES * rt_consumer_packet_rate(s->consumer);
}

static struct rt_level
lowest(const struct share *s)
{
	for (int i = 0; i < rt_layers_spatial_count(s->layers); i++)
		if (is_live(s, i))
			return (struct rt_level){(int8_t) i, 0};
	return (struct rt_level){0, 0};
}

static void
begin_share(struct share *s, struct rt_consumer *c)
{
	s->consumer = c;
	s->layers = rt_consumer_layers(c);
	s->producer = rt_consumer_producer(c);
	s->limit = rt_producer_limit(s->producer);
	s->most = s->layers->preferred;
	if (s->limit == RT_FANOUT_LOWEST)
		s->most = lowest(s);
	else if (s->limit == RT_FANOUT_NONE)
		s->most = (struct rt_level){-1, -1};
	s->has_choice = s->layers->video && !rt_consumer_is_paused(c);
	s->rank = RANK_PRIORITY * rt_consumer_priority(c);
	if (s->has_choice && rt_producer_is_screen(s->producer))
		s->rank += RANK_SCREEN;
	else if (s->has_choice && rt_producer_speaks(s->producer))
		s->rank += RANK_SPEAKER;
}

static int
next_live(const struct share *s, int above)
{
	for (int i = above + 1; i <= s->most.spatial; i++)
		if (is_live(s, i))
			return i;
	return -1;
}

/* The next better level that it may have.  False: there is none.  All pictures of a layer are better than the fewest
 * of the next one: that one begins with its second temporal layer, if it has some. */
static bool
find_next(const struct share *s, struct rt_level l, struct rt_level *next)
{
	int spatial;

	*next = (struct rt_level){l.spatial, (int8_t) (l.temporal + 1)};
	if (l.temporal < s->most.temporal)
		return true;
	spatial = next_live(s, l.spatial);
	*next = (struct rt_level){(int8_t) spatial, s->most.temporal > 0};
	return spatial >= 0;
}

/* ---- sharing ---- */

/* No congestion for a while. */
static bool
is_calm(const struct rt_allot *a)
{
	return !rt_egress_congested(a->egress) &&
		   (!a->decreased_us || rt_hub_now_us(rt_egress_hub(a->egress)) - a->decreased_us > MINOR_US);
}

static void
spend(uint64_t *budget, uint64_t cost)
{
	*budget -= cost < *budget ? cost : *budget;
}

/* K-SVC: another layer begins with a key picture of all layers, and until that is through there is no picture. */
static bool
needs_room(const struct share *s, struct rt_level next)
{
	return !s->layers->simulcast && s->layers->key && next.spatial != s->layers->target.spatial;
}

/* What is to be left free, so that pictures larger than others do not fill the path. */
static uint64_t
spare_of(const struct share *s, struct rt_level next)
{
	return cost_of(s, next) / (needs_room(s, next) ? 3 : 8);
}

/* One level more, if what is left allows it. */
static bool
raise_level(struct share *s, bool proven, uint64_t *budget)
{
	struct rt_level next;
	uint64_t now, then;

	if (!find_next(s, s->level, &next))
		return false;
	now = cost_of(s, s->level);
	then = cost_of(s, next);
	if (then > now && is_below(s->layers->target, next))
		then += needs_room(s, next) || !proven ? spare_of(s, next) : 0; /* not up to the brim, unless it was tried */
	if (then > now && then - now > *budget)
		return false;
	spend(budget, then > now ? then - now : 0);
	s->level = next;
	return true;
}

/* The lowest level, if it fits, or flows well; else nothing. */
static void
begin_level(struct rt_allot *a, struct share *s, uint64_t *budget)
{
	uint64_t cost;

	s->level = lowest(s);
	if (s->limit == RT_FANOUT_NONE)
		s->level = s->most;
	cost = cost_of(s, s->level);
	if (cost > *budget && (rt_consumer_is_suspended(s->consumer) || !is_calm(a)))
		s->level = (struct rt_level){-1, -1};
	else
		spend(budget, cost);
}

/* One after the other, until nobody can be raised. */
static void
raise_all(struct share *shares, int n, bool proven, uint64_t *budget)
{
	bool raised;

	do
	{
		raised = false;
		for (int i = 0; i < n; i++)
			raised |= shares[i].level.spatial >= 0 && raise_level(&shares[i], proven, budget);
	} while (raised);
}

/* How many from here on have the same rank. */
static int
count_rank(const struct share *shares, int n)
{
	int k = 1;

	while (k < n && shares[k].rank == shares[0].rank)
		k++;
	return k;
}

/* It gets all that it may before the next one gets anything. */
static bool
is_exclusive(const struct share *s, const struct share *last)
{
	return s->rank & RANK_SCREEN || s->rank / RANK_PRIORITY > last->rank / RANK_PRIORITY;
}

/* More may be given though hardly anything is to spare: a probe has shown that it fits, and the last one that showed
 * it was right. */
static bool
may_be_close(const struct rt_allot *a)
{
	return rt_egress_proven(a->egress) && rt_hub_now_us(rt_egress_hub(a->egress)) >= a->close_again_us;
}

/* shares: by rank. */
static void
share_out(struct rt_allot *a, struct share *shares, int n, uint64_t budget)
{
	bool proven = may_be_close(a);
	int first = 0, k;

	for (; first < n && is_exclusive(&shares[first], &shares[n - 1]); first += k)
	{
		k = count_rank(shares + first, n - first);
		for (int i = first; i < first + k; i++)
			begin_level(a, &shares[i], &budget);
		raise_all(shares + first, k, proven, &budget);
	}
	for (int i = first; i < n; i++)
		begin_level(a, &shares[i], &budget);
	for (; first < n; first += k)
	{
		k = count_rank(shares + first, n - first);
		raise_all(shares + first, k, proven, &budget);
	}
}

/* ---- targets ---- */

static const char *
why(const struct share *s)
{
	struct rt_level next;

	if (s->limit != RT_FANOUT_ALL)
		return RT_FANOUT_REASON;
	if (is_preferred(s, s->level))
		return "preferred";
	return find_next(s, s->level, &next) ? "bandwidth" : "the sender does not send more";
}

/* The estimate grows only with what is sent: so where nobody can send probes, and there was no congestion for a
 * while, more is tried, and taken back, with a longer wait, if that brings congestion. */
static bool
may_try_more(struct rt_allot *a, uint64_t now)
{
	if (rt_egress_congested(a->egress))
	{
		if (a->upgrade_us && now - a->upgrade_us < TRIAL_US)
			a->upgrade_wait_us =
				a->upgrade_wait_us * 2 > MAX_UPGRADE_WAIT_US ? MAX_UPGRADE_WAIT_US : a->upgrade_wait_us * 2;
		a->upgrade_us = now;
		return false;
	}
	return now - a->upgrade_us >= a->upgrade_wait_us;
}

/* A step up that congestion follows makes the next one wait longer. */
static void
note_decrease(struct rt_allot *a, uint64_t now)
{
	uint64_t at_us = rt_egress_decreased_us(a->egress);

	if (at_us == a->decreased_us)
		return;
	a->decreased_us = at_us;
	if (a->step_us && now - a->step_us < TRIAL_US)
	{
		a->step_wait_us = a->step_wait_us * 2 > MAX_STEP_US ? MAX_STEP_US : a->step_wait_us * 2;
		a->blame_us = now + BLAME_US;
	}
	else
	{
		a->step_wait_us = FIRST_STEP_US;
		a->blame_us = 0;
	}
	a->step_us = 0; /* it has had its answer */
}

static bool
may_step_up(const struct rt_allot *a, uint64_t now)
{
	return !rt_egress_congested(a->egress) && (!a->decreased_us || now - a->decreased_us >= a->step_wait_us);
}

/* All frames of the spatial layer it has, or of the next one.  False: it has all that it may. */
static bool
find_trial(const struct share *s, struct rt_level *l)
{
	struct rt_level target = s->layers->target;

	if (s->limit == RT_FANOUT_NONE)
		return false;
	if (target.spatial < 0)
	{
		*l = lowest(s);
		return true;
	}
	if (!find_next(s, target, l))
		return false;
	l->temporal = s->most.temporal;
	return true;
}

/* The path was seen to carry what flows: a queue that comes and goes is a key frame's, or of pictures larger than
 * others.  Close to what a path carries that is so all the time, and giving up a layer each time would not help. */
static bool
only_bursts(const struct rt_allot *a)
{
	uint64_t carried_bps = rt_egress_carried_bps(a->egress);

	return carried_bps >= a->used_bps && rt_egress_queue_ms(a->egress) < MAX_BURST_MS &&
		   rt_egress_loss(a->egress) < MAX_BURST_LOSS &&
		   rt_hub_now_us(rt_egress_hub(a->egress)) - a->drained_us < STANDS_US;
}

/* An estimate below what flows well is only cautious. */
static bool
flows_well(const struct rt_allot *a, const struct share *s)
{
	struct rt_level target = s->layers->target, most = s->most;

	return (is_calm(a) || only_bursts(a)) && target.spatial >= 0 && is_live(s, target.spatial) &&
		   target.spatial <= most.spatial && target.temporal <= most.temporal;
}

/* What was given with little to spare is taken back: it takes longer until that is tried again. */
static void
end_close(struct rt_allot *a, uint64_t now)
{
	if (now - a->close_us > CLOSE_TRIAL_US || !a->close_wait_us)
		a->close_wait_us = FIRST_CLOSE_US;
	else
		a->close_wait_us = a->close_wait_us * 2 > MAX_CLOSE_US ? MAX_CLOSE_US : a->close_wait_us * 2;
	a->close_again_us = now + a->close_wait_us;
	a->close_us = 0;
}

static void
note_step(struct rt_allot *a, const struct rt_consumer *c, uint64_t now)
{
	if (a->step_us != now)
		a->nstepped = 0;
	a->step_us = now;
	if (may_be_close(a))
		a->close_us = now;
	if (a->nstepped < MAX_STEPPED)
		a->stepped[a->nstepped++] = c;
}

/* Others were given more, and it was too much: what this one has was not. */
static bool
is_innocent(const struct rt_allot *a, const struct share *s, uint64_t now)
{
	if (now >= a->blame_us || s->layers->target.spatial < 0 || !is_live(s, s->layers->target.spatial))
		return false;
	for (int i = 0; i < a->nstepped; i++)
		if (a->stepped[i] == s->consumer)
			return false;
	return a->nstepped < MAX_STEPPED;
}

/* True: it is given more than the estimate allows, to try.  rising: the highest rank that gets more this time; what
 * it gets, those below it lose. */
static bool
choose(struct rt_allot *a, const struct share *s, int rising, bool may_try, uint64_t now)
{
	struct rt_level target = s->layers->target, trial;
	bool up = is_below(target, s->level);

	if (!up && may_try && (target.spatial < 0 || is_live(s, target.spatial)) && find_trial(s, &trial))
	{
		rt_consumer_aim(s->consumer, trial, "trying more");
		return true;
	}
	if (up && !may_step_up(a, now) && is_live(s, target.spatial < 0 ? 0 : target.spatial) &&
		target.spatial <= s->most.spatial)
		return false; /* later */
	if (up)
		note_step(a, s->consumer, now);
	else if (is_below(s->level, target) && a->close_us && !flows_well(a, s))
		end_close(a, now);
	if (!up && is_below(s->level, target) && s->limit == RT_FANOUT_ALL && is_innocent(a, s, now))
		return false;
	rt_consumer_aim(s->consumer,
					is_below(s->level, target) && s->rank >= rising && flows_well(a, s) ? target : s->level, why(s));
	return false;
}

/* What the next step up of one of them needs, all together, for the probes; and who can send them. */
static void
want_more(struct rt_allot *a, const struct share *shares, int n, uint64_t sound_bps)
{
	uint64_t used = sound_bps, least = 0, spare = 0;
	struct rt_consumer *padder = NULL;
	struct rt_level next;

	for (int i = 0; i < n; i++)
	{
		const struct share *s = &shares[i];
		struct rt_level target = s->layers->target;
		uint64_t step = 0;

		used += cost_of(s, target);
		if (padder == NULL && rt_consumer_can_pad(s->consumer))
			padder = s->consumer;
		next = lowest(s);
		if (s->limit == RT_FANOUT_NONE)
			continue;
		if (target.spatial < 0 || (find_next(s, target, &next) && cost_of(s, next) > cost_of(s, target)))
			step = cost_of(s, next) - cost_of(s, target);
		if (step && (!least || step < least))
		{
			least = step;
			spare = spare_of(s, next);
		}
	}
	a->used_bps = used;
	rt_egress_want_bps(a->egress, least ? used + least + spare + used / 16 : 0,
					   rt_hub_now_us(rt_egress_hub(a->egress)) >= a->close_again_us ? used + least : 0,
					   &rt_consumer_source, padder);
	rt_egress_set_video(a->egress, n > 0);
	a->can_probe = padder != NULL;
}

void
rt_allot_layers(struct rt_allot *a, struct rt_consumer *first)
{
	uint64_t now = rt_hub_now_us(rt_egress_hub(a->egress));
	struct share shares[RT_ALLOT_MAX];
	bool may_try, fell = rt_egress_decreased_us(a->egress) != a->decreased_us;
	uint64_t sound_bps = 0, budget = UINT64_MAX;
	int n = 0, rising = -1;

	if (rt_egress_take_want(a->egress))
		a->upgrade_us = 0; /* what the client has just chosen is tried at once */
	else if (now - a->allotted_us < ALLOT_US && !fell)
		return;
	a->allotted_us = now;
	note_decrease(a, now);
	if (rt_egress_queue_ms(a->egress) < DRAINED_MS && rt_egress_paced_ms(a->egress) < PACED_MS)
		a->drained_us = now;
	for (struct rt_consumer *c = first; c != NULL; c = rt_consumer_next(c))
	{
		assert(n < RT_ALLOT_MAX);
		begin_share(&shares[n], c);
		shares[n].order = -n; /* the newest is the first of the list */
		if (shares[n].has_choice)
			n++;
		else
			sound_bps += cost_of_sound(&shares[n]);
	}
	qsort(shares, (size_t) n, sizeof(*shares), by_rank);
	if (rt_egress_known(a->egress))
	{
		budget = rt_egress_estimate_bps(a->egress);
		spend(&budget, sound_bps);
	}
	share_out(a, shares, n, budget);
	may_try = may_try_more(a, now) && !a->can_probe;
	for (int i = n - 1; i >= 0; i--)
		if (may_step_up(a, now) && is_below(shares[i].layers->target, shares[i].level))
			rising = shares[i].rank;
	for (int i = 0; i < n; i++)
		if (choose(a, &shares[i], rising, may_try, now))
		{
			may_try = false;
			a->upgrade_us = now;
		}
	want_more(a, shares, n, sound_bps);
}
