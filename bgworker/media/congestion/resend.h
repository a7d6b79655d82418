/* resend.h: which retransmissions one receiver gets.
 *
 * All together take at most a fifth of the estimate, with a quarter of a second of that saved up.  One packet goes
 * out again when a round trip has passed since the last time, at most RT_RESEND_TRIES times, and not once the
 * receiver can no longer use it: video after two seconds, sound after half a second. */
#ifndef RT_RESEND_H
#define RT_RESEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RT_RESEND_TRIES 10
#define RT_RESEND_VIDEO_MS 2000
#define RT_RESEND_AUDIO_MS 500

/* Zeroed at first. */
struct rt_resend
{
	double budget; /* bytes */
	uint64_t updated_us;
};

/* Takes it from the budget.  False: the budget is spent. */
bool rt_resend_take(struct rt_resend *r, size_t bytes, uint64_t estimate_bps, uint64_t now_us);
/* sent_ms: when it went out last, wraps; tries: how often again by now. */
bool rt_resend_is_due(uint32_t first_ms, uint32_t last_ms, int tries, uint32_t rtt_ms, uint32_t max_age_ms,
					  uint32_t now_ms);
/* Whether asking for lost sound makes sense: it must come before it is to be played. */
bool rt_resend_helps_audio(uint32_t rtt_ms);

#endif
