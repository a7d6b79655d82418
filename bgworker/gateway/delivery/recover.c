/* recover.c: see recover.h */
#include "recover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/conf.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/gateway/app.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/clients/event.h"
#include "bgworker/gateway/bus/notice.h"
#include "bgworker/gateway/bus/recent.h"
#include "replay.h"
#include "roaming.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/ops/stat.h"
#include "bgworker/gateway/clients/user.h"

#define WINDOW 5000     /* positions that are looked through at once */
#define STEPS_A_TICK 64 /* so that a storm leaves the loop its turns */
#define TICK_MS 4

enum progress
{
	DONE,
	MORE,   /* the client must first take what it was sent */
	TOO_OLD /* rt_recent has moved on past it */
};

/* Those that are sent to from rt_recent, and cannot take it all at once. */
struct rt_recoveries
{
	struct rt_app *app;
	struct rt_recovery *first, **last;
	size_t count;
	struct rt_timer *timer;
};

/* What was found for one client. */
struct found
{
	uint64_t pos;
	struct rt_frame *frame; /* one reference */
};

struct search
{
	struct rt_app *app;
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

	if (strcmp(e->except, rt_socket_id(s->recovery->client->socket)) != 0)
		collect(s, e->pos, rt_frame_ref(e->frame));
}

struct rt_frame *
rt_recover_notification(const struct rt_frame *message, uint64_t pos, const char *user)
{
	static const char head[] = "42[\"new-chat-message\",{";
	size_t len;
	const char *text = rt_frame_text(message, &len);
	const char *body = text + sizeof(head) - 1;
	const char *comma = memrchr(text, ',', len);
	char sender[RT_SENDER_SIZE];

	rt_notice_sender(text, len, sender);
	return strcmp(user, sender) == 0 ? NULL : rt_notice_notification(body, (size_t) (comma - body), pos);
}

static void
collect_notification(void *arg, const struct rt_recent_event *e)
{
	struct search *s = arg;
	struct rt_frame *f = NULL;

	if (e->message)
		f = rt_recover_notification(e->frame, e->pos, s->recovery->client->user->id);
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
		rt_recent_each(s->app->recent, key, r->pos, s->upto, collect_event, s);
	else if (rt_roaming_is_unjoined(s->app->roaming, r->client->user, room))
		rt_recent_each(s->app->recent, key, r->pos, s->upto, collect_notification, s);
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
	rt_recent_each(s->app->recent, key, s->recovery->pos, s->upto, collect_event, s);
	if (s->count > 1)
		qsort(s->items, s->count, sizeof(s->items[0]), by_pos);
}

/* ---- sending ---------------------------------------------------------------------------- */

size_t
rt_recover_room(const struct rt_app *app, const struct rt_client *c)
{
	size_t most = (size_t) rt_conf_int(app->conf, "max_queued_bytes") / 2;
	size_t queued = rt_socket_queued_bytes(c->socket);

	return queued > most / 4 ? 0 : most - queued;
}

