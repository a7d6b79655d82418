/* drain.h: rt.drain(): this gateway takes no new clients, and ends those that it has one after the other over a time,
 * so that they come back elsewhere without a storm.  Then the program ends.
 *
 * Where the supervisor has promised a successor (`"successor":true` in the configuration), the line "draining for <n>
 * ms" makes it start one; the port is free for it from then on.  Elsewhere the gateway keeps its port, answers
 * new clients with 503, and /readyz too, so that a load balancer sends them to others. */
#ifndef RT_DRAIN_H
#define RT_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "bgworker/common/loop.h"

struct rt_commands;
struct rt_drain;
struct rt_self;
struct rt_network;

/* What it uses; all is lent, and must live as long. */
struct rt_drain_uses
{
	struct rt_loop *loop;
	const struct rt_self *self;
	struct rt_network *network;
	struct rt_commands *commands; /* it adds rt:drain */
	bool has_successor;           /* the supervisor has promised one */
	rt_loop_cb on_begin;          /* the successor comes: give up what it must have */
	rt_loop_cb on_over;           /* nobody is left, or the time is over */
	void *arg;
};

struct rt_drain *rt_drain_new(const struct rt_drain_uses *uses);
void rt_drain_free(struct rt_drain *d); /* NULL is fine */

void rt_drain_begin(struct rt_drain *d, uint64_t spread_ms); /* once more: it can only become shorter */
bool rt_drain_begun(const struct rt_drain *d);

#endif
