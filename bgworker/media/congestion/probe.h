/* probe.h: when to try whether a path carries more than the estimate says, with padding instead of media.
 *
 * A probe is a cluster of packets at the rate that is wanted, 25 ms long or five packets; longer where packets
 * overtake one another.  It is sent at the start, a second after the estimate fell, and as long as something more
 * could be used: after half a second when the last one succeeded, else after one, two and then three seconds each.
 *
 * A short cluster measures to a tenth or so.  Where the path is known to carry what the next step up needs, and
 * little more, the probe is longer and hardly faster than that need: if it comes through, the step fits. */
#ifndef RT_PROBE_H
#define RT_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RT_PROBE_PACKETS 5 /* at least */

/* Zeroed at first. */
struct rt_probe
{
	uint64_t due_us;
	uint64_t wait_us;
	uint64_t estimate_bps; /* when the last one was sent */
	/* the cluster that is being sent */
	bool active;
	uint64_t target_bps, from_us, until_us;
	uint64_t bytes; /* sent of it by now */
	int packets;
};

/* What the caller knows now. */
struct rt_probe_input
{
	uint64_t estimate_bps;
	uint64_t wanted_bps;  /* what the next step up needs, all streams together; 0: nothing more could be used */
	uint64_t least_bps;   /* the same without anything to spare */
	uint64_t carried_bps; /* what the path carried when it was full, lately; 0: not known */
	bool congested;
	uint64_t decreased_us; /* when the estimate fell last; 0: never */
	uint32_t queue_ms;
};

/* True: a cluster begins. */
bool rt_probe_begin(struct rt_probe *p, const struct rt_probe_input *in, uint64_t now_us);
/* Bytes that are due of the cluster at this moment, besides what was told as sent; 0 when it is over, too. */
size_t rt_probe_due(struct rt_probe *p, uint64_t now_us);
void rt_probe_sent(struct rt_probe *p, size_t bytes);
void rt_probe_stop(struct rt_probe *p);

#endif
