/* chat.c: see chat.h.  client_event.c calls the handlers; most events have none, and go to a function of rt_api as
 * they are.
 *
 * Joins, leaves, typing and statuses are barriers: later events of the client wait for them.  Of two statuses in a
 * row, or of typing that begins and ends, the database must see the second one last; and a message that a client
 * sends to a room behind its join must find it joined. */
#include "chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/conf.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/json.h"
#include "bgworker/common/map.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/clients/client_event.h"
#include "bgworker/gateway/clients/joins.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/snapshot.h"
#include "typing.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/user.h"

struct rt_chat
{
	struct rt_chat_uses uses;
};

void
rt_chat_read_settings(struct rt_chat_settings *s, struct rt_conf *c)
{
	s->max_rooms_per_connection = rt_conf_int(c, "max_rooms_per_connection");
}

static const struct rt_chat_uses *
uses_of(const struct rt_client_event *e)
{
	const struct rt_chat *ch = e->owner;

	return &ch->uses;
}

/* ---- join-chat-rooms ------------------------------------------------------------------ */

struct join
{
	struct rt_pending_join *pending;
	char room[RT_ID_LEN + 1];
};

struct join_batch
{
	size_t count;
	struct join joins[];
};

static size_t
count_items(struct rt_json_level items)
{
	struct rt_json_span item;
	size_t n = 0;

	while (rt_json_scan_item(&items, &item) == RT_OK)
		n++;
	return n;
}

/* The rooms of the request, each once; NULL if one is no id. */
static struct join_batch *
read_rooms(struct rt_json_level items)
{
	struct join_batch *batch = rt_alloc(sizeof(*batch) + count_items(items) * sizeof(batch->joins[0]));
	struct rt_map *seen = rt_map_new();
	struct rt_json_span item;

	while (batch != NULL && rt_json_scan_item(&items, &item) == RT_OK)
	{
		char *room = batch->joins[batch->count].room;

		if (!rt_json_scan_id(&item, room))
		{
			free(batch);
			batch = NULL;
		}
		else if (rt_map_put_str(seen, room, batch))
			batch->count++;
	}
	rt_map_free(seen);
	return batch;
}

static void
add_failure(json_t *answer, const char *room)
{
	json_t *error = json_pack("{s:s,s:s}", "code", "not_found", "message", "Room not found");

	json_array_append_new(rt_json_array(answer, "failed"), json_pack("{s:s,s:O}", "roomId", room, "error", error));
	json_object_set_new(answer, "success", json_false());
	if (json_object_get(answer, "error") == NULL)
		json_object_set(answer, "error", error);
	json_decref(error);
}

/* Whose membership ended between the database's answer and ours has not joined. */
static void
take_back(json_t *answer, const char *room)
{
	json_t *rooms = rt_json_array(answer, "rooms");
	json_t *item;
	size_t i;

	json_array_foreach(rooms, i, item)
	{
		const char *id = json_string_value(item);

		if (id == NULL || strcmp(id, room) != 0)
			continue;
		json_array_remove(rooms, i);
		add_failure(answer, room);
		return;
	}
}

static struct rt_map *
joined_set(const json_t *answer)
{
	struct rt_map *set = rt_map_new();
	json_t *item;
	size_t i;

	json_array_foreach(rt_json_array(answer, "rooms"), i, item)
	{
		if (json_is_string(item))
			rt_map_put_str(set, json_string_value(item), item);
	}
	return set;
}

/* With an answer, joins what the database let us. */
static void
finish_joins(const struct rt_chat_uses *uses, struct join_batch *batch, struct rt_client *c, json_t *answer)
{
	struct rt_snapshot *seen = rt_snapshot_new(rt_json_str(answer, "snapshot"));
	struct rt_map *set = joined_set(answer);

	for (size_t i = 0; i < batch->count; i++)
	{
		struct join *j = &batch->joins[i];
		bool joined = c != NULL && rt_map_find_str(set, j->room) != NULL;

		if (rt_joins_finish(uses->joins, j->pending, joined ? uses->rooms : NULL, c, seen) || !joined)
			continue;
		rt_map_take_str(set, j->room);
		take_back(answer, j->room);
	}
	rt_map_free(set);
	rt_snapshot_unref(seen);
}

static void
deliver_noted(struct join_batch *batch, struct rt_client *c, uint64_t pos)
{
	for (size_t i = 0; i < batch->count; i++)
		rt_joins_deliver(batch->joins[i].pending, c, pos);
	free(batch);
}

