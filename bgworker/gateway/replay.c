/* replay.c: see replay.h.
 *
 * Each client's interests (rooms that it had joined, rooms that its user is a member of, the user) are lists by
 * key, so that an event is looked at once and not once a client. */
#include "replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/db.h"
#include "../common/json.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../common/map.h"
#include "app.h"
#include "event.h"
#include "notice.h"
#include "recent.h"
#include "recover.h"
#include "room.h"
#include "route.h"
#include "socketio.h"
#include "stat.h"
#include "user.h"

#define PAGE_EVENTS 1000
#define PAGE_BYTES 1000000
#define RETRY_MS 300
#define FINISH_A_TURN 100 /* clients that are given over to live in one turn */

struct rt_recovery
{
	struct rt_client *client; /* NULL: it has left */
	json_t *rooms;
	uint64_t pos;
	struct rt_recovery *next;
};

struct interest
{
	char *key;
	struct rt_recovery **list;
	size_t count, space;
};

struct rt_recoveries
{
	struct rt_app *app;
	struct rt_recovery *run;     /* those of this run */
	struct rt_recovery *waiting; /* for the next one */
	struct rt_map *interests;
	uint64_t pos; /* up to where this run has read */
	struct rt_timer *timer;
};

/* ---- interests -------------------------------------------------------------------- */

static void
add_interest(struct rt_recoveries *rv, struct rt_recovery *r, char kind, const char *id)
{
	char key[RT_RECENT_KEY_LEN];
	struct interest *in;

	snprintf(key, sizeof(key), "%c%s", kind, id);
	in = rt_map_find_str(rv->interests, key);
	if (in == NULL)
	{
		in = rt_alloc(sizeof(*in));
		in->key = rt_strdup(key);
		rt_map_put_str(rv->interests, in->key, in);
	}
	if (in->count == in->space)
	{
		in->space = in->space == 0 ? 4 : in->space * 2;
		in->list = rt_realloc(in->list, in->space * sizeof(*in->list));
	}
	in->list[in->count++] = r;
}

struct adding
{
	struct rt_recoveries *rv;
	struct rt_recovery *r;
	struct rt_map *joined; /* the rooms that it had joined */
};

static void
add_membership(void *arg, const char *room)
{
	const struct adding *a = arg;

	add_interest(a->rv, a->r, rt_map_find_str(a->joined, room) != NULL ? 'r' : 'n', room);
}

static void
add_interests(struct rt_recoveries *rv, struct rt_recovery *r)
{
	struct adding a = {rv, r, rt_map_new()};
	json_t *room;
	size_t i;

	json_array_foreach(r->rooms, i, room)
	{
		if (json_is_string(room))
			rt_map_put_str(a.joined, json_string_value(room), room);
	}
	rt_rooms_each_membership(r->client->user, add_membership, &a);
	add_interest(rv, r, 'u', r->client->user->id);
	rt_map_free(a.joined);
}

static void
drop_interests(struct rt_recoveries *rv)
{
	struct interest *in;
	size_t at = 0;

	while ((in = rt_map_next(rv->interests, &at)) != NULL)
	{
		free(in->list);
		free(in->key);
		free(in);
	}
	rt_map_free(rv->interests);
	rv->interests = rt_map_new();
}

/* ---- handing out -------------------------------------------------------------------- */

static void
hand_out(struct rt_recoveries *rv, char kind, const char *id, const struct rt_notice *n, const char *except)
{
	char key[RT_RECENT_KEY_LEN];
	struct interest *in;
	struct rt_frame *f;

	snprintf(key, sizeof(key), "%c%s", kind, id);
	in = rt_map_find_str(rv->interests, key);
	if (in == NULL)
		return;
	f = rt_notice_frame(n, n->pos);
	for (size_t i = 0; i < in->count; i++)
	{
		struct rt_client *c = in->list[i]->client;

		if (c == NULL || in->list[i]->pos >= n->pos ||
		    (except != NULL && strcmp(except, rt_socket_id(c->socket)) == 0) ||
		    (kind == 'r' && !rt_room_is_member(rv->app->rooms, id, c->user)))
			continue;
		rt_socket_send(c->socket, f);
	}
	rt_frame_unref(f);
}

