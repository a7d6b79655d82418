#include "allot.h"

#include "consumer.h"
#include "layers.h"
#include "producer.h"

#define ALLOT_US 200000
#define FIRST_UPGRADE_US 2000000
#define MAX_UPGRADE_WAIT_US 60000000
#define TRIAL_US 3000000 /* congestion within this time after an upgrade was its fault */

static bool
is_simulcast(const struct rt_consumer *c)
{
	return c->producer->params.type == RT_PRODUCER_SIMULCAST;
}

static bool
is_live(const struct rt_consumer *c, int spatial)
{
	return !is_simulcast(c) || rt_producer_layer_live(c->producer, spatial);
}

static bool
has_choice(const struct rt_consumer *c)
{
	return c->params.kind == RT_KIND_VIDEO && !c->paused &&
		   (rt_layers_spatial_count(c) > 1 || rt_layers_temporal_count(c) > 1);
}

/* ---- levels ---- */

static bool
is_below(struct rt_level a, struct rt_level b)
{
	return a.spatial < b.spatial || (a.spatial == b.spatial && a.temporal < b.temporal);
}

static struct rt_level
target_of(const struct rt_consumer *c)
{
	return (struct rt_level){c->target_spatial, c->target_temporal};
}

static bool
is_preferred(const struct rt_consumer *c, struct rt_level l)
{
	return l.spatial >= c->preferred_spatial && l.temporal >= c->preferred_temporal;
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

static uint64_t
cost_of(const struct rt_consumer *c, struct rt_level l)
{
	uint64_t bps = is_simulcast(c) ? rt_producer_bitrate(c->producer, l.spatial)
								   : rt_producer_bitrate(c->producer, 0) * (uint64_t) (l.spatial + 1) /
										 (uint64_t) rt_layers_spatial_count(c);

	return bps * temporal_share(l.temporal, rt_layers_temporal_count(c)) / 100;
}

static struct rt_level
lowest(const struct rt_consumer *c)
{
	for (int i = 0; i < rt_layers_spatial_count(c); i++)
		if (is_live(c, i))
			return (struct rt_level){(int8_t) i, 0};
	return (struct rt_level){0, 0};
}

static int
next_live(const struct rt_consumer *c, int above)
{
	for (int i = above + 1; i <= c->preferred_spatial; i++)
		if (is_live(c, i))
			return i;
	return -1;
}

/* The next better level that it may have.  False: there is none. */
static bool
find_next(const struct rt_consumer *c, struct rt_level l, struct rt_level *next)
{
	int spatial;

	*next = (struct rt_level){l.spatial, (int8_t) (l.temporal + 1)};
	if (l.temporal < c->preferred_temporal)
		return true;
	spatial = next_live(c, l.spatial);
	*next = (struct rt_level){(int8_t) spatial, 0};
	return spatial >= 0;
}

/* ---- sharing ---- */

static void
spend(uint64_t *budget, uint64_t cost)
{
	*budget -= cost < *budget ? cost : *budget;
}

/* One level more, if what is left allows it. */
static bool
raise_level(struct rt_consumer *c, uint64_t *budget)
{
	struct rt_level next;
	uint64_t now, then;

	if (!has_choice(c) || !find_next(c, c->allotted, &next))
		return false;
	now = cost_of(c, c->allotted);
	then = cost_of(c, next);
	if (then > now && then - now > *budget)
		return false;
	spend(budget, then > now ? then - now : 0);
	c->allotted = next;
	return true;
}

/* The lowest level for each; what is left raises them, one after the other, until nobody can be raised. */
static void
share(struct rt_transport *t, uint64_t budget)
{
	bool raised;

	for (struct rt_consumer *c = t->consumers; c != NULL; c = c->next)
	{
		c->allotted = lowest(c);
		spend(&budget, has_choice(c) ? cost_of(c, c->allotted) : rt_consumer_bitrate(c));
	}
	do
	{
		raised = false;
		for (struct rt_consumer *c = t->consumers; c != NULL; c = c->next)
			raised |= raise_level(c, &budget);
	} while (raised);
}

/* ---- targets ---- */

static const char *
why(const struct rt_consumer *c)
{
	struct rt_level next;

	if (is_preferred(c, c->allotted))
		return "preferred";
	return find_next(c, c->allotted, &next) ? "bandwidth" : "the sender does not send more";
}

static void
set_target(struct rt_consumer *c, struct rt_level l, const char *reason)
{
	c->reason = reason;
	c->target_temporal = l.temporal;
	if (l.spatial == c->target_spatial)
		return;
	c->target_spatial = l.spatial;
	rt_consumer_want_keyframe(c);
}

/* The estimate grows only with what is sent: so where there was no congestion for a while, more is tried, and taken
 * back, with a longer wait, if that brings congestion. */
static bool
may_try_more(struct rt_transport *t)
{
	uint64_t now = t->engine->now_us;

	if (!t->upgrade_wait_us)
		t->upgrade_wait_us = FIRST_UPGRADE_US;
	if (rt_bwe_congested(t->bwe))
	{
		if (t->upgrade_us && now - t->upgrade_us < TRIAL_US)
			t->upgrade_wait_us =
				t->upgrade_wait_us * 2 > MAX_UPGRADE_WAIT_US ? MAX_UPGRADE_WAIT_US : t->upgrade_wait_us * 2;
		t->upgrade_us = now;
		return false;
	}
	return now - t->upgrade_us >= t->upgrade_wait_us;
}

/* All frames of the spatial layer it has, or of the next one.  False: it has all that it may. */
static bool
find_trial(const struct rt_consumer *c, struct rt_level *l)
{
	if (!find_next(c, target_of(c), l))
		return false;
	l->temporal = c->preferred_temporal;
	return true;
}

/* An estimate below what flows well is only cautious. */
static bool
flows_well(const struct rt_consumer *c)
{
	return !rt_bwe_congested(c->transport->bwe) && is_live(c, c->target_spatial) &&
		   c->target_spatial <= c->preferred_spatial && c->target_temporal <= c->preferred_temporal;
}

static void
choose(struct rt_consumer *c, bool *may_try)
{
	struct rt_level trial;

	if (!is_below(target_of(c), c->allotted) && *may_try && is_live(c, c->target_spatial) && find_trial(c, &trial))
	{
		set_target(c, trial, "trying more");
		*may_try = false;
		c->transport->upgrade_us = c->transport->engine->now_us;
	}
	else if (is_below(c->allotted, target_of(c)) && flows_well(c))
		set_target(c, target_of(c), why(c));
	else
		set_target(c, c->allotted, why(c));
}

void
rt_allot_layers(struct rt_transport *t)
{
	uint64_t now = t->engine->now_us;
	bool may_try;

	if (t->bwe == NULL || now - t->layers_us < ALLOT_US)
		return;
	t->layers_us = now;
	share(t, rt_bwe_known(t->bwe) ? rt_bwe_estimate(t->bwe) : UINT64_MAX);
	may_try = may_try_more(t);
	for (struct rt_consumer *c = t->consumers; c != NULL; c = c->next)
	{
		if (has_choice(c))
			choose(c, &may_try);
		else
			c->target_temporal = c->preferred_temporal;
	}
}
