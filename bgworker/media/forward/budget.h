/* budget.h: what one peer may cost.  Its feedback is a twentieth of the core's time at the most, and a tenth of a
 * second at once; a viewer needs a thousandth.  What comes beyond that is dropped unread, so a flood costs its sender
 * the feedback, and others nothing. */
#ifndef RT_BUDGET_H
#define RT_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed at first. */
struct rt_budget
{
	uint64_t spent_ns; /* decays with time */
	uint64_t at_us;
};

bool rt_budget_allows(struct rt_budget *b, uint64_t now_us);
/* cpu_ns: of the thread, so that a busy machine is not the peer's fault. */
void rt_budget_spend(struct rt_budget *b, uint64_t cpu_ns);
uint64_t rt_budget_clock_ns(void);

#endif
