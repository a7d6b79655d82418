/* joins.c: see joins.h.  Begun and finished by the handler of join-chat-rooms; in between the dispatch notes events,
 * and the end of a membership cancels.
 *
 * The database lets a client join in a transaction of its own, and events of the room go by on the bus before and
 * after its answer:
 *
 *     request ────── rt_api.join_rooms commits ────── answer
 *        └── events of the room are noted ──────────────┘ the client is joined, is told so, and gets what was noted
 *
 * What must stay true:
 *
 * - No hole: every event of the room from the request on is either noted or comes after the join.  Some of
 *   those noted may be older than the join in the database.
 * - Nobody hears a room that they have left: an end of the membership that the database had not seen when it answered
 *   cancels the join, and drops what was noted before the end.
 * - The answer comes before any event: it tells the epoch, in which the events' numbers are.
 * - Noted events get the position of when they are sent: a client that came back with an older one would get
 *   events twice.
 *
 * Limits: NOTED_MAX events and ENDS_MAX ends for each join; beyond either the join is cancelled, which the client
 * learns as a failed room. */
#include "joins.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/map.h"
#include "bgworker/gateway/socketio/sio_packet.h"
#include "room.h"
#include "snapshot.h"
#include "bgworker/gateway/socketio/socket.h"
#include "client.h"
#include "user.h"

#define NOTED_MAX 4096 /* events a join; a room that is faster than that is not joined now */
#define ENDS_MAX 8     /* of the membership, while one join is under way; beyond it the join is cancelled */

struct rt_pending_join
{
	char *room;
	char *user;
	struct rt_pending_join *next; /* of the same room */
	struct rt_frame **noted;
	size_t count, space;
	uint64_t ends[ENDS_MAX]; /* transactions */
	size_t nends;
	bool cancelled;
};

/* The head of the list is what the map holds, and its room is the key. */
struct rt_joins
{
	struct rt_map *by_room;
};

struct rt_joins *
rt_joins_new(void)
{
	struct rt_joins *js = rt_alloc(sizeof(*js));

	js->by_room = rt_map_new();
	return js;
}

void
rt_joins_free(struct rt_joins *js)
{
	if (js == NULL)
		return;
	rt_map_free(js->by_room);
	free(js);
}

struct rt_pending_join *
rt_joins_begin(struct rt_joins *js, const char *room, const char *user)
{
	struct rt_pending_join *p = rt_alloc(sizeof(*p));

	p->room = rt_strdup(room);
	p->user = rt_strdup(user);
	p->next = rt_map_take_str(js->by_room, room);
	rt_map_put_str(js->by_room, p->room, p);
	return p;
}

static void
unlink_join(struct rt_joins *js, struct rt_pending_join *p)
{
	struct rt_pending_join *head = rt_map_take_str(js->by_room, p->room);
	struct rt_pending_join **link = &head;

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	if (head != NULL)
		rt_map_put_str(js->by_room, head->room, head);
}

static void
forget_noted(struct rt_pending_join *p)
{
	for (size_t i = 0; i < p->count; i++)
		rt_frame_unref(p->noted[i]);
	free(p->noted);
	p->noted = NULL;
	p->count = p->space = 0;
}

static bool
is_cancelled(const struct rt_pending_join *p, const struct rt_snapshot *seen)
{
	for (size_t i = 0; i < p->nends; i++)
	{
		if (!rt_snapshot_sees(seen, p->ends[i]))
			return true;
	}
	return p->cancelled;
}

bool
rt_joins_finish(struct rt_joins *js, struct rt_pending_join *p, struct rt_rooms *rooms, struct rt_client *c,
				struct rt_snapshot *seen)
{
	bool cancelled = is_cancelled(p, seen);

	unlink_join(js, p);
	/* Whoever was joined already has got them. */
	if (rooms == NULL || cancelled || rt_room_is_joined(rooms, p->room, c))
		forget_noted(p);
	if (rooms != NULL && !cancelled)
		rt_room_join(rooms, p->room, c, seen);
	return !cancelled;
}

void
rt_joins_deliver(struct rt_pending_join *p, struct rt_client *c, uint64_t pos)
{
	for (size_t i = 0; c != NULL && i < p->count; i++)
	{
		struct rt_frame *f = rt_sio_packet_event_at(p->noted[i], pos);

		rt_socket_send(c->socket, f);
		rt_frame_unref(f);
	}
	forget_noted(p);
	free(p->room);
	free(p->user);
	free(p);
}

static void
note(struct rt_pending_join *p, struct rt_frame *f)
{
	if (p->count == NOTED_MAX)
	{
		p->cancelled = true;
		forget_noted(p);
		return;
	}
	if (p->count == p->space)
	{
		p->space = p->space == 0 ? 8 : p->space * 2;
		p->noted = rt_realloc(p->noted, p->space * sizeof(*p->noted));
	}
	p->noted[p->count++] = rt_frame_ref(f);
}

void
rt_joins_note(struct rt_joins *js, const char *room, struct rt_frame *f)
{
	if (rt_map_count(js->by_room) == 0)
		return;
	for (struct rt_pending_join *p = rt_map_find_str(js->by_room, room); p != NULL; p = p->next)
	{
		if (!p->cancelled)
			note(p, f);
	}
}

void
rt_joins_end_membership(struct rt_joins *js, const char *room, const char *user, uint64_t xid)
{
	for (struct rt_pending_join *p = rt_map_find_str(js->by_room, room); p != NULL; p = p->next)
	{
		if (user != NULL && strcmp(p->user, user) != 0)
			continue;
		if (p->nends < ENDS_MAX)
			p->ends[p->nends++] = xid;
		else
			p->cancelled = true;
		forget_noted(p);
	}
}
