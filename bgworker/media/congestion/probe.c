/* probe.c: see probe.h. */
#include "probe.h"

#define CLUSTER_US 25000
#define PACKET 300 /* bytes of a padding packet, about */
#define AFTER_SUCCESS_US 500000
#define FIRST_WAIT_US 1000000
#define MAX_WAIT_US 3000000
#define AFTER_DECREASE_US 1000000
#define QUIET_US 10000000 /* without congestion */
#define MAX_QUEUE_MS 30   /* the path is busy enough */
#define MAX_FACTOR 4      /* of the estimate */
#define CLOSE_BYTES 20000 /* where it is close: a packet more or less is to make no difference, */
#define CLOSE_US 500000
#define CLOSE_SPARE 25 /* and one in so many more than what is needed */

static void
plan_next(struct rt_probe *p, const struct rt_probe_input *in, uint64_t now_us)
{
	if (in->estimate_bps > p->estimate_bps + p->estimate_bps / 20)
		p->wait_us = AFTER_SUCCESS_US;
	else
		p->wait_us = p->wait_us < FIRST_WAIT_US ? FIRST_WAIT_US : p->wait_us * 2;
	if (p->wait_us > MAX_WAIT_US)
		p->wait_us = MAX_WAIT_US;
	p->estimate_bps = in->estimate_bps;
	p->due_us = now_us + p->wait_us;
}

/* The path is known to carry what is needed, and little more.  A short burst cannot tell how little. */
static bool
is_close(const struct rt_probe_input *in)
{
	return in->least_bps && in->carried_bps > in->least_bps + in->least_bps / CLOSE_SPARE / 2 &&
		   in->carried_bps < in->wanted_bps * 11 / 10;
}

bool
rt_probe_begin(struct rt_probe *p, const struct rt_probe_input *in, uint64_t now_us)
{
	bool quiet = !in->decreased_us || now_us - in->decreased_us > QUIET_US;
	/* What is measured is a little less than what was meant: packets and timers are not that fine. */
	uint64_t target = in->wanted_bps + in->wanted_bps / (quiet ? 3 : 6), length_us = CLUSTER_US;

	if (p->active || !in->wanted_bps || in->wanted_bps <= in->estimate_bps || now_us < p->due_us)
		return false;
	if (is_close(in))
	{
		target = in->least_bps + in->least_bps / CLOSE_SPARE;
		length_us = (uint64_t) CLOSE_BYTES * 8000000 / target;
		if (length_us > CLOSE_US)
			length_us = CLOSE_US;
	}
	if (in->congested || in->queue_ms > MAX_QUEUE_MS ||
		(in->decreased_us && now_us - in->decreased_us < AFTER_DECREASE_US))
		return false;
	plan_next(p, in, now_us);
	if (target > MAX_FACTOR * in->estimate_bps)
		target = MAX_FACTOR * in->estimate_bps;
	if (target * length_us / 8000000 < RT_PROBE_PACKETS * PACKET)
		length_us = (uint64_t) RT_PROBE_PACKETS * PACKET * 8000000 / target;
	p->active = true;
	p->target_bps = target;
	p->from_us = now_us;
	p->until_us = now_us + length_us;
	p->bytes = 0;
	p->packets = 0;
	return true;
}

size_t
rt_probe_due(struct rt_probe *p, uint64_t now_us)
{
	uint64_t due;

	if (!p->active)
		return 0;
	due = p->target_bps * (now_us - p->from_us) / 8000000 + PACKET;
	if (now_us >= p->until_us && p->packets >= RT_PROBE_PACKETS)
	{
		p->active = false;
		return 0;
	}
	return due > p->bytes ? due - p->bytes : 0;
}

void
rt_probe_sent(struct rt_probe *p, size_t bytes)
{
	p->bytes += bytes;
	p->packets++;
}

void
rt_probe_stop(struct rt_probe *p)
{
	p->active = false;
}
