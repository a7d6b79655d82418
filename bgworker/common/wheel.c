/* wheel.c: see wheel.h.
 *
 * A slot is a millisecond modulo SLOTS, and holds a list of entries.  What must stay true: the timer is set to the
 * next slot with entries, or runs for nothing at all; all slots up to served_ms are served.  An entry whose deadline
 * is further away than the wheel is long is met early in its slot, and put back.  A callback may set or unset any
 * entry, so a slot is served from a list of its own. */
#include "wheel.h"

#include <stdlib.h>

#include "activity.h"
#include "alloc.h"
#include "loop.h"

#define SLOTS 4096 /* of a millisecond; deadlines beyond a turn of the wheel stay for another one */
#define MAX_GRAIN_MS 128

struct rt_wheel
{
	struct rt_loop *loop;
	struct rt_timer *timer;
	uint64_t served_ms; /* all slots up to this one have been served */
	uint64_t wakes_ms;  /* what the timer is set to, if count > 0 */
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
wake_at(struct rt_wheel *w, uint64_t at_ms)
{
	uint64_t now_ms = rt_loop_now_ms(w->loop);

	w->wakes_ms = at_ms;
	rt_timer_start(w->timer, at_ms > now_ms ? at_ms - now_ms : 0);
}

/* To the next slot that is not empty. */
static void
wake_next(struct rt_wheel *w)
{
	uint64_t next_ms = w->served_ms + 1;

	while (next_ms < w->served_ms + SLOTS && w->slots[next_ms % SLOTS].next == &w->slots[next_ms % SLOTS])
		next_ms++;
	wake_at(w, next_ms);
}

static void
on_timer(void *arg)
{
	struct rt_wheel *w = arg;
	uint64_t now_ms = rt_loop_now_ms(w->loop);

	rt_activity_begin(RT_ACTIVITY_TIMEOUTS);
	if (now_ms - w->served_ms > SLOTS) /* the process was stopped: one turn of the wheel serves all */
		w->served_ms = now_ms - SLOTS;
	while (w->served_ms < now_ms)
	{
		w->served_ms++;
		serve_slot(w, &w->slots[w->served_ms % SLOTS], now_ms);
	}
	if (w->count > 0)
		wake_next(w);
}

struct rt_wheel *
rt_wheel_new(struct rt_loop *l)
{
	struct rt_wheel *w = rt_alloc(sizeof(*w));

	w->loop = l;
	w->timer = rt_timer_new(l, on_timer, w);
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

/* Long delays end at multiples of a grain. */
static uint64_t
deadline_of(uint64_t now_ms, uint64_t delay_ms)
{
	uint64_t grain_ms = 1;

	while (grain_ms < MAX_GRAIN_MS && grain_ms * 2 <= delay_ms / 200)
		grain_ms *= 2;
	return (now_ms + delay_ms + grain_ms - 1) / grain_ms * grain_ms;
}

void
rt_wheel_set(struct rt_wheel *w, struct rt_wheel_entry *e, uint64_t delay_ms)
{
	uint64_t now_ms = rt_loop_now_ms(w->loop);
	uint64_t slot_ms;

	rt_wheel_unset(w, e);
	if (w->count == 0)
	{
		w->served_ms = now_ms;
		w->wakes_ms = UINT64_MAX;
	}
	e->deadline_ms = deadline_of(now_ms, delay_ms);
	slot_ms = e->deadline_ms > w->served_ms ? e->deadline_ms : w->served_ms + 1;
	link_before(&w->slots[slot_ms % SLOTS], e);
	w->count++;
	if (slot_ms > w->served_ms + SLOTS)
		slot_ms = w->served_ms + SLOTS;
	if (slot_ms < w->wakes_ms)
		wake_at(w, slot_ms);
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
