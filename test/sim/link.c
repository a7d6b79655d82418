/* link.c: a path with a bottleneck that queues, see sim.h. */
#include "sim.h"

#define HEADERS 28 /* IPv4 and UDP */

static bool
is_lost(struct sim_link *l)
{
	if (l->down)
		return true;
	if (l->in_burst)
		l->in_burst = sim_random() >= 1 / l->burst_len;
	else
		l->in_burst = l->burst > 0 && sim_random() < l->burst;
	return l->in_burst || (l->loss > 0 && sim_random() < l->loss);
}

uint64_t
sim_link_send(struct sim_link *l, size_t bytes)
{
	uint64_t start = l->busy_until_us > sim_now_us ? l->busy_until_us : sim_now_us, at;
	bool lost = is_lost(l);

	l->packets++;
	l->bytes += bytes + HEADERS;
	if (l->down || (l->rate_bps > 0 && l->queue_us && start - sim_now_us > l->queue_us))
	{
		l->lost++;
		return 0;
	}
	if (l->rate_bps > 0)
		l->busy_until_us = start += (uint64_t) ((double) (bytes + HEADERS) * 8e6 / l->rate_bps);
	if (lost) /* on the air, behind the queue */
	{
		l->lost++;
		return 0;
	}
	at = start + l->delay_us + (uint64_t) (sim_random() * (double) l->jitter_us);
	if (!l->reorders && at < l->last_us)
		at = l->last_us;
	if (at > l->last_us)
		l->last_us = at;
	return at;
}
