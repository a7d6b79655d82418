/* limit.h: token buckets.  Time is given by the caller, in milliseconds of the monotonic clock. */
#ifndef RT_LIMIT_H
#define RT_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* Small enough to lie in each client's struct.  All zero is a full bucket that was never used. */
struct rt_limit
{
	uint32_t stamp_ms; /* of the last look; wraps, which the arithmetic bears */
	float spent;       /* tokens that are missing */
};

/* Takes one token of a bucket of `burst` that fills at `per_s`.  False if there is none: then *retry_ms tells
 * when there will be.  per_s of 0 or less means no limit. */
bool rt_limit_take(struct rt_limit *l, uint64_t now_ms, double per_s, double burst, uint32_t *retry_ms);

#endif
