/* wheel.c: see wheel.h. */
#include "wheel.h"

#include <stdlib.h>

#include "log.h"
#include "loop.h"

#define SLOTS 1024 /* power of two; deadlines beyond a turn of the wheel (102 s) stay for another one */

struct rt_wheel
{
	struct rt_loop *loop;
	struct rt_timer *timer;
	uint64_t tick; /* all slots up to this one have been served */
	uint64_t count;
	struct rt_wheel_entry slots[SLOTS]; /* heads of circular lists */
};

static void
make_empty(struct rt_wheel_entry *head)
{
	head->next = head->prev = head;
}

static void
link_before(struct rt_wheel_entry *head, struct rt_wheel_entry *e)
{
	e->prev = head->prev;
	e->next = head;
	head->prev->next = e;
	head->prev = e;
}

static void
unlink_entry(struct rt_wheel_entry *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	e->next = e->prev = NULL;
}

/* Entries are taken off one by one from a list of our own, since a callback may unset any other. */
static void
serve_slot(struct rt_wheel *w, struct rt_wheel_entry *head, uint64_t now_ms)
{
	struct rt_wheel_entry due;
	struct rt_wheel_entry *e;

	if (head->next == head)
		return;
	due = *head;
	due.next->prev = due.prev->next = &due;
	make_empty(head);
	while ((e = due.next) != &due)
	{
		unlink_entry(e);
		if (e->deadline_ms > now_ms)
			link_before(head, e);
		else
		{
			w->count--;
			e->fn(e);
		}
	}
}

static void
on_tick(void *arg)
{
	struct rt_wheel *w = arg;
	uint64_t now_ms = rt_loop_now_ms(w->loop);
	uint64_t now_tick = now_ms / RT_WHEEL_TICK_MS;

	if (now_tick - w->tick > SLOTS) /* the process was stopped: one turn of the wheel serves all */
		w->tick = now_tick - SLOTS;
	while (w->tick < now_tick)
	{
		w->tick++;
		serve_slot(w, &w->slots[w->tick % SLOTS], now_ms);
	}
	if (w->count > 0)
		rt_timer_start(w->timer, RT_WHEEL_TICK_MS);
}

struct rt_wheel *
rt_wheel_new(struct rt_loop *l)
{
	struct rt_wheel *w = rt_alloc(sizeof *w);

	w->loop = l;
	w->timer = rt_timer_new(l, on_tick, w);
	for (int i = 0; i < SLOTS; i++)
		make_empty(&w->slots[i]);
	return w;
}

void
rt_wheel_free(struct rt_wheel *w)
{
	if (w == NULL)
		return;
	rt_timer_free(w->timer);
	free(w);
}

void
rt_wheel_set(struct rt_wheel *w, struct rt_wheel_entry *e, uint64_t delay_ms)
{
	uint64_t now_ms = rt_loop_now_ms(w->loop);
	uint64_t tick;

	rt_wheel_unset(w, e);
	if (w->count == 0)
	{
		w->tick = now_ms / RT_WHEEL_TICK_MS;
		rt_timer_start(w->timer, RT_WHEEL_TICK_MS);
	}
	e->deadline_ms = now_ms + delay_ms;
	/* The first tick that begins at or after the deadline. */
	tick = (e->deadline_ms + RT_WHEEL_TICK_MS - 1) / RT_WHEEL_TICK_MS;
	if (tick <= w->tick)
		tick = w->tick + 1;
	link_before(&w->slots[tick % SLOTS], e);
	w->count++;
}

void
rt_wheel_unset(struct rt_wheel *w, struct rt_wheel_entry *e)
{
	if (e->next == NULL)
		return;
	unlink_entry(e);
	w->count--;
}

bool
rt_wheel_is_set(const struct rt_wheel_entry *e)
{
	return e->next != NULL;
}
