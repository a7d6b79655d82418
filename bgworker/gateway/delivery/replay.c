/* replay.c: see replay.h.  recover.c hands it recoveries, and gets them back by a pointer.
 *
 * Reading the log for each client alone would read the same pages a thousand times after a break of the network.  So
 * the clients share runs:
 *
 *     waiting ──begin_run()──> run ──pos has reached recent.h──> ended ──on_done──> recover.c
 *        ^                      │
 *        └── cannot take more ──┘
 *
 * What must stay true:
 *
 * - A run reads the log once, upwards from the smallest position of its clients.  Everything up to rp->pos has
 *   been handed to each client of the run that it concerns and that was not beyond it already.
 * - A client may enter the run only at or behind rp->pos.  One that is further back waits for the next run.
 * - Only clients with in_run set get events.  `interests` may still name others, which were left behind: they
 *   are skipped.
 * - No interest outlives its run: drop_interests() comes before a recovery of the run is freed or handed back.
 * - A page is read when all clients have space for it, or the slow ones have been left behind after
 *   PATIENCE_MS: so one slow client delays the others once, and nobody's queue overflows.
 * - A client that has gone (r->client is NULL) stays in its list until its turn comes.
 *
 * Each client's interests (rooms that it had joined, rooms that its user is a member of, the user) are lists by key,
 * so that an event is looked at once and not once a client.  If the log does not reach back to rp->pos, events are
 * lost: the run's clients are disconnected, and come back without a state to recover. */
#include "replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/gateway/bus/notice.h"
#include "bgworker/gateway/bus/recent.h"
#include "recovery.h"
#include "bgworker/gateway/clients/room.h"
#include "route.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/counters.h"
#include "bgworker/gateway/clients/user.h"

#define PAGE_EVENTS 1000
#define PAGE_BYTES 1000000 /* and never more than a quarter of a client's queue */
#define RETRY_MS 300       /* the database did not answer */
#define LOOK_MS 5          /* whether the clients have taken what they were sent */
#define PATIENCE_MS 2000   /* with those that do not */
#define GATHER_MS 50       /* clients that come one after the other share the run */
#define HAND_BACK_A_TURN 100

/* Who of the run wants the events of a room or user.  The key is a kind and an id: r: room, joined; n: room, not
 * joined, so that of a message there is a notification; u: user. */
struct interest
{
	char *key;
	struct rt_recovery **list;
	size_t count, space;
};

struct rt_replay
{
	struct rt_replay_uses uses;
	struct rt_recovery *run;     /* those of this run; what interests point to */
	struct rt_recovery *ended;   /* the run has done its part for them */
	struct rt_recovery *waiting; /* for the next run */
	struct rt_map *interests;
	uint64_t pos;              /* up to where this run has read */
	uint64_t patience_ends_ms; /* 0: all could take what they were sent */
	struct rt_timer *timer;
};

/* ---- interests -------------------------------------------------------------------- */

