/* recover.c: see recover.h.  Here is the way of one client; reading the log for many is replay.c's. */
#include "recover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/json.h"
#include "../common/log.h"
#include "app.h"
#include "bus.h"
#include "event.h"
#include "notice.h"
#include "recent.h"
#include "replay.h"
#include "room.h"
#include "socketio.h"
#include "stat.h"
#include "user.h"

/* What was found for one client; pointers into rt_recent, but for notifications. */
struct found
{
	uint64_t pos;
	struct rt_frame *frame; /* one reference */
};

struct collection
{
	const struct rt_client *client;
	struct found *items;
	size_t count, space;
};

static void
collect(struct collection *k, uint64_t pos, struct rt_frame *f)
{
	if (k->count == k->space)
	{
		k->space = k->space == 0 ? 64 : k->space * 2;
		k->items = rt_realloc(k->items, k->space * sizeof(*k->items));
	}
	k->items[k->count++] = (struct found) {pos, f};
}

static void
collect_event(void *arg, const struct rt_recent_event *e)
{
	struct collection *k = arg;

	if (strcmp(e->except, rt_socket_id(k->client->socket)) != 0)
		collect(k, e->pos, rt_frame_ref(e->frame));
}

static void
collect_notification(void *arg, const struct rt_recent_event *e)
{
	struct collection *k = arg;
	struct rt_frame *f = e->message ? rt_recover_notification(e->frame, e->pos, k->client->user->id) : NULL;

	if (f != NULL)
		collect(k, e->pos, f);
}

struct rt_frame *
rt_recover_notification(const struct rt_frame *message, uint64_t pos, const char *user)
{
	static const char head[] = "42[\"new-chat-message\",{";
	size_t len;
	const char *text = rt_frame_text(message, &len);
	const char *body = text + sizeof(head) - 1;
	const char *comma = memrchr(text, ',', len);
	const char *sender;
	size_t sender_len;

	if (!rt_notice_find_string(text, len, "senderId", &sender, &sender_len) ||
	    (strlen(user) == sender_len && memcmp(user, sender, sender_len) == 0))
		return NULL;
	return rt_notice_notification(body, (size_t) (comma - body), pos);
}

static int
by_pos(const void *a, const void *b)
{
	const struct found *x = a;
	const struct found *y = b;

	return x->pos < y->pos ? -1 : x->pos > y->pos;
}

struct search
{
	struct rt_app *app;
	struct collection *found;
	uint64_t after;
};

static void
search_joined(void *arg, const char *room)
{
	const struct search *s = arg;
	char key[RT_RECENT_KEY_LEN];

	snprintf(key, sizeof(key), "r%s", room);
	rt_recent_each(s->app->recent, key, s->after, collect_event, s->found);
}

static void
search_unjoined(void *arg, const char *room)
{
	const struct search *s = arg;
	char key[RT_RECENT_KEY_LEN];

	if (!rt_room_is_unjoined(s->app->rooms, room, s->found->client->user))
		return;
	snprintf(key, sizeof(key), "r%s", room);
	rt_recent_each(s->app->recent, key, s->after, collect_notification, s->found);
}

static void
send_recent(struct rt_app *app, struct rt_client *c, uint64_t after)
{
	struct collection found = {.client = c};
	struct search s = {app, &found, after};
	char key[RT_RECENT_KEY_LEN];

	rt_rooms_each_joined(c, search_joined, &s);
	rt_rooms_each_membership(c->user, search_unjoined, &s);
	snprintf(key, sizeof(key), "u%s", c->user->id);
	rt_recent_each(app->recent, key, after, collect_event, &found);
	if (found.count > 1)
		qsort(found.items, found.count, sizeof(found.items[0]), by_pos);
	for (size_t i = 0; i < found.count; i++)
	{
		rt_socket_send(c->socket, found.items[i].frame);
		rt_frame_unref(found.items[i].frame);
	}
	free(found.items);
}

static void
join_rooms(struct rt_app *app, struct rt_client *c, const json_t *rooms)
{
	const json_t *room;
	size_t i;

	json_array_foreach(rooms, i, room)
	{
		char id[RT_ID_LEN + 1];

		/* A membership that has ended since the database looked is not given back. */
		if (rt_json_id(room, id) && rt_room_is_member(app->rooms, id, c->user))
			rt_room_join(app->rooms, id, c);
	}
}

bool
rt_recover_finish(struct rt_app *app, struct rt_client *c, const json_t *rooms, uint64_t offset)
{
	if (offset < rt_recent_floor(app->recent))
		return false;
	join_rooms(app, c, rooms);
	send_recent(app, c, offset);
	return true;
}

void
rt_recover_begin(struct rt_app *app, struct rt_client *c, const json_t *rooms, uint64_t offset)
{
	rt_stat_count(app->stat, RT_STAT_RECOVERED);
	if (rt_recover_finish(app, c, rooms, offset))
		return;
	rt_event_raise_barrier(c);
	c->recovery = rt_replay_add(app->recoveries, c, rooms, offset);
}

void
rt_recover_cancel(struct rt_client *c)
{
	if (c->recovery != NULL)
		rt_replay_forget(c->recovery);
	c->recovery = NULL;
}

uint64_t
rt_recover_pos(const struct rt_app *app, const struct rt_client *c)
{
	return c->recovery == NULL ? rt_bus_pos(app->bus) : rt_replay_pos(c->recovery);
}
