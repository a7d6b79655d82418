/* drain.c: see drain.h.  The database orders it by rt:drain; main ends the program when it is over.
 *
 * Sessions end along a straight line from all to none, after HEAD_START_MS in which the successor starts: it must
 * serve before the first client looks for it.  Once begun it cannot be taken back; a second order can only shorten
 * it. */
#include "drain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/net/network.h"

#define TICK_MS 50
#define HEAD_START_MS 1000 /* of the successor: it must serve before the first client looks for it */

struct rt_drain
{
	struct rt_drain_uses uses;
	struct rt_timer *timer;
	bool begun;
	bool over;
	uint64_t from_ms; /* until then nobody is ended */
	uint64_t until_ms;
	uint64_t sessions; /* that there were at the beginning */
};

/* How many may still be there at a time: a straight line from all to none. */
static uint64_t
may_stay(const struct rt_drain *d, uint64_t now_ms)
{
	if (now_ms <= d->from_ms)
		return d->sessions;
	return now_ms >= d->until_ms ? 0 : d->sessions * (d->until_ms - now_ms) / (d->until_ms - d->from_ms);
}

static void
on_timer(void *arg)
{
	struct rt_drain *d = arg;
	uint64_t now_ms = rt_loop_now_ms(d->uses.loop);
	uint64_t there = rt_network_traffic(d->uses.network)->sessions;
	uint64_t stay = may_stay(d, now_ms);

	if (d->over)
		return;
	if (there > stay)
		rt_network_end_some(d->uses.network, there - stay);
	d->over = there == 0 || now_ms >= d->until_ms;
	if (d->over)
		d->uses.on_over(d->uses.arg);
	else
		rt_timer_start(d->timer, TICK_MS);
}

void
rt_drain_begin(struct rt_drain *d, uint64_t spread_ms)
{
	uint64_t now_ms = rt_loop_now_ms(d->uses.loop);

	if (d->begun && now_ms + spread_ms >= d->until_ms)
		return;
	d->until_ms = now_ms + spread_ms;
	d->from_ms = now_ms + (spread_ms < HEAD_START_MS ? spread_ms : HEAD_START_MS);
	d->sessions = rt_network_traffic(d->uses.network)->sessions;
	rt_timer_start(d->timer, 0);
	if (d->begun)
		return;
	d->begun = true;
	rt_log(RT_LOG_INFO, NULL, "draining for %" PRIu64 " ms", spread_ms);
	rt_network_refuse_sessions(d->uses.network);
	if (d->uses.has_successor)
		d->uses.on_begin(d->uses.arg);
}

bool
rt_drain_begun(const struct rt_drain *d)
{
	return d->begun;
}

static void
run_drain(void *owner, const json_t *payload)
{
	struct rt_drain *d = owner;
	const char *gateway = rt_json_str(payload, "gateway");
	int64_t spread_ms = rt_json_int(payload, "spreadMs", -1);

	if (gateway != NULL && strcmp(gateway, d->uses.self->name) == 0 && spread_ms >= 0)
		rt_drain_begin(d, (uint64_t) spread_ms);
}

static const struct rt_command_def commands[] = {{"rt:drain", run_drain}};

struct rt_drain *
rt_drain_new(const struct rt_drain_uses *uses)
{
	struct rt_drain *d = rt_alloc(sizeof(*d));

	d->uses = *uses;
	d->timer = rt_timer_new(uses->loop, on_timer, d);
	rt_commands_add(uses->commands, commands, sizeof(commands) / sizeof(commands[0]), d);
	return d;
}

void
rt_drain_free(struct rt_drain *d)
{
	if (d == NULL)
		return;
	rt_timer_free(d->timer);
	free(d);
}
