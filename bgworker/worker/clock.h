/* clock.h: the time that deadlines and pauses are in.  It only goes forward, whatever is done to the system's clock.
 * Its unit is a timestamp's, so that the server's functions for intervals fit; as a time of day it means nothing. */
#ifndef RT_WORKER_CLOCK_H
#define RT_WORKER_CLOCK_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "bgworker/common/clock.h"

static inline TimestampTz
rt_clock_now(void)
{
	return (TimestampTz) rt_clock_us();
}

#endif
