/* budget.c: see budget.h.  endpoint.c has one for each transport.  A leaky bucket: what was spent runs off at SHARE.
 */
#include "budget.h"

#include <time.h>

#define SHARE 20 /* of a core: one in so many */
#define BURST_NS 100000000u

bool
rt_budget_allows(struct rt_budget *b, uint64_t now_us)
{
	uint64_t passed_ns = (now_us - b->at_us) * 1000 / SHARE;

	b->spent_ns -= passed_ns < b->spent_ns ? passed_ns : b->spent_ns;
	b->at_us = now_us;
	return b->spent_ns < BURST_NS;
}

void
rt_budget_spend(struct rt_budget *b, uint64_t cpu_ns)
{
	b->spent_ns += cpu_ns;
}

uint64_t
rt_budget_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}
