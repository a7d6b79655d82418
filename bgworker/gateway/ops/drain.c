/* drain.c: see drain.h */
#include "drain.h"

#include <inttypes.h>
#include <stdlib.h>

#include "bgworker/common/conf.h"
#include "bgworker/common/log.h"
#include "bgworker/gateway/app.h"
#include "bgworker/gateway/net/network.h"

#define TICK_MS 50
#define HEAD_START_MS 1000 /* of the successor: it must serve before the first client looks for it */

struct rt_drain
{
	struct rt_app *app;
	rt_loop_cb on_begin;
	rt_loop_cb on_over;
	void *arg;
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
	uint64_t now_ms = rt_loop_now_ms(d->app->loop);
	uint64_t there = rt_network_traffic(d->app->network)->sessions;
	uint64_t stay = may_stay(d, now_ms);

	if (d->over)
		return;
	if (there > stay)
		rt_network_end_some(d->app->network, there - stay);
	d->over = there == 0 || now_ms >= d->until_ms;
	if (d->over)
		d->on_over(d->arg);
	else
		rt_timer_start(d->timer, TICK_MS);
}

void
rt_drain_begin(struct rt_drain *d, uint64_t spread_ms)
{
	uint64_t now_ms = rt_loop_now_ms(d->app->loop);

	if (d->begun && now_ms + spread_ms >= d->until_ms)
		return;
	d->until_ms = now_ms + spread_ms;
	d->from_ms = now_ms + (spread_ms < HEAD_START_MS ? spread_ms : HEAD_START_MS);
	d->sessions = rt_network_traffic(d->app->network)->sessions;
	rt_timer_start(d->timer, 0);
	if (d->begun)
		return;
	d->begun = true;
	rt_log(RT_LOG_INFO, NULL, "draining for %" PRIu64 " ms", spread_ms);
	rt_network_refuse_sessions(d->app->network);
	if (rt_conf_has_successor(d->app->conf))
		d->on_begin(d->arg);
}

bool
rt_drain_begun(const struct rt_drain *d)
{
	return d->begun;
}

struct rt_drain *
rt_drain_new(struct rt_app *app, rt_loop_cb on_begin, rt_loop_cb on_over, void *arg)
{
	struct rt_drain *d = rt_alloc(sizeof(*d));

	d->app = app;
	d->on_begin = on_begin;
	d->on_over = on_over;
	d->arg = arg;
	d->timer = rt_timer_new(app->loop, on_timer, d);
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
