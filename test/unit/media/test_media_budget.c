/* What one peer may cost the media worker. */
#include "bgworker/media/forward/budget.h"

#include "tap.h"

#define MS 1000000u

/* So many ns a datagram, so many datagrams a second, for ten seconds; the part of them that is let through. */
static double
flood(uint64_t cost_ns, uint64_t per_s, double *core)
{
	struct rt_budget b = {0};
	uint64_t taken = 0;

	for (uint64_t i = 0; i < 10 * per_s; i++)
		if (rt_budget_allows(&b, 1000000 + i * 1000000 / per_s))
		{
			taken++;
			rt_budget_spend(&b, cost_ns);
		}
	*core = (double) (taken * cost_ns) / 10e9;
	return (double) taken / (double) (10 * per_s);
}

int
main(void)
{
	struct rt_budget b = {0};
	uint64_t before = rt_budget_clock_ns();
	double core, part;

	part = flood(50000, 40, &core);
	ok(part == 1, "a viewer's feedback is all read");
	part = flood(2 * MS, 500, &core);
	ok(part < 0.1 && core < 0.07, "a flood of what is dear takes %.3f of a core", core);
	part = flood(10000, 50000, &core);
	ok(core < 0.07, "and so does one of what is cheap: %.3f", core);
	for (int i = 0; i < 100; i++)
		rt_budget_spend(&b, 10 * MS);
	ok(!rt_budget_allows(&b, 1000000) && !rt_budget_allows(&b, 1500000), "nothing for a while");
	ok(rt_budget_allows(&b, 30000000), "and then again");
	ok(rt_budget_clock_ns() > before, "the clock goes by the CPU");
	return tap_done();
}