static void
hand_out_notification(struct rt_recoveries *rv, const char *room, const struct rt_notice *n)
{
	char key[RT_RECENT_KEY_LEN];
	struct interest *in;
	struct rt_frame *message;

	snprintf(key, sizeof(key), "n%s", room);
	in = rt_map_find_str(rv->interests, key);
	if (in == NULL || !rt_notice_is(n, "new-chat-message"))
		return;
	message = rt_notice_frame(n, n->pos);
	for (size_t i = 0; i < in->count; i++)
	{
		struct rt_client *c = in->list[i]->client;
		struct rt_frame *f = NULL;

		if (c != NULL && in->list[i]->pos < n->pos && rt_room_is_unjoined(rv->app->rooms, room, c->user))
			f = rt_recover_notification(message, n->pos, c->user->id);
		if (f != NULL)
			rt_socket_send(c->socket, f);
		rt_frame_unref(f);
	}
	rt_frame_unref(message);
}

static void
take_event(struct rt_recoveries *rv, const struct rt_notice *n)
{
	struct rt_route r;
	json_t *user;
	size_t i;

	rt_route_parse(&r, n->route, n->route_len);
	if (r.kind == RT_ROUTE_ROOM)
	{
		hand_out(rv, 'r', r.room, n, rt_route_except(&r));
		hand_out_notification(rv, r.room, n);
	}
	else if (r.kind == RT_ROUTE_USERS)
	{
		json_array_foreach(rt_json_array(r.json, "users"), i, user)
		{
			if (json_is_string(user))
				hand_out(rv, 'u', json_string_value(user), n, rt_route_except(&r));
		}
	}
	rt_route_fini(&r);
}

/* ---- a run ------------------------------------------------------------------------------ */

static void read_page(struct rt_recoveries *rv);
static void begin_run(struct rt_recoveries *rv);

static void
free_recovery(struct rt_recovery *r)
{
	json_decref(r->rooms);
	free(r);
}

/* False if the log does not reach back: events are lost, and so is this run. */
static bool
take_page(struct rt_recoveries *rv, const json_t *page)
{
	const json_t *events = rt_json_array(page, "events");
	uint64_t first = UINT64_MAX;
	const json_t *item;
	size_t i;

	if (!rt_json_pos(page, "first", &first) || first > rv->pos + 1)
		return false;
	if (json_array_size(events) == 0)
		rt_json_pos(page, "last", &rv->pos);
	json_array_foreach(events, i, item)
	{
		struct rt_notice n;

		if (!json_is_string(item) ||
		    !rt_notice_parse(&n, json_string_value(item), json_string_length(item)) || !n.logged ||
		    n.pos <= rv->pos)
			continue;
		rv->pos = n.pos;
		take_event(rv, &n);
	}
	for (struct rt_recovery *r = rv->run; r != NULL; r = r->next)
	{
		if (r->pos < rv->pos)
			r->pos = rv->pos;
	}
	return true;
}

/* The client's own socket ends; it comes back without a state to recover. */
static void
give_up(struct rt_recoveries *rv)
{
	struct rt_recovery *r;

	rt_log(RT_LOG_WARNING, "recover", "the event log does not reach back to position %" PRIu64, rv->pos);
	while ((r = rv->run) != NULL)
	{
		rv->run = r->next;
		if (r->client != NULL)
		{
			struct rt_client *c = r->client;

			c->recovery = NULL;
			rt_socket_disconnect(c->socket, "recovery failed");
		}
		free_recovery(r);
	}
	drop_interests(rv);
	begin_run(rv);
}

