/* counters.c: see counters.h. Anybody may count, at any time; nothing here reads what was counted. */
#include "counters.h"

#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/metric.h"

struct rt_counters
{
	uint64_t values[RT_COUNTERS];
	struct rt_histogram durations[RT_DURATIONS];
};

struct rt_counters *
rt_counters_new(void)
{
	return rt_alloc(sizeof(struct rt_counters));
}

void
rt_counters_free(struct rt_counters *cs)
{
	free(cs);
}

void
rt_counters_add(struct rt_counters *cs, enum rt_counter which, uint64_t n)
{
	cs->values[which] += n;
}

void
rt_counters_observe(struct rt_counters *cs, enum rt_duration which, uint64_t us)
{
	rt_histogram_add(&cs->durations[which], us);
}

const uint64_t *
rt_counters_value(const struct rt_counters *cs, enum rt_counter which)
{
	return &cs->values[which];
}

const struct rt_histogram *
rt_counters_durations(const struct rt_counters *cs, enum rt_duration which)
{
	return &cs->durations[which];
}