static void
add_interest(struct rt_replay *rp, struct rt_recovery *r, char kind, const char *id)
{
	char key[RT_RECENT_KEY_LEN];
	struct interest *in;

	snprintf(key, sizeof(key), "%c%s", kind, id);
	in = rt_map_find_str(rp->interests, key);
	if (in == NULL)
	{
		in = rt_alloc(sizeof(*in));
		in->key = rt_strdup(key);
		rt_map_put_str(rp->interests, in->key, in);
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
	struct rt_replay *rp;
	struct rt_recovery *r;
};

static void
add_membership(void *arg, const char *room)
{
	const struct adding *a = arg;

	add_interest(a->rp, a->r, rt_map_find_str(a->r->joined, room) != NULL ? 'r' : 'n', room);
}

static void
add_interests(struct rt_replay *rp, struct rt_recovery *r)
{
	struct adding a = {rp, r};

	rt_rooms_each_membership(r->client->user, add_membership, &a);
	add_interest(rp, r, 'u', r->client->user->id);
}

static void
drop_interests(struct rt_replay *rp)
{
	struct interest *in;
	size_t at = 0;

	while ((in = rt_map_next(rp->interests, &at)) != NULL)
	{
		free(in->list);
		free(in->key);
		free(in);
	}
	rt_map_free(rp->interests);
	rp->interests = rt_map_new();
}

/* ---- handing out -------------------------------------------------------------------- */

static void
hand_out(struct rt_replay *rp, char kind, const char *id, const struct rt_notice *n, const char *except)
{
	char key[RT_RECENT_KEY_LEN];
	struct interest *in;
	struct rt_frame *f;

	snprintf(key, sizeof(key), "%c%s", kind, id);
	in = rt_map_find_str(rp->interests, key);
	if (in == NULL)
		return;
	f = rt_notice_frame(n, n->pos);
	for (size_t i = 0; i < in->count; i++)
	{
		struct rt_client *c = in->list[i]->client;

		if (c == NULL || !in->list[i]->in_run || in->list[i]->pos >= n->pos ||
			(except != NULL && strcmp(except, rt_socket_id(c->socket)) == 0) ||
			(kind == 'r' && !rt_room_is_member(rp->uses.rooms, id, c->user)))
			continue;
		rt_socket_send(c->socket, f);
	}
	rt_frame_unref(f);
}

static void
hand_out_notification(struct rt_replay *rp, const char *room, const struct rt_notice *n, bool is_message)
{
	char key[RT_RECENT_KEY_LEN];
	struct interest *in;
	struct rt_frame *message;

	snprintf(key, sizeof(key), "n%s", room);
	in = rt_map_find_str(rp->interests, key);
	if (in == NULL || (is_message && !rt_notice_is(n, "new-chat-message")))
		return;
	message = rt_notice_frame(n, n->pos);
	for (size_t i = 0; i < in->count; i++)
	{
		struct rt_client *c = in->list[i]->client;
		struct rt_frame *f = NULL;

		if (c != NULL && in->list[i]->in_run && in->list[i]->pos < n->pos &&
			rt_room_is_member(rp->uses.rooms, room, c->user))
			f = rt_recovery_notification(message, is_message, n->pos, c->user->id);
		if (f != NULL)
			rt_socket_send(c->socket, f);
		rt_frame_unref(f);
	}
	rt_frame_unref(message);
}

static void
take_event(struct rt_replay *rp, const struct rt_notice *n)
{
	struct rt_route r;
	json_t *user;
	size_t i;

	rt_route_parse(&r, n->route.text, n->route.len);
	if (r.kind == RT_ROUTE_ROOM)
	{
		hand_out(rp, 'r', r.room, n, rt_route_except(&r));
		hand_out_notification(rp, r.room, n, true);
	}
	else if (r.kind == RT_ROUTE_UNJOINED)
		hand_out_notification(rp, r.room, n, false);
	else if (r.kind == RT_ROUTE_USERS)
	{
		json_array_foreach(rt_json_array(r.json, "users"), i, user)
		{
			if (json_is_string(user))
				hand_out(rp, 'u', json_string_value(user), n, rt_route_except(&r));
		}
	}
	rt_route_fini(&r);
}

/* ---- a run ------------------------------------------------------------------------------ */

static void
push(struct rt_recovery **list, struct rt_recovery *r)
{
	r->next = *list;
	*list = r;
}

static struct rt_recovery *
pop(struct rt_recovery **list)
{
	struct rt_recovery *r = *list;

	if (r != NULL)
		*list = r->next;
	return r;
}

static void
begin_run(struct rt_replay *rp)
{
	if (rp->waiting == NULL)
		return;
	rp->run = rp->waiting;
	rp->waiting = NULL;
	rp->pos = rp->run->pos;
	for (struct rt_recovery *r = rp->run; r != NULL; r = r->next)
	{
		r->in_run = true;
		if (r->pos < rp->pos)
			rp->pos = r->pos;
		if (r->client != NULL)
			add_interests(rp, r);
	}
	/* Not at once: a storm's clients come one after the other, and share the run. */
	rt_timer_start(rp->timer, GATHER_MS);
}

static void
end_run(struct rt_replay *rp)
{
	struct rt_recovery *r;

	drop_interests(rp);
	while ((r = pop(&rp->run)) != NULL)
	{
		r->in_run = false;
		push(&rp->ended, r);
	}
}

/* Gives clients back, a bounded number a turn. */
static void
hand_back(struct rt_replay *rp)
{
	struct rt_recovery *r;

	for (int i = 0; i < HAND_BACK_A_TURN && (r = pop(&rp->ended)) != NULL; i++)
		rp->uses.on_done(rp->uses.arg, r);
	if (rp->ended != NULL)
		rt_timer_start(rp->timer, 0);
	else
		begin_run(rp);
}

/* Events are lost for them: their sockets end, and they come back without a state to recover. */
static void
give_up(struct rt_replay *rp)
{
	struct rt_recovery *r;

	rt_log(RT_LOG_WARNING, "replay", "the event log does not reach back to position %" PRIu64, rp->pos);
	drop_interests(rp);
	while ((r = pop(&rp->run)) != NULL)
	{
		struct rt_client *c = r->client;

		if (c != NULL)
		{
			rt_recovery_release(c);
			rt_socket_break(c->socket, "server namespace disconnect");
		}
		rt_recovery_free(r);
	}
	begin_run(rp);
}

/* Who cannot take what was sent waits for the next run, so that the others need not wait for them. */
static void
leave_slow_behind(struct rt_replay *rp)
{
	struct rt_recovery **link = &rp->run;
	struct rt_recovery *r;

	while ((r = *link) != NULL)
	{
		if (r->client == NULL || rt_recovery_space_bytes(rp->uses.settings, r->client) > 0)
		{
			link = &r->next;
			continue;
		}
		*link = r->next;
		r->in_run = false;
		push(&rp->waiting, r);
	}
}

static bool
all_have_room(const struct rt_replay *rp)
{
	for (const struct rt_recovery *r = rp->run; r != NULL; r = r->next)
	{
		if (r->client != NULL && rt_recovery_space_bytes(rp->uses.settings, r->client) == 0)
			return false;
	}
	return true;
}

/* ---- pages ------------------------------------------------------------------------------ */

/* False if the log does not reach back. */
static bool
take_page(struct rt_replay *rp, const json_t *page)
{
	const json_t *events = rt_json_array(page, "events");
	const json_t *item;
	size_t i;

	if (!rt_json_bool(page, "whole", false))
		return false;
	if (json_array_size(events) == 0)
		rt_json_pos(page, "last", &rp->pos);
	json_array_foreach(events, i, item)
	{
		struct rt_notice n;

		if (!json_is_string(item) || !rt_notice_parse(&n, json_string_value(item), json_string_length(item)) ||
			!n.logged || n.pos <= rp->pos)
			continue;
		rp->pos = n.pos;
		take_event(rp, &n);
	}
	for (struct rt_recovery *r = rp->run; r != NULL; r = r->next)
	{
		if (r->pos < rp->pos)
			r->pos = rp->pos;
	}
	return true;
}

static void
on_page(void *arg, const struct rt_db_reply *reply)
{
	struct rt_replay *rp = arg;
	json_t *page = reply->ok ? rt_json_parse_object(reply->json, reply->json_len) : NULL;
	bool whole;

	if (page == NULL)
	{
		rt_timer_start(rp->timer, RETRY_MS);
		return;
	}
	whole = take_page(rp, page);
	json_decref(page);
	if (whole)
		rt_timer_start(rp->timer, 0);
	else
		give_up(rp);
}

/* A page fits into what a socket may still take. */
static void
read_page(struct rt_replay *rp)
{
	size_t bytes = rp->uses.settings->max_queued_bytes / 4;
	char req[120];
	int len = snprintf(req, sizeof(req), "{\"pos\":\"%" PRIu64 "\",\"limit\":%d,\"bytes\":%zu}", rp->pos, PAGE_EVENTS,
					   bytes < PAGE_BYTES ? bytes : (size_t) PAGE_BYTES);

	rt_counters_add(rp->uses.counters, RT_COUNT_REPLAY_PAGES, 1);
	rt_db_call(rp->uses.db, RT_DB_FAST, "events_since", NULL, req, (size_t) len, on_page, rp);
}

static void
go_on(struct rt_replay *rp)
{
	uint64_t now_ms = rt_loop_now_ms(rp->uses.loop);

	if (all_have_room(rp))
		rp->patience_ends_ms = 0;
	else if (rp->patience_ends_ms == 0)
		rp->patience_ends_ms = now_ms + PATIENCE_MS;
	else if (now_ms >= rp->patience_ends_ms)
	{
		leave_slow_behind(rp);
		rp->patience_ends_ms = 0;
	}
	if (rp->patience_ends_ms != 0)
		rt_timer_start(rp->timer, LOOK_MS);
	else if (rp->run == NULL || rp->pos >= rt_recent_floor(rp->uses.recent))
	{
		end_run(rp);
		hand_back(rp);
	}
	else
		read_page(rp);
}

static void
on_timer(void *arg)
{
	struct rt_replay *rp = arg;

	if (rp->ended != NULL)
		hand_back(rp);
	else
		go_on(rp);
}

void
rt_replay_add(struct rt_replay *rp, struct rt_recovery *r)
{
	r->in_run = false;
	if (rp->run != NULL && r->pos >= rp->pos)
	{
		r->in_run = true;
		push(&rp->run, r);
		add_interests(rp, r);
		return;
	}
	push(&rp->waiting, r);
	if (rp->run == NULL && rp->ended == NULL)
		begin_run(rp);
}

struct rt_replay *
rt_replay_new(const struct rt_replay_uses *uses)
{
	struct rt_replay *rp = rt_alloc(sizeof(*rp));

	rp->uses = *uses;
	rp->interests = rt_map_new();
	rp->timer = rt_timer_new(uses->loop, on_timer, rp);
	return rp;
}

void
rt_replay_free(struct rt_replay *rp)
{
	struct rt_recovery *r;

	if (rp == NULL)
		return;
	while ((r = pop(&rp->run)) != NULL || (r = pop(&rp->ended)) != NULL || (r = pop(&rp->waiting)) != NULL)
		rt_recovery_free(r);
	drop_interests(rp);
	rt_map_free(rp->interests);
	rt_timer_free(rp->timer);
	free(rp);
}