/* Gives clients over to live, a bounded number a turn.  False if rt_recent has moved on past one of them. */
static bool
finish_some(struct rt_recoveries *rv)
{
	for (int i = 0; i < FINISH_A_TURN && rv->run != NULL; i++)
	{
		struct rt_recovery *r = rv->run;
		struct rt_client *c = r->client;

		if (c != NULL && !rt_recover_finish(rv->app, c, r->rooms, r->pos))
			return false;
		rv->run = r->next;
		free_recovery(r);
		if (c == NULL)
			continue;
		c->recovery = NULL;
		rt_event_lower_barrier(rv->app, c);
	}
	return true;
}

static void
on_timer(void *arg)
{
	struct rt_recoveries *rv = arg;

	if (rv->pos < rt_recent_floor(rv->app->recent) || !finish_some(rv))
		read_page(rv);
	else if (rv->run != NULL)
		rt_timer_start(rv->timer, 0);
	else
	{
		drop_interests(rv);
		begin_run(rv);
	}
}

static void
on_page(void *arg, const struct rt_db_reply *reply)
{
	struct rt_recoveries *rv = arg;
	json_t *page = reply->ok ? rt_json_parse_object(reply->json, reply->json_len) : NULL;
	bool whole;

	if (page == NULL)
	{
		rt_timer_start(rv->timer, RETRY_MS);
		return;
	}
	whole = take_page(rv, page);
	json_decref(page);
	if (whole)
		rt_timer_start(rv->timer, 0);
	else
		give_up(rv);
}

static void
read_page(struct rt_recoveries *rv)
{
	char req[120];
	int len = snprintf(req, sizeof(req), "{\"pos\":\"%" PRIu64 "\",\"limit\":%d,\"bytes\":%d}", rv->pos, PAGE_EVENTS,
	                   PAGE_BYTES);

	rt_stat_count(rv->app->stat, RT_STAT_REPLAY_PAGES);
	rt_db_call(rv->app->db, RT_DB_FAST, "events_since", NULL, req, (size_t) len, on_page, rv);
}

static void
begin_run(struct rt_recoveries *rv)
{
	struct rt_recovery *r;

	if (rv->waiting == NULL)
		return;
	rv->run = rv->waiting;
	rv->waiting = NULL;
	rv->pos = rv->run->pos;
	for (r = rv->run; r != NULL; r = r->next)
	{
		if (r->pos < rv->pos)
			rv->pos = r->pos;
		if (r->client != NULL)
			add_interests(rv, r);
	}
	/* Not at once: a storm's clients come one after the other, and share the run. */
	rt_timer_start(rv->timer, 50);
}

struct rt_recovery *
rt_replay_add(struct rt_recoveries *rv, struct rt_client *c, const json_t *rooms, uint64_t offset)
{
	struct rt_recovery *r = rt_alloc(sizeof(*r));

	r->client = c;
	r->rooms = json_deep_copy(rooms);
	r->pos = offset;
	if (rv->run != NULL && offset >= rv->pos)
	{
		r->next = rv->run;
		rv->run = r;
		add_interests(rv, r);
		return r;
	}
	r->next = rv->waiting;
	rv->waiting = r;
	if (rv->run == NULL)
		begin_run(rv);
	return r;
}

void
rt_replay_forget(struct rt_recovery *r)
{
	r->client = NULL;
}

uint64_t
rt_replay_pos(const struct rt_recovery *r)
{
	return r->pos;
}

struct rt_recoveries *
rt_recoveries_new(struct rt_app *app)
{
	struct rt_recoveries *rv = rt_alloc(sizeof(*rv));

	rv->app = app;
	rv->interests = rt_map_new();
	rv->timer = rt_timer_new(app->loop, on_timer, rv);
	return rv;
}

void
rt_recoveries_free(struct rt_recoveries *rv)
{
	struct rt_recovery *r;

	if (rv == NULL)
		return;
	while ((r = rv->run) != NULL || (r = rv->waiting) != NULL)
	{
		*(rv->run != NULL ? &rv->run : &rv->waiting) = r->next;
		free_recovery(r);
	}
	drop_interests(rv);
	rt_map_free(rv->interests);
	rt_timer_free(rv->timer);
	free(rv);
}
