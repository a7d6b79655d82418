/* recover.c: see recover.h.  Begun by entry.c; ended here, or by rt_recovery_release() when the client goes.
 *
 *     begin ──> step ──all sent──> live
 *               │  ^
 *               │  └──every TICK_MS, while the client's queue is too full
 *               └──older than recent.h──> replay.c ──caught up with recent.h──> step
 *
 * What must stay true:
 *
 * - Order: a client gets everything up to r->pos before anything behind it.  Until it is live nothing else
 *   sends to it events of the bus, and a barrier holds its own events.
 * - No hole: it goes live in a turn in which r->pos is the bus's position.  The bus dispatches in the same loop, so
 *   nothing falls in between.
 * - Nothing twice: r->pos is the offset that the client gets with each event (rt_client_pos()).  If it breaks
 *   off here, it comes back with that offset.  The log, or the gateway that the client was at, may have been ahead of
 *   the bus: then the client waits until the bus is there.
 * - A membership that has ended since is not searched, and its room is not joined again: what the room says is
 *   not for this client any more, even if it said it while the user was a member.
 *
 * Limits: a client is sent what fits into half of its queue (rt_recovery_space_bytes()); a look covers WINDOW
 * positions, a tick STEPS_A_TICK clients, so that a storm of clients leaves the loop its turns. */
#include "recover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/json.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/clients/client_event.h"
#include "bgworker/gateway/bus/recent.h"
#include "recovery.h"
#include "replay.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/counters.h"
#include "bgworker/gateway/clients/user.h"

#define WINDOW 5000     /* positions that are looked through at once */
#define STEPS_A_TICK 64 /* clients */
#define TICK_MS 4

enum progress
{
	DONE,
	MORE,   /* the client must first take what it was sent, or the bus dispatch what the client has */
	TOO_OLD /* rt_recent has moved on past it */
};

struct rt_recover
{
	struct rt_recover_uses uses;
	struct rt_replay *replay;
	struct rt_recovery *first,
		**last; /* sent to from recent.h, and cannot take it all at once; the next one to look at first */
	size_t count;
	struct rt_timer *timer; /* runs while count > 0 */
};

/* What was found for one client. */
struct found
{
	uint64_t pos;
	struct rt_frame *frame; /* one reference */
};

struct search
{
	const struct rt_recover_uses *uses;
	const struct rt_recovery *recovery;
	uint64_t upto;
	struct found *items;
	size_t count, space;
};

/* ---- what concerns a client --------------------------------------------------------- */

static void
collect(struct search *s, uint64_t pos, struct rt_frame *f)
{
	if (s->count == s->space)
	{
		s->space = s->space == 0 ? 64 : s->space * 2;
		s->items = rt_realloc(s->items, s->space * sizeof(*s->items));
	}
	s->items[s->count++] = (struct found){pos, f};
}

static void
collect_event(void *arg, const struct rt_recent_event *e)
{
	struct search *s = arg;

	if (e->kind != RT_RECENT_UNJOINED && strcmp(e->except, rt_socket_id(s->recovery->client->socket)) != 0)
		collect(s, e->pos, rt_frame_ref(e->frame));
}

static void
collect_notification(void *arg, const struct rt_recent_event *e)
{
	struct search *s = arg;
	struct rt_frame *f = NULL;

	if (e->kind != RT_RECENT_PLAIN)
		f = rt_recovery_notification(e->frame, e->kind == RT_RECENT_MESSAGE, e->pos, s->recovery->client->user->id);
	if (f != NULL)
		collect(s, e->pos, f);
}

static void
search_room(void *arg, const char *room)
{
	struct search *s = arg;
	const struct rt_recovery *r = s->recovery;
	char key[RT_RECENT_KEY_LEN];

	snprintf(key, sizeof(key), "r%s", room);
	if (rt_map_find_str(r->joined, room) != NULL)
		rt_recent_each(s->uses->recent, key, r->pos, s->upto, collect_event, s);
	else
		rt_recent_each(s->uses->recent, key, r->pos, s->upto, collect_notification, s);
}

static int
by_pos(const void *a, const void *b)
{
	const struct found *x = a;
	const struct found *y = b;

	return x->pos < y->pos ? -1 : x->pos > y->pos;
}

/* All between the recovery's position and s->upto, in order.  A membership that has ended is not searched. */
static void
search(struct search *s)
{
	const struct rt_user *u = s->recovery->client->user;
	char key[RT_RECENT_KEY_LEN];

	rt_rooms_each_membership(u, search_room, s);
	snprintf(key, sizeof(key), "u%s", u->id);
	rt_recent_each(s->uses->recent, key, s->recovery->pos, s->upto, collect_event, s);
	if (s->count > 1)
		qsort(s->items, s->count, sizeof(s->items[0]), by_pos);
}

/* ---- sending ---------------------------------------------------------------------------- */

