/* clock.c: how far the time of day is ahead of a clock that nobody sets.  When that changes, somebody has set the
 * time of day.  The result is in seconds.  A SQL function, in any backend; takes no lock, and raises only without
 * the clock. */
#include "postgres.h"

#include <time.h>

#include "fmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(rt_clock_offset);

Datum
rt_clock_offset(PG_FUNCTION_ARGS)
{
	struct timespec steady;

	if (clock_gettime(CLOCK_MONOTONIC, &steady) != 0)
		elog(ERROR, "could not read the monotonic clock: %m");
	PG_RETURN_FLOAT8((double) GetCurrentTimestamp() / 1e6 - (double) steady.tv_sec - (double) steady.tv_nsec / 1e9);
}
