/* clock.h: the clocks, in microseconds. Everything in rt reads them here; nothing else is needed, so the server's
 * side does too. */
#ifndef RT_CLOCK_H
#define RT_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
rt_clock_read_us(clockid_t clock)
{
	struct timespec t = {0};

	(void) clock_gettime(clock, &t); /* fails for an unknown clock alone */
	return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

/* Monotonic: for deadlines and durations. As a time of day it means nothing. */
static inline uint64_t
rt_clock_us(void)
{
	return rt_clock_read_us(CLOCK_MONOTONIC);
}

/* The time of day since 1970, which an administrator may set: for what leaves the machine. */
static inline uint64_t
rt_clock_of_day_us(void)
{
	return rt_clock_read_us(CLOCK_REALTIME);
}

/* What this thread has computed: for charging work to whom it was done for, however busy the machine is.  Costs a
 * system call. */
static inline uint64_t
rt_clock_cpu_us(void)
{
	return rt_clock_read_us(CLOCK_THREAD_CPUTIME_ID);
}

#endif
