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
#include "bgworker/gateway/clients/joins.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/user.h"
#include "bgworker/gateway/meetings/meeting.h"
#include "bgworker/gateway/socketio/socket.h"
#include "presence.h"
#include "roaming.h"
#include "route.h"

struct rt_dispatch
{
	struct rt_dispatch_uses uses;
};

struct rt_dispatch *
rt_dispatch_new(const struct rt_dispatch_uses *uses)
{
	struct rt_dispatch *d = rt_alloc(sizeof(*d));

	d->uses = *uses;
	return d;
}

void
rt_dispatch_free(struct rt_dispatch *d)
{
	free(d);
}

static const struct rt_socket *
except_socket(const struct rt_dispatch *d, const struct rt_route *r)
{
	const char *id = rt_route_except(r);

	return id == NULL ? NULL : rt_socket_find(d->uses.sockets, id);
}

/* ---- a message that some members have not joined for ------------------------------ */

struct notification
{
	const struct rt_roaming *roaming;
	const char *room;
	struct rt_frame *frame;
	char sender[RT_NOTICE_SENDER_BYTES];
};

static void
notify_user(void *arg, struct rt_user *u)
{
	const struct notification *nf = arg;

	if (strcmp(u->id, nf->sender) != 0 && !rt_roaming_is_joined(nf->roaming, u->id, nf->room))
		rt_user_send(u, nf->frame, NULL);
}

static void
notify_unjoined(struct rt_dispatch *d, const char *room, const struct rt_notice *n, uint64_t pos)
{
	struct notification nf = {.roaming = d->uses.roaming, .room = room};
	struct rt_notice_message message;

	if (rt_room_unjoined(d->uses.rooms, room) == 0 || !rt_notice_message(n, &message))
		return;
	nf.frame = rt_notice_notification(&message, pos);
	rt_notice_sender(&message, nf.sender);
	rt_room_each_unjoined(d->uses.rooms, room, notify_user, &nf);
	rt_frame_unref(nf.frame);
}

/* ---- the routes --------------------------------------------------------------------- */

static void
to_room(struct rt_dispatch *d, const struct rt_route *r, const struct rt_notice *n, struct rt_frame *f, uint64_t pos)
{
	char key[RT_RECENT_KEY_LEN];
	const char *keys[] = {key};
	bool message = rt_notice_is(n, "new-chat-message");

	rt_room_send(d->uses.rooms, r->room, f, except_socket(d, r));
	rt_joins_note(d->uses.joins, r->room, f);
	if (message)
		notify_unjoined(d, r->room, n, pos);
	if (!n->logged)
		return;
	snprintf(key, sizeof(key), "r%s", r->room);
	rt_recent_add(d->uses.recent, n->pos, f, rt_route_except(r), message, keys, 1);
}

static void
keep_for_users(struct rt_dispatch *d, const struct rt_route *r, const struct rt_notice *n, struct rt_frame *f)
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
	rt_recent_add(d->uses.recent, n->pos, f, rt_route_except(r), false, keys, count);
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
	else if (r->kind == RT_ROUTE_USERS)
		to_users(d, r, n, f);
	else if (r->kind == RT_ROUTE_MEETING)
		rt_meeting_send(d->uses.meetings, r->room, json_object_get(r->json, "participants"), f, except_socket(d, r));
	else
		rt_presence_send(d->uses.presence, r, f);
	rt_frame_unref(f);
}

void
rt_dispatch_event(struct rt_dispatch *d, const struct rt_notice *n)
{
	struct rt_route r;

	rt_route_parse(&r, n->route.text, n->route.len);
	if (r.kind == RT_ROUTE_GATEWAY)
		rt_commands_run(d->uses.commands, n, rt_json_str(r.json, "to"));
	else if (r.kind != RT_ROUTE_NONE)
		send_event(d, &r, n);
	rt_route_fini(&r);
}
