/* replay_window.c: see replay_window.h.  gcm.c has two for each incoming SSRC.
 *
 * Invariant: of the RT_REPLAY_WINDOW_PACKETS indexes up to `highest`, the bit at index modulo the window is set if,
 * and only if, that one came.  Moving on clears the bits in between. */
#include "replay_window.h"

#include <string.h>

uint64_t
rt_replay_window_index(const struct rt_replay_window *r, uint16_t seq)
{
	uint16_t newest = (uint16_t) r->highest;
	uint64_t rollover = r->highest & ~0xffffull;

	if (newest < 0x8000 && seq - newest > 0x8000 && rollover > 0)
		rollover -= 0x10000;
	else if (newest >= 0x8000 && seq < newest - 0x8000)
		rollover += 0x10000;
	return rollover | seq;
}

static uint64_t
bit_of(uint64_t index)
{
	return 1ull << index % 64;
}

static uint64_t *
word_of(struct rt_replay_window *r, uint64_t index)
{
	return &r->seen[index % RT_REPLAY_WINDOW_PACKETS / 64];
}

bool
rt_replay_window_is_new(const struct rt_replay_window *r, uint64_t index)
{
	if (!r->started || index > r->highest)
		return true;
	return r->highest - index < RT_REPLAY_WINDOW_PACKETS &&
		   !(r->seen[index % RT_REPLAY_WINDOW_PACKETS / 64] & bit_of(index));
}

/* Those between the newest so far and this one have not come. */
static void
advance(struct rt_replay_window *r, uint64_t index)
{
	if (!r->started || index - r->highest >= RT_REPLAY_WINDOW_PACKETS)
		memset(r->seen, 0, sizeof(r->seen));
	else
		for (uint64_t i = r->highest + 1; i < index; i++)
			*word_of(r, i) &= ~bit_of(i);
	r->started = true;
	r->highest = index;
}

void
rt_replay_window_note(struct rt_replay_window *r, uint64_t index)
{
	if (!r->started || index > r->highest)
		advance(r, index);
	*word_of(r, index) |= bit_of(index);
}
