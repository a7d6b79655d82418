/* backoff.h: when something that ended is started again.  The pause doubles with each short life and
 * begins anew after a long one; what had come up and served is replaced without a longer pause. */
#ifndef RT_BACKOFF_H
#define RT_BACKOFF_H

#include "postgres.h"
#include "utils/timestamp.h"

#include "bgworker/worker/clock.h"

#define RT_BACKOFF_MIN_MS 100
#define RT_BACKOFF_MAX_MS 10000
#define RT_BACKOFF_STEADY_MS 1000 /* a program that ran this long after it was ready did not fail at its start */
#define RT_BACKOFF_RESET_MS 30000

struct rt_backoff
{
	int pause_ms;    /* the last one; 0: none yet */
	TimestampTz due; /* 0: at once */
};

static inline void
rt_backoff_reset(struct rt_backoff *b)
{
	b->pause_ms = 0;
	b->due = 0;
}

static inline void
rt_backoff_ended(struct rt_backoff *b, long lived_ms, bool served)
{
	if (b->pause_ms == 0 || lived_ms >= RT_BACKOFF_RESET_MS)
		b->pause_ms = RT_BACKOFF_MIN_MS;
	else if (!served)
		b->pause_ms = Min(b->pause_ms * 2, RT_BACKOFF_MAX_MS);
	b->due = TimestampTzPlusMilliseconds(rt_clock_now(), b->pause_ms);
}

static inline bool
rt_backoff_is_due(const struct rt_backoff *b)
{
	return b->due <= rt_clock_now();
}

#endif
