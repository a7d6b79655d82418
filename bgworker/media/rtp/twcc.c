/* twcc.c: see twcc.h.  demux.c owns one for each peer that sends.
 *
 * Invariant: arrival_us holds what came of base .. highest, at most RT_TWCC_WINDOW numbers.  Each is told once, and
 * what came too late for its feedback is told as lost. */
#include "twcc.h"

#include "rtcp.h"
#include "seq.h"

void
rt_twcc_received(struct rt_twcc *t, uint16_t seq, uint32_t ssrc, uint64_t now_us)
{
	t->media_ssrc = ssrc;
	if (!t->started)
	{
		t->started = true;
		t->base = seq;
		t->highest = (uint16_t) (seq - 1);
	}
	if (!rt_seq_newer(seq, t->highest))
	{
		if (!rt_seq_newer(t->base, seq)) /* reordered within the window */
			t->arrival_us[seq % RT_TWCC_WINDOW] = now_us;
		return;
	}
	if ((uint16_t) (seq - t->base) >= RT_TWCC_WINDOW)
	{
		t->base = seq; /* a jump: what lay between is not worth telling */
		t->highest = (uint16_t) (seq - 1);
	}
	for (uint16_t s = (uint16_t) (t->highest + 1); s != seq; s++)
		t->arrival_us[s % RT_TWCC_WINDOW] = 0;
	t->arrival_us[seq % RT_TWCC_WINDOW] = now_us;
	t->highest = seq;
}

size_t
rt_twcc_feedback(struct rt_twcc *t, uint8_t *out, size_t cap, uint32_t ssrc)
{
	uint64_t arrival[256];
	int n = 0, written = 0;
	size_t len;

	if (!t->started)
		return 0;
	for (uint16_t s = t->base; n < 256 && !rt_seq_newer(s, t->highest); s++)
		arrival[n++] = t->arrival_us[s % RT_TWCC_WINDOW];
	if (n == 0)
		return 0;
	len = rt_rtcp_write_twcc(out, cap, ssrc, t->media_ssrc, t->count, t->base, arrival, n, &written);
	if (len == 0)
	{
		t->base = (uint16_t) (t->base + n); /* nothing of it arrived; a later feedback tells so by its base */
		return 0;
	}
	t->count++;
	t->base = (uint16_t) (t->base + (written ? written : n));
	return len;
}
