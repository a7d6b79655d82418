/* dispatch.c: see dispatch.h.
 *
 * Events come in the order of their positions, and each is with everybody whom it concerns, and in recent.h for those
 * who are away, before the next one is looked at: so a client that goes and comes back finds no hole. Called by the
 * bus alone. */
#include "dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/json.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/bus/notice.h"
#include "bgworker/gateway/bus/recent.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/joins.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/user.h"
#include "bgworker/gateway/meetings/meeting.h"
#include "bgworker/gateway/socketio/socket.h"
#include "presence.h"
#include "route.h"
#include "typists.h"

struct rt_dispatch
{
	struct rt_dispatch_uses uses;
	struct rt_typists *typists;
};

static void on_typed(void *arg, const struct rt_route *r, const struct rt_notice *n);

struct rt_dispatch *
rt_dispatch_new(const struct rt_dispatch_uses *uses)
{
	struct rt_dispatch *d = rt_alloc(sizeof(*d));

	d->uses = *uses;
	d->typists = rt_typists_new(uses->loop, on_typed, d);
	return d;
}

void
rt_dispatch_free(struct rt_dispatch *d)
{
	if (d == NULL)
		return;
	rt_typists_free(d->typists);
	free(d);
}

static const struct rt_socket *
except_socket(const struct rt_dispatch *d, const struct rt_route *r)
{
	const char *id = rt_route_except(r);

	return id == NULL ? NULL : rt_socket_find(d->uses.sockets, id);
}

/* ---- sockets that have not joined the room ------------------------------------------ */

struct notification
{
	struct rt_frame *frame;
	struct rt_frame *own; /* for the author's sockets; NULL: not made yet */
	uint64_t pos;
	char author[RT_NOTICE_USER_BYTES];
};

static void
notify_client(void *arg, struct rt_client *c)
{
	struct notification *nf = arg;

	if (strcmp(c->user->id, nf->author) != 0)
		rt_socket_send(c->socket, nf->frame);
	else
	{
		if (nf->own == NULL)
			nf->own = rt_notice_own(nf->frame, nf->pos);
		rt_socket_send(c->socket, nf->own);
	}
}

/* f: the notification, with "own" left out; told: the event that has its author. */
static void
notify_unjoined(struct rt_dispatch *d, const char *room, struct rt_frame *f, const struct rt_frame *told,
				uint64_t pos)
{
	struct notification nf = {.frame = f, .pos = pos};

	if (f == NULL)
		return;
	rt_notice_author(told, nf.author);
	rt_room_each_unjoined(d->uses.rooms, room, notify_client, &nf);
	rt_frame_unref(nf.own);
}

static void
notify_of_message(struct rt_dispatch *d, const char *room, const struct rt_frame *message, uint64_t pos)
{
	struct rt_frame *f;

	if (!rt_room_has_unjoined(d->uses.rooms, room))
		return;
	f = rt_notice_notification(message, pos);
	notify_unjoined(d, room, f, message, pos);
	rt_frame_unref(f);
}

/* ---- what is kept for those who come back --------------------------------------------- */

struct change
{
	const struct rt_frame *frame;
	bool deleted;
};

static struct rt_frame *
as_now(void *arg, const struct rt_recent_event *e)
{
	const struct change *c = arg;

	return rt_notice_as_now(e->frame, c->frame, c->deleted, e->pos);
}

/* Whoever comes back is told of a message as it is now. */
static void
change_recent(struct rt_dispatch *d, const struct rt_notice *n, const struct rt_frame *f, const char *key)
{
	struct change c = {f, rt_notice_is(n, "chat-message-deleted")};

	if (c.deleted || rt_notice_is(n, "chat-message-edited"))
		rt_recent_change(d->uses.recent, key, as_now, &c);
}

/* Whether the event has text of a message. */
static bool
has_text(const struct rt_notice *n)
{
	return rt_notice_is(n, "new-chat-message") || rt_notice_is(n, "chat-message-edited") ||
		   rt_notice_is(n, "chat-message-deleted");
}

static void
keep(struct rt_dispatch *d, const struct rt_route *r, const struct rt_notice *n, struct rt_frame *f,
	 enum rt_recent_kind kind)
{
	char room[RT_RECENT_KEY_LEN];
	char message[RT_RECENT_KEY_LEN];
	char id[RT_NOTICE_MESSAGE_ID_BYTES];
	const char *keys[2] = {room, message};
	size_t nkeys = 1;

