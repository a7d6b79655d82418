/* figures.c: see figures.h.  control.c owns it.
 *
 *   round (ROUND_MS after the one before began) ──> part ──answer──> pause as long as it took ──> part ... ──> round
 *
 * However many objects there are, a part takes the loop and the database a bounded time, reports take at most about
 * half of one connection's time, and all objects have their turn. */
#include "figures.h"

#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/dbjson.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "stats.h"

#define ROUND_MS 1000
#define PART_ROWS 500 /* and those of the transport with which they are reached */
#define SHORTEST_MS 10

struct rt_figures
{
	struct rt_loop *loop;
	struct rt_db *db;
	const struct rt_engine *engine;
	const char *worker;
	struct rt_timer *timer;
	bool running, under_way, last;
	size_t pos; /* of the next part */
	uint64_t round_ms, part_ms;
};

static void
wait_for_next(struct rt_figures *r)
{
	uint64_t now_ms = rt_loop_now_ms(r->loop), took_ms = now_ms - r->part_ms;
	uint64_t wait_ms = took_ms > SHORTEST_MS ? took_ms : SHORTEST_MS, since_ms = now_ms - r->round_ms;

	if (r->last && since_ms + wait_ms < ROUND_MS)
		wait_ms = ROUND_MS - since_ms;
	rt_timer_start(r->timer, wait_ms);
}

static void
on_stored(void *arg, const struct rt_db_reply *reply)
{
	struct rt_figures *r = arg;

	r->under_way = false;
	if (!reply->ok)
		rt_log(RT_LOG_DEBUG, "figures", "not stored: %s", reply->message);
	if (r->running)
		wait_for_next(r);
}

static void
on_time(void *arg)
{
	struct rt_figures *r = arg;
	json_t *rows;

	if (r->under_way)
		return;
	r->part_ms = rt_loop_now_ms(r->loop);
	if (r->pos == 0)
		r->round_ms = r->part_ms;
	rows = rt_stats_rows(r->engine, &r->pos, PART_ROWS);
	r->last = json_array_size(rows) < PART_ROWS;
	if (r->last)
		r->pos = 0;
	if (json_array_size(rows) == 0)
	{
		json_decref(rows);
		wait_for_next(r);
		return;
	}
	r->under_way = true;
	rt_dbjson_call(r->db, "media_stats", json_pack("{s:s, s:o}", "worker", r->worker, "stats", rows), on_stored, r);
}

void
rt_figures_begin(struct rt_figures *r, const struct rt_engine *e, const char *worker)
{
	r->engine = e;
	r->worker = worker;
	r->running = true;
	r->pos = 0;
	rt_timer_start(r->timer, ROUND_MS);
}

void
rt_figures_pause(struct rt_figures *r)
{
	r->running = false;
	rt_timer_stop(r->timer);
}

struct rt_figures *
rt_figures_new(struct rt_loop *l, struct rt_db *db)
{
	struct rt_figures *r = rt_alloc(sizeof(*r));

	r->loop = l;
	r->db = db;
	r->timer = rt_timer_new(l, on_time, r);
	return r;
}

void
rt_figures_free(struct rt_figures *r)
{
	if (r == NULL)
		return;
	rt_timer_free(r->timer);
	free(r);
}
