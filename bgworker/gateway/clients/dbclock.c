/* dbclock.c: see dbclock.h.
 *
 * The database's time lies between question and answer; the middle of both is taken, so it is wrong by half of that
 * time at most.  What could be such an error, or is less than DIFFERS_S, is no difference: then the host's own clock
 * applies, which is exact where both programs run on one host.  An answer that took longer than SLOW_S says too
 * little. */
#include "dbclock.h"

#include <math.h>
#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/log.h"

#define DIFFERS_S 1.0
#define SLOW_S 5.0

struct rt_dbclock
{
	double ahead_s; /* of the host's clock; 0: they agree */
};

struct rt_dbclock *
rt_dbclock_new(void)
{
	return rt_alloc(sizeof(struct rt_dbclock));
}

void
rt_dbclock_free(struct rt_dbclock *k)
{
	free(k);
}

static void
set_ahead(struct rt_dbclock *k, double ahead_s)
{
	k->ahead_s = ahead_s;
	if (ahead_s == 0)
		rt_log(RT_LOG_INFO, "clock", "this host's clock agrees with the database's again");
	else
		rt_log(RT_LOG_WARNING, "clock", "this host's clock is %.0f s %s the database's, which applies to tokens",
			   fabs(ahead_s), ahead_s > 0 ? "behind" : "ahead of");
}

void
rt_dbclock_note(struct rt_dbclock *k, const json_t *answer, uint64_t asked_us)
{
	const json_t *now = json_object_get(answer, "now");
	double trip_s = (double) (rt_clock_us() - asked_us) / 1e6;
	double ahead_s;

	if (!json_is_number(now) || trip_s > SLOW_S)
		return;
	ahead_s = json_number_value(now) - ((double) rt_clock_of_day_us() / 1e6 - trip_s / 2);
	if (fabs(ahead_s) < DIFFERS_S + trip_s / 2)
		ahead_s = 0;
	if (fabs(ahead_s - k->ahead_s) > trip_s / 2 && fabs(ahead_s - k->ahead_s) >= DIFFERS_S)
		set_ahead(k, ahead_s);
}

uint64_t
rt_dbclock_us(const struct rt_dbclock *k)
{
	return (uint64_t) ((int64_t) rt_clock_of_day_us() + (int64_t) (k->ahead_s * 1e6));
}

double
rt_dbclock_s(const struct rt_dbclock *k)
{
	return (double) rt_dbclock_us(k) / 1e6;
}