/* The answer ends the event, and begins those that waited behind it: the client is looked up again. */
static void
on_joined(void *arg, const struct rt_db_reply *reply)
{
	struct rt_client_event *e = arg;
	const struct rt_chat_uses *uses = uses_of(e);
	struct join_batch *batch = e->data;
	struct rt_client *c = rt_client_event_client(e);
	uint64_t serial = c != NULL ? c->serial : 0;
	json_t *answer = reply->ok ? rt_json_parse_object(reply->json, reply->json_len) : NULL;
	char *text = NULL;

	finish_joins(uses, batch, c, answer);
	if (answer != NULL)
	{
		json_object_del(answer, "snapshot"); /* is for us alone */
		text = json_dumps(answer, JSON_COMPACT);
		json_decref(answer);
	}
	if (text != NULL)
		rt_client_event_answer(e, text, strlen(text));
	else
		rt_client_event_answer_reply(e, reply);
	free(text);
	deliver_noted(batch, rt_client_find(uses->clients, serial), rt_bus_pos(uses->bus));
}

static void
begin_joins(struct rt_client_event *e, struct join_batch *batch)
{
	const char *user = rt_client_event_client(e)->user->id;

	for (size_t i = 0; i < batch->count; i++)
		batch->joins[i].pending = rt_joins_begin(uses_of(e)->joins, batch->joins[i].room, user);
	e->data = batch;
	rt_client_event_call(e, "join_rooms", on_joined);
}

static int64_t
joins_after(const struct rt_client_event *e, const struct join_batch *batch)
{
	const struct rt_client *c = rt_client_event_client(e);
	int64_t n = c->njoins;

	for (size_t i = 0; i < batch->count; i++)
		n += !rt_room_is_joined(uses_of(e)->rooms, batch->joins[i].room, c);
	return n;
}

static void
handle_join(struct rt_client_event *e)
{
	struct rt_json_level items;
	struct join_batch *batch = rt_client_event_array(e, "roomIds", &items) ? read_rooms(items) : NULL;
	int64_t most = uses_of(e)->settings->max_rooms_per_connection;

	if (batch == NULL)
		rt_client_event_fail(e, "bad_request", "roomIds must be an array of room ids");
	else if (joins_after(e, batch) > most)
	{
		free(batch);
		rt_client_event_fail(e, "too_large", "Too many rooms for one connection");
	}
	else
		begin_joins(e, batch);
}

/* ---- leave-chat-room -------------------------------------------------------------------- */

static void
handle_leave(struct rt_client_event *e)
{
	struct rt_client *c = rt_client_event_client(e);
	char room[RT_ID_LEN + 1];

	if (rt_client_event_id(e, "roomId", room))
	{
		rt_typing_end(uses_of(e)->typings, c, RT_TYPING_ROOM, room);
		rt_room_leave(uses_of(e)->rooms, room, c);
		rt_client_event_call(e, "leave_room", NULL);
	}
	else
		rt_client_event_fail(e, "bad_request", "roomId must be a room's id");
}

/* ---- chat-typing ------------------------------------------------------------------------ */

static void
handle_typing(struct rt_client_event *e)
{
	const struct rt_client *c = rt_client_event_client(e);
	char room[RT_ID_LEN + 1];
	bool typing;

	if (!rt_client_event_id(e, "roomId", room))
		rt_client_event_fail(e, "bad_request", "roomId must be a room's id");
	else if (!rt_client_event_bool(e, "isTyping", &typing))
		rt_client_event_fail(e, "bad_request", "isTyping must be true or false");
	else if (!rt_room_is_member(uses_of(e)->rooms, room, c->user))
		rt_client_event_fail(e, "not_found", "Room not found");
	else if (!rt_room_is_joined(uses_of(e)->rooms, room, c))
		rt_client_event_fail(e, "forbidden", "Join the room first");
	else
		rt_typing_tell(uses_of(e)->typings, e, RT_TYPING_ROOM, room, typing);
}

/* Of two statuses in a row, or of typing that begins and ends, the database must see the second one last. */
static const struct rt_client_event_def events[] = {
	{.name = "join-chat-rooms",
	 .alias = "join-rooms",
	 .handle = handle_join,
	 .reply = "chat-rooms-joined",
	 .barrier = true},
	{.name = "leave-chat-room", .handle = handle_leave, .reply = "chat-room-left", .barrier = true},
	{.name = "chat-typing", .handle = handle_typing, .barrier = true},
	{.name = "mark-msgs-seen",
	 .alias = "mark-messages-seen",
	 .fn = "mark_seen",
	 .reply = "messages-seen-acknowledged",
	 .writes = true},
	{.name = "update-chat-status", .fn = "set_status", .writes = true, .barrier = true},
	{.name = "get-room-online-users", .fn = "online_users", .reply = "room-online-users"},
	{.name = "sync-rooms", .fn = "sync_rooms", .reads = true},
};

struct rt_chat *
rt_chat_new(const struct rt_chat_uses *uses, struct rt_client_events *es)
{
	struct rt_chat *ch = rt_alloc(sizeof(*ch));

	ch->uses = *uses;
	rt_client_events_add(es, events, sizeof(events) / sizeof(events[0]), ch);
	return ch;
}

void
rt_chat_free(struct rt_chat *ch)
{
	free(ch);
}
