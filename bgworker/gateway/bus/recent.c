/* recent.c: see recent.h.  The dispatch of the bus adds; recoveries read.
 *
 *     events, oldest first:  e1 ─ e2 ─ e3 ─ e4 ─ …
 *     tail of "r5":          e1 ─────── e3            a ring of pointers
 *     tail of "ualice":           e2 ── e3
 *
 * What must stay true:
 *
 * - Events are added in the order of their positions and removed in that order.  So an event that goes is the
 *   first of each of its tails, and a tail can be searched by halves.
 * - All events behind `floor` are here, none at or before it.
 *
 * Limit: limit_bytes for all events; when it is reached the oldest go, and clients with an older offset need the log.
 */
#include "recent.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/map.h"

struct tail
{
	char *key;
	struct event **events; /* ring of `room` places */
	size_t first, count, room;
};

struct event
{
	struct rt_recent_event public;
	struct event *next;
	size_t bytes;
	size_t ntails;
	struct tail *tails[];
};

#define GAPS 4         /* the last ones */
#define GAP_MIN 10000u /* positions */

/* No event has a position between the two. */
struct gap
{
	uint64_t after, before;
};

struct rt_recent
{
	struct gap gaps[GAPS];
	unsigned int next_gap;
	struct rt_map *tails;
	struct event *oldest, *newest;
	uint64_t floor;
	size_t bytes;
	size_t limit_bytes;
};

struct rt_recent *
rt_recent_new(size_t limit_bytes)
{
	struct rt_recent *r = rt_alloc(sizeof(*r));

	r->tails = rt_map_new();
	r->limit_bytes = limit_bytes;
	return r;
}

static struct event **
place(struct tail *t, size_t i)
{
	return &t->events[(t->first + i) % t->room];
}

static void
grow_tail(struct tail *t)
{
	size_t room = t->room == 0 ? 4 : t->room * 2;
	struct event **events = rt_alloc(room * sizeof(*events));

	for (size_t i = 0; i < t->count; i++)
		events[i] = *place(t, i);
	free(t->events);
	t->events = events;
	t->room = room;
	t->first = 0;
}

static void
push_tail(struct tail *t, struct event *e)
{
	if (t->count == t->room)
		grow_tail(t);
	*place(t, t->count++) = e;
}

static void
pop_tail(struct rt_recent *r, struct tail *t, const struct event *e)
{
	assert(t->count > 0 && *place(t, 0) == e);
	t->first = (t->first + 1) % t->room;
	if (--t->count > 0)
		return;
	rt_map_take_str(r->tails, t->key);
	free(t->events);
	free(t->key);
	free(t);
}

static struct tail *
need_tail(struct rt_recent *r, const char *key)
{
	struct tail *t = rt_map_find_str(r->tails, key);

	if (t != NULL)
		return t;
	t = rt_alloc(sizeof(*t));
	t->key = rt_strdup(key);
	rt_map_put_str(r->tails, t->key, t);
	return t;
}

static void
drop_oldest(struct rt_recent *r)
{
	struct event *e = r->oldest;

	r->floor = e->public.pos;
	r->oldest = e->next;
	if (r->oldest == NULL)
		r->newest = NULL;
	r->bytes -= e->bytes;
	for (size_t i = 0; i < e->ntails; i++)
		pop_tail(r, e->tails[i], e);
	rt_frame_unref(e->public.frame);
	free(e);
}

void
rt_recent_reset(struct rt_recent *r, uint64_t floor)
{
	while (r->oldest != NULL)
		drop_oldest(r);
	r->floor = floor;
}

void
rt_recent_free(struct rt_recent *r)
{
	if (r == NULL)
		return;
	rt_recent_reset(r, 0);
	rt_map_free(r->tails);
	free(r);
}

uint64_t
rt_recent_floor(const struct rt_recent *r)
{
	return r->floor;
}

size_t
rt_recent_bytes(const struct rt_recent *r)
{
	return r->bytes;
}

static void
note_gap(struct rt_recent *r, uint64_t after, uint64_t before)
{
	if (before > after + GAP_MIN)
		r->gaps[r->next_gap++ % GAPS] = (struct gap){after, before};
}

uint64_t
rt_recent_skip(const struct rt_recent *r, uint64_t pos, uint64_t upto)
{
	if (r->newest == NULL || pos >= r->newest->public.pos)
		return upto;
	for (size_t i = 0; i < GAPS; i++)
	{
		if (r->gaps[i].after <= pos && pos < r->gaps[i].before)
			return r->gaps[i].before - 1 < upto ? r->gaps[i].before - 1 : upto;
	}
	return pos;
}

static void
append(struct rt_recent *r, struct event *e)
{
	note_gap(r, r->newest != NULL ? r->newest->public.pos : r->floor, e->public.pos);
	if (r->newest != NULL)
		r->newest->next = e;
	else
		r->oldest = e;
	r->newest = e;
	r->bytes += e->bytes;
}

void
rt_recent_add(struct rt_recent *r, uint64_t pos, struct rt_frame *f, const char *except, enum rt_recent_kind kind,
			  const char *const *keys, size_t nkeys)
{
	struct event *e = rt_alloc(sizeof(*e) + nkeys * sizeof(e->tails[0]));
	size_t frame_bytes;

	rt_frame_wire(f, &frame_bytes);
	e->public.pos = pos;
	e->public.frame = rt_frame_ref(f);
	e->public.kind = kind;
	if (except != NULL && strlen(except) < sizeof(e->public.except))
		memcpy(e->public.except, except, strlen(except) + 1);
	e->bytes = sizeof(*e) + frame_bytes + 64 + nkeys * (sizeof(struct tail *) + sizeof(struct event *));
	for (size_t i = 0; i < nkeys; i++)
	{
		struct tail *t = need_tail(r, keys[i]);

		/* A key that is given twice counts once. */
		if (t->count > 0 && *place(t, t->count - 1) == e)
			continue;
		push_tail(t, e);
		e->tails[e->ntails++] = t;
	}
	append(r, e);
	while (r->bytes > r->limit_bytes)
		drop_oldest(r);
}

/* The first place whose event is behind the position; the tail's count if there is none. */
static size_t
first_behind(struct tail *t, uint64_t after)
{
	size_t low = 0;
	size_t high = t->count;

	while (low < high)
	{
		size_t middle = low + (high - low) / 2;

		if ((*place(t, middle))->public.pos <= after)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void
rt_recent_each(const struct rt_recent *r, const char *key, uint64_t after, uint64_t upto, rt_recent_cb cb, void *arg)
{
	struct tail *t = rt_map_find_str(r->tails, key);

	if (t == NULL)
		return;
	for (size_t i = first_behind(t, after); i < t->count && (*place(t, i))->public.pos <= upto; i++)
		cb(arg, &(*place(t, i))->public);
}

static void
replace_frame(struct rt_recent *r, struct event *e, struct rt_frame *f)
{
	size_t before, after;

	rt_frame_wire(e->public.frame, &before);
	rt_frame_wire(f, &after);
	rt_frame_unref(e->public.frame);
	e->public.frame = f;
	e->bytes = e->bytes - before + after;
	r->bytes = r->bytes - before + after;
}

void
rt_recent_change(struct rt_recent *r, const char *key, rt_recent_change_cb cb, void *arg)
{
	struct tail *t = rt_map_find_str(r->tails, key);

	for (size_t i = 0; t != NULL && i < t->count; i++)
	{
		struct rt_frame *f = cb(arg, &(*place(t, i))->public);

		if (f != NULL)
			replace_frame(r, *place(t, i), f);
	}
}
