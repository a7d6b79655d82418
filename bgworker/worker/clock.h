/* clock.h: the time that deadlines and pauses are in.  It only goes forward, whatever is done to the system's clock.
 * Its unit is a timestamp's, so that the server's functions for intervals fit; as a time of day it means nothing. */
#ifndef RT_CLOCK_H
#define RT_CLOCK_H

#include "postgres.h"

#include <time.h>

#include "datatype/timestamp.h"

static inline TimestampTz
rt_clock_now(void)
{
	struct timespec t;

	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (TimestampTz) t.tv_sec * USECS_PER_SEC + t.tv_nsec / 1000;
}

#endif
