/* replay_window.h: which packet of an incoming stream a number stands for, and whether it came already (RFC 3711
 * sections 3.3.1 and 3.3.2).  Nothing is noted before the packet has proved authentic. */
#ifndef RT_REPLAY_WINDOW_H
#define RT_REPLAY_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define RT_REPLAY_WINDOW_PACKETS 1024 /* packets before the newest one that may still come */

/* Zeroed at first. */
struct rt_replay_window
{
	uint64_t highest;
	bool started;
	uint64_t seen[RT_REPLAY_WINDOW_PACKETS / 64]; /* by index, modulo the window */
};

/* The index of the packet with this sequence number: the one nearest to the newest packet's. */
uint64_t rt_replay_window_index(const struct rt_replay_window *r, uint16_t seq);
/* False: it came already, or is too old to tell. */
bool rt_replay_window_is_new(const struct rt_replay_window *r, uint64_t index);
void rt_replay_window_note(struct rt_replay_window *r, uint64_t index);

#endif