/* Sends what was found as far as there is space, at least one event.  True if that was all. */
static bool
send_found(struct search *s, struct rt_recovery *r, size_t space_bytes)
{
	size_t sent = 0;
	size_t i;

	for (i = 0; i < s->count && (sent < space_bytes || i == 0); i++)
	{
		size_t len;

		rt_frame_wire(s->items[i].frame, &len);
		sent += len;
		rt_socket_send(r->client->socket, s->items[i].frame);
		r->pos = s->items[i].pos;
	}
	return i == s->count;
}

static bool
send_window(const struct rt_recover_uses *uses, struct rt_recovery *r, size_t space_bytes)
{
	uint64_t end = rt_bus_pos(uses->bus);
	struct search s = {.uses = uses, .recovery = r, .upto = r->pos + WINDOW < end ? r->pos + WINDOW : end};
	bool all;

	search(&s);
	all = send_found(&s, r, space_bytes);
	for (size_t i = 0; i < s.count; i++)
		rt_frame_unref(s.items[i].frame);
	free(s.items);
	if (all)
		r->pos = s.upto;
	return all;
}

static enum progress
step(const struct rt_recover_uses *uses, struct rt_recovery *r)
{
	size_t space_bytes = rt_recovery_space_bytes(uses->settings, r->client);

	if (r->pos < rt_recent_floor(uses->recent))
		return TOO_OLD;
	while (space_bytes > 0 && r->pos < rt_bus_pos(uses->bus))
	{
		r->pos = rt_recent_skip(uses->recent, r->pos, rt_bus_pos(uses->bus));
		if (!send_window(uses, r, space_bytes))
			return MORE;
		space_bytes = rt_recovery_space_bytes(uses->settings, r->client);
	}
	if (r->pos == rt_bus_pos(uses->bus))
		return DONE;
	if (r->pos > rt_bus_pos(uses->bus) && !r->is_awaited)
	{
		r->is_awaited = true;
		rt_bus_look(uses->bus);
	}
	return MORE;
}

static void
go_live(struct rt_rooms *rooms, const struct rt_recovery *r)
{
	struct rt_client *c = r->client;
	const json_t *room;
	size_t i;

	json_array_foreach(r->rooms, i, room)
	{
		/* A membership that has ended since the database looked is not given back. */
		if (json_is_string(room) && rt_room_is_member(rooms, json_string_value(room), c->user))
			rt_room_join(rooms, json_string_value(room), c, NULL);
	}
	rt_recovery_release(c);
}

/* ---- those under way ------------------------------------------------------------------------ */

/* Takes the recovery. */
static void
go_on(struct rt_recover *rc, struct rt_recovery *r)
{
	struct rt_client *c = r->client;
	enum progress p = c == NULL ? DONE : step(&rc->uses, r);

	if (p == TOO_OLD)
		rt_replay_add(rc->replay, r);
	else if (p == MORE)
	{
		r->next = NULL;
		*rc->last = r;
		rc->last = &r->next;
		if (rc->count++ == 0)
			rt_timer_start(rc->timer, TICK_MS);
	}
	else
	{
		if (c != NULL)
			go_live(rc->uses.rooms, r);
		rt_recovery_free(r);
		if (c != NULL)
			rt_client_event_lower_barrier(rc->uses.events, c);
	}
}

static struct rt_recovery *
pop(struct rt_recover *rc)
{
	struct rt_recovery *r = rc->first;

	if (r == NULL)
		return NULL;
	rc->first = r->next;
	if (rc->first == NULL)
		rc->last = &rc->first;
	rc->count--;
	return r;
}

static void
on_timer(void *arg)
{
	struct rt_recover *rc = arg;
	size_t steps = rc->count < STEPS_A_TICK ? rc->count : STEPS_A_TICK;

	while (steps-- > 0)
		go_on(rc, pop(rc));
	if (rc->count > 0)
		rt_timer_start(rc->timer, TICK_MS);
}

void
rt_recover_begin(struct rt_recover *rc, struct rt_client *c, const json_t *rooms, uint64_t offset)
{
	rt_counters_add(rc->uses.counters, RT_COUNT_RECOVERED, 1);
	rt_client_event_raise_barrier(c);
	go_on(rc, rt_recovery_new(c, rooms, offset));
}

static void
on_replayed(void *arg, struct rt_recovery *r)
{
	go_on(arg, r);
}

struct rt_recover *
rt_recover_new(const struct rt_recover_uses *uses)
{
	struct rt_recover *rc = rt_alloc(sizeof(*rc));
	const struct rt_replay_uses replay = {
		.loop = uses->loop,
		.db = uses->db,
		.recent = uses->recent,
		.rooms = uses->rooms,
		.counters = uses->counters,
		.settings = uses->settings,
		.on_done = on_replayed,
		.arg = rc,
	};

	rc->uses = *uses;
	rc->last = &rc->first;
	rc->timer = rt_timer_new(uses->loop, on_timer, rc);
	rc->replay = rt_replay_new(&replay);
	return rc;
}

void
rt_recover_free(struct rt_recover *rc)
{
	struct rt_recovery *r;

	if (rc == NULL)
		return;
	rt_replay_free(rc->replay);
	while ((r = pop(rc)) != NULL)
		rt_recovery_free(r);
	rt_timer_free(rc->timer);
	free(rc);
}