	if (!n->logged)
		return;
	snprintf(room, sizeof(room), "r%s", r->room);
	if (has_text(n) && rt_notice_message_id(f, id))
	{
		snprintf(message, sizeof(message), "x%s", id);
		change_recent(d, n, f, message);
		nkeys = 2;
	}
	rt_recent_add(d->uses.recent, n->pos, f, rt_route_except(r), kind, keys, nkeys);
}

/* ---- the routes --------------------------------------------------------------------- */

static void
to_room(struct rt_dispatch *d, const struct rt_route *r, const struct rt_notice *n, struct rt_frame *f, uint64_t pos)
{
	bool message = rt_notice_is(n, "new-chat-message");

	rt_room_send(d->uses.rooms, r->room, f, except_socket(d, r));
	rt_joins_note(d->uses.joins, r->room, f);
	if (message)
		notify_of_message(d, r->room, f, pos);
	keep(d, r, n, f, message ? RT_RECENT_MESSAGE : RT_RECENT_PLAIN);
}

static void
to_unjoined(struct rt_dispatch *d, const struct rt_route *r, const struct rt_notice *n, struct rt_frame *f,
			uint64_t pos)
{
	notify_unjoined(d, r->room, f, f, pos);
	keep(d, r, n, f, RT_RECENT_UNJOINED);
}

static void
keep_for_users(struct rt_dispatch *d, const struct rt_route *r, const struct rt_notice *n, struct rt_frame *f)
{
	const json_t *users = rt_json_array(r->json, "users");
	size_t count = json_array_size(users);
	char(*text)[RT_RECENT_KEY_LEN] = rt_alloc((count + 1) * sizeof(*text));
	const char **keys = rt_alloc((count + 1) * sizeof(*keys));
	char id[RT_NOTICE_MESSAGE_ID_BYTES];
	json_t *user;
	size_t i;

	json_array_foreach(users, i, user)
	{
		const char *id = json_string_value(user);

		snprintf(text[i], sizeof(text[i]), "u%s", id == NULL ? "" : id);
		keys[i] = text[i];
	}
	/* A mention has the message's text. */
	if (rt_notice_is(n, "chat-notification") && rt_notice_message_id(f, id))
	{
		snprintf(text[count], sizeof(text[count]), "x%s", id);
		keys[count] = text[count];
		count++;
	}
	rt_recent_add(d->uses.recent, n->pos, f, rt_route_except(r), RT_RECENT_PLAIN, keys, count);
	free(keys);
	free(text);
}

static void
to_users(struct rt_dispatch *d, const struct rt_route *r, const struct rt_notice *n, struct rt_frame *f)
{
	const struct rt_socket *except = except_socket(d, r);
	json_t *item;
	size_t i;

	json_array_foreach(rt_json_array(r->json, "users"), i, item)
	{
		const char *id = json_string_value(item);
		struct rt_user *u = id == NULL ? NULL : rt_user_find(d->uses.users, id);

		if (u != NULL)
			rt_user_send(u, f, except);
	}
	if (n->logged)
		keep_for_users(d, r, n, f);
}

static void
send_event(struct rt_dispatch *d, const struct rt_route *r, const struct rt_notice *n)
{
	uint64_t pos = n->logged ? n->pos : rt_bus_pos(d->uses.bus);
	struct rt_frame *f = rt_notice_frame(n, pos);

	if (r->kind == RT_ROUTE_ROOM)
		to_room(d, r, n, f, pos);
	else if (r->kind == RT_ROUTE_UNJOINED)
		to_unjoined(d, r, n, f, pos);
	else if (r->kind == RT_ROUTE_USERS)
		to_users(d, r, n, f);
	else if (r->kind == RT_ROUTE_MEETING)
		rt_meeting_send(d->uses.meetings, r->room, json_object_get(r->json, "participants"), f, except_socket(d, r));
	else
		rt_presence_send(d->uses.presence, r, f);
	rt_frame_unref(f);
}

/* Somebody types no longer, though no gateway has told it. */
static void
on_typed(void *arg, const struct rt_route *r, const struct rt_notice *n)
{
	send_event(arg, r, n);
}

void
rt_dispatch_event(struct rt_dispatch *d, const struct rt_notice *n)
{
	struct rt_route r;

	rt_route_parse(&r, n->route.text, n->route.len);
	if (r.kind == RT_ROUTE_GATEWAY)
		rt_commands_run(d->uses.commands, n, rt_json_str(r.json, "to"));
	else if (r.kind != RT_ROUTE_NONE && rt_typists_note(d->typists, &r, n))
		send_event(d, &r, n);
	rt_route_fini(&r);
}
