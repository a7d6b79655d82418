/* route.c: see route.h */
#include "route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/log.h"
#include "bgworker/gateway/app.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/clients/joins.h"
#include "bgworker/gateway/meetings/meeting.h"
#include "bgworker/gateway/bus/notice.h"
#include "presence.h"
#include "bgworker/gateway/bus/recent.h"
#include "roaming.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/clients/user.h"

/* The one form that matters for speed: {"room":"123"} */
static bool
parse_plain_room(struct rt_route *r, const char *text, size_t len)
{
	static const char head[] = "{\"room\":\"";
	size_t head_len = sizeof(head) - 1;
	size_t digits;

	if (len < head_len + 3 || memcmp(text, head, head_len) != 0 || memcmp(text + len - 2, "\"}", 2) != 0)
		return false;
	digits = len - head_len - 2;
	if (digits > RT_ID_LEN || memchr(text + head_len, '"', digits) != NULL)
		return false;
	memcpy(r->room, text + head_len, digits);
	r->room[digits] = '\0';
	r->kind = RT_ROUTE_ROOM;
	return true;
}

static enum rt_route_kind
kind_of(const json_t *route)
{
	if (rt_json_array(route, "rooms") != NULL || rt_json_str(route, "contacts") != NULL)
		return RT_ROUTE_CONTACTS;
	if (json_object_get(route, "room") != NULL)
		return RT_ROUTE_ROOM;
	if (rt_json_array(route, "users") != NULL)
		return RT_ROUTE_USERS;
	if (json_object_get(route, "meeting") != NULL)
		return RT_ROUTE_MEETING;
	if (rt_json_bool(route, "gateway", false))
		return RT_ROUTE_GATEWAY;
	return RT_ROUTE_NONE;
}

void
rt_route_parse(struct rt_route *r, const char *text, size_t len)
{
	memset(r, 0, sizeof(*r));
	if (parse_plain_room(r, text, len))
		return;
	r->json = rt_json_parse_object(text, len);
	r->kind = kind_of(r->json);
	if (r->kind == RT_ROUTE_ROOM && !rt_json_get_id(r->json, "room", r->room))
		r->kind = RT_ROUTE_NONE;
	if (r->kind == RT_ROUTE_MEETING && !rt_json_get_id(r->json, "meeting", r->room))
		r->kind = RT_ROUTE_NONE;
}

void
rt_route_fini(struct rt_route *r)
{
	json_decref(r->json);
	r->json = NULL;
}

const char *
rt_route_except(const struct rt_route *r)
{
	return rt_json_str(r->json, "except");
}

void
rt_route_to_user(struct rt_user *u, struct rt_frame *f, const struct rt_socket *except)
{
	/* Who is still getting what was missed has this event before them. */
	for (struct rt_client *c = u->clients; c != NULL; c = c->next)
	{
		if (c->recovery == NULL && c->socket != except)
			rt_socket_send(c->socket, f);
	}
}

static const struct rt_socket *
except_socket(struct rt_app *app, const struct rt_route *r)
{
	const char *id = rt_route_except(r);

	return id == NULL ? NULL : rt_socket_find(app->sockets, id);
}

/* ---- a message that some members have not joined for ------------------------------ */

struct notification
{
	struct rt_app *app;
	const char *room;
	struct rt_frame *frame;
	char sender[RT_SENDER_SIZE];
};

static void
notify_user(void *arg, struct rt_user *u)
{
	const struct notification *nf = arg;

	if (strcmp(u->id, nf->sender) != 0 && !rt_roaming_is_joined(nf->app->roaming, u->id, nf->room))
		rt_route_to_user(u, nf->frame, NULL);
}

static void
notify_unjoined(struct rt_app *app, const char *room, const struct rt_notice *n, uint64_t pos)
{
	struct notification nf = {.app = app, .room = room};

	if (rt_room_unjoined(app->rooms, room) == 0)
		return;
	nf.frame = rt_notice_notification(n->body, n->body_len, pos);
	if (nf.frame == NULL)
		return;
	rt_notice_sender(n->body, n->body_len, nf.sender);
	rt_room_each_unjoined(app->rooms, room, notify_user, &nf);
	rt_frame_unref(nf.frame);
}

/* ---- the routes --------------------------------------------------------------------- */

static void
to_room(struct rt_app *app, const struct rt_route *r, const struct rt_notice *n, struct rt_frame *f, uint64_t pos)
{
	char key[RT_RECENT_KEY_LEN];
	const char *keys[] = {key};
	bool message = rt_notice_is(n, "new-chat-message");

	rt_room_send(app->rooms, r->room, f, except_socket(app, r));
	rt_joins_note(app->joins, r->room, f);
	if (message)
		notify_unjoined(app, r->room, n, pos);
	if (!n->logged)
		return;
	snprintf(key, sizeof(key), "r%s", r->room);
	rt_recent_add(app->recent, n->pos, f, rt_route_except(r), message, keys, 1);
}

static void
keep_for_users(struct rt_app *app, const struct rt_route *r, const struct rt_notice *n, struct rt_frame *f)
{
	const json_t *users = rt_json_array(r->json, "users");
	size_t count = json_array_size(users);
	char(*text)[RT_RECENT_KEY_LEN] = rt_alloc(count * sizeof(*text));
	const char **keys = rt_alloc(count * sizeof(*keys));
	json_t *user;
	size_t i;

	json_array_foreach(users, i, user)
	{
		const char *id = json_string_value(user);

		snprintf(text[i], sizeof(text[i]), "u%s", id == NULL ? "" : id);
		keys[i] = text[i];
	}
	rt_recent_add(app->recent, n->pos, f, rt_route_except(r), false, keys, count);
	free(keys);
	free(text);
}

static void
to_users(struct rt_app *app, const struct rt_route *r, const struct rt_notice *n, struct rt_frame *f)
{
	const struct rt_socket *except = except_socket(app, r);
	json_t *item;
	size_t i;

	json_array_foreach(rt_json_array(r->json, "users"), i, item)
	{
		const char *id = json_string_value(item);
		struct rt_user *u = id == NULL ? NULL : rt_user_find(app->users, id);

		if (u != NULL)
			rt_route_to_user(u, f, except);
	}
	if (n->logged)
		keep_for_users(app, r, n, f);
}

static void
send_event(struct rt_app *app, const struct rt_route *r, const struct rt_notice *n)
{
	uint64_t pos = n->logged ? n->pos : rt_bus_pos(app->bus);
	struct rt_frame *f = rt_notice_frame(n, pos);

	if (r->kind == RT_ROUTE_ROOM)
		to_room(app, r, n, f, pos);
	else if (r->kind == RT_ROUTE_USERS)
		to_users(app, r, n, f);
	else if (r->kind == RT_ROUTE_MEETING)
		rt_meeting_send(app->meetings, r->room, json_object_get(r->json, "participants"), f, except_socket(app, r));
	else
		rt_presence_send(app->presence, r, f);
	rt_frame_unref(f);
}

void
rt_route_dispatch(struct rt_app *app, const struct rt_notice *n)
{
	struct rt_route r;

	rt_route_parse(&r, n->route, n->route_len);
	if (r.kind == RT_ROUTE_GATEWAY)
		rt_command_run(app, n, &r);
	else if (r.kind != RT_ROUTE_NONE)
		send_event(app, &r, n);
	rt_route_fini(&r);
}