/* Sends what was found as far as there is room, at least one event.  True if that was all. */
static bool
send_found(struct search *s, struct rt_recovery *r, size_t room)
{
	size_t sent = 0;
	size_t i;

	for (i = 0; i < s->count && (sent < room || i == 0); i++)
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
send_window(struct rt_app *app, struct rt_recovery *r, size_t room)
{
	uint64_t end = rt_bus_pos(app->bus);
	struct search s = {.app = app, .recovery = r, .upto = r->pos + WINDOW < end ? r->pos + WINDOW : end};
	bool all;

	search(&s);
	all = send_found(&s, r, room);
	for (size_t i = 0; i < s.count; i++)
		rt_frame_unref(s.items[i].frame);
	free(s.items);
	if (all)
		r->pos = s.upto;
	return all;
}

static enum progress
step(struct rt_app *app, struct rt_recovery *r)
{
	size_t room = rt_recover_room(app, r->client);

	if (r->pos < rt_recent_floor(app->recent))
		return TOO_OLD;
	while (room > 0 && r->pos < rt_bus_pos(app->bus))
	{
		if (!send_window(app, r, room))
			return MORE;
		room = rt_recover_room(app, r->client);
	}
	return r->pos < rt_bus_pos(app->bus) ? MORE : DONE;
}

static void
go_live(struct rt_app *app, const struct rt_recovery *r)
{
	struct rt_client *c = r->client;
	const json_t *room;
	size_t i;

	json_array_foreach(r->rooms, i, room)
	{
		/* A membership that has ended since the database looked is not given back. */
		if (json_is_string(room) && rt_room_is_member(app->rooms, json_string_value(room), c->user))
			rt_room_join(app->rooms, json_string_value(room), c, NULL);
	}
	c->recovery = NULL;
}

/* ---- those under way ------------------------------------------------------------------------ */

static struct rt_recovery *
new_recovery(struct rt_client *c, const json_t *rooms, uint64_t offset)
{
	struct rt_recovery *r = rt_alloc(sizeof(*r));
	json_t *room;
	size_t i;

	r->client = c;
	r->rooms = json_deep_copy(rooms);
	r->joined = rt_map_new();
	r->pos = offset;
	json_array_foreach(r->rooms, i, room)
	{
		if (json_is_string(room))
			rt_map_put_str(r->joined, json_string_value(room), room);
	}
	return r;
}

void
rt_recovery_free(struct rt_recovery *r)
{
	rt_map_free(r->joined);
	json_decref(r->rooms);
	free(r);
}

/* Takes the recovery. */
static void
go_on(struct rt_recoveries *rv, struct rt_recovery *r)
{
	struct rt_client *c = r->client;
	enum progress p = c == NULL ? DONE : step(rv->app, r);

	if (p == TOO_OLD)
		rt_replay_add(rv->app->replay, r);
	else if (p == MORE)
	{
		r->next = NULL;
		*rv->last = r;
		rv->last = &r->next;
		if (rv->count++ == 0)
			rt_timer_start(rv->timer, TICK_MS);
	}
	else
	{
		if (c != NULL)
			go_live(rv->app, r);
		rt_recovery_free(r);
		if (c != NULL)
			rt_event_lower_barrier(rv->app, c);
	}
}

static struct rt_recovery *
pop(struct rt_recoveries *rv)
{
	struct rt_recovery *r = rv->first;

	if (r == NULL)
		return NULL;
	rv->first = r->next;
	if (rv->first == NULL)
		rv->last = &rv->first;
	rv->count--;
	return r;
}

static void
on_timer(void *arg)
{
	struct rt_recoveries *rv = arg;
	size_t steps = rv->count < STEPS_A_TICK ? rv->count : STEPS_A_TICK;

	while (steps-- > 0)
		go_on(rv, pop(rv));
	if (rv->count > 0)
		rt_timer_start(rv->timer, TICK_MS);
}

void
rt_recover_begin(struct rt_app *app, struct rt_client *c, const json_t *rooms, uint64_t offset)
{
	rt_stat_count(app->stat, RT_STAT_RECOVERED);
	rt_event_raise_barrier(c);
	c->recovery = new_recovery(c, rooms, offset);
	go_on(app->recoveries, c->recovery);
}

void
rt_recover_resume(struct rt_app *app, struct rt_recovery *r)
{
	go_on(app->recoveries, r);
}

void
rt_recover_cancel(struct rt_client *c)
{
	if (c->recovery != NULL)
		c->recovery->client = NULL;
	c->recovery = NULL;
}

uint64_t
rt_recover_pos(const struct rt_app *app, const struct rt_client *c)
{
	return c->recovery == NULL ? rt_bus_pos(app->bus) : c->recovery->pos;
}

struct rt_recoveries *
rt_recoveries_new(struct rt_app *app)
{
	struct rt_recoveries *rv = rt_alloc(sizeof(*rv));

	rv->app = app;
	rv->last = &rv->first;
	rv->timer = rt_timer_new(app->loop, on_timer, rv);
	return rv;
}

void
rt_recoveries_free(struct rt_recoveries *rv)
{
	struct rt_recovery *r;

	if (rv == NULL)
		return;
	while ((r = pop(rv)) != NULL)
		rt_recovery_free(r);
	rt_timer_free(rv->timer);
	free(rv);
}
