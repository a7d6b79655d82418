/* resend.c: see resend.h. */
#include "resend.h"

#define SHARE 5 /* the fifth part */
#define SAVED_US 250000
#define MIN_SAVED 3000 /* bytes: two packets */
#define MIN_GAP_MS 20  /* between two of one packet, however near the receiver is */
#define MAX_AUDIO_RTT_MS 250

bool
rt_resend_take(struct rt_resend *r, size_t bytes, uint64_t estimate_bps, uint64_t now_us)
{
	double rate = (double) estimate_bps / 8e6 / SHARE, most = rate * SAVED_US;

	if (most < MIN_SAVED)
		most = MIN_SAVED;
	r->budget = r->updated_us ? r->budget + rate * (double) (now_us - r->updated_us) : most;
	r->updated_us = now_us;
	if (r->budget > most)
		r->budget = most;
	if (r->budget <= 0)
		return false;
	r->budget -= (double) bytes;
	return true;
}

bool
rt_resend_is_due(uint32_t first_ms, uint32_t last_ms, int tries, uint32_t rtt_ms, uint32_t max_age_ms,
				 uint32_t now_ms)
{
	uint32_t gap = rtt_ms > MIN_GAP_MS ? rtt_ms : MIN_GAP_MS;

	if (tries >= RT_RESEND_TRIES || now_ms - first_ms > max_age_ms)
		return false;
	return tries == 0 || now_ms - last_ms >= gap;
}

bool
rt_resend_helps_audio(uint32_t rtt_ms)
{
	return rtt_ms <= MAX_AUDIO_RTT_MS;
}
