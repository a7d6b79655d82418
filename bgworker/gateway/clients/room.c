/* room.c: see room.h.  The hot path of the gateway is rt_room_send(): one walk over an array.
 *
 *     room ── receivers: [socket, join] …    joined clients, side by side for the fan-out
 *          └─ members:   [membership] …      connected users that are in the room
 *
 * What must stay true:
 *
 * - A join has a membership of its client's user: njoined counts the user's joined clients in the room.
 *   So a membership is dropped after its joins, and a room after its last membership.
 * - receivers[join->place].join == join, and members[m->place] == m.  A removal moves the last element
 *   into the gap and corrects its place.
 * - A message is made known to the clients that have not joined.  njoined says whose clients need no
 *   look: those of users whose every client has.
 * - j->seen is what the database had seen when it let the client in.  The end of a membership by a
 *   transaction in it is older than the join, and does not end it: the user was let in again.
 *
 * rt_socket_send() frees no client within its turn, so a walk over receivers is safe.  The callbacks of
 * the other walks must change no room. */
#include "room.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/map.h"
#include "snapshot.h"
#include "bgworker/gateway/socketio/socket.h"
#include "client.h"
#include "user.h"

/* room and other party come first: together they are the key in the map. */
struct rt_join
{
	struct rt_room *room;
	struct rt_client *client;
	struct rt_join *next, **prevp; /* of the same client */
	struct rt_snapshot *seen;      /* an end of a membership that is older than the join does not end it */
	size_t place;
};

struct rt_membership
{
	struct rt_room *room;
	struct rt_user *user;
	struct rt_membership *next, **prevp; /* of the same user */
	size_t place;
	uint32_t njoined; /* the user's clients that are joined */
};

struct pair
{
	const void *room;
	const void *other;
};

struct receiver
{
	struct rt_socket *socket;
	struct rt_join *join;
};

struct rt_room
{
	char *id;
	struct receiver *receivers;
	size_t nreceivers, receivers_room;
	struct rt_membership **members;
	size_t nmembers, members_room;
};

struct rt_rooms
{
	struct rt_map *by_id;
	struct rt_map *joins;       /* by pair of room and client */
	struct rt_map *memberships; /* by pair of room and user */
};

struct rt_rooms *
rt_rooms_new(void)
{
	struct rt_rooms *rs = rt_alloc(sizeof(*rs));

	rs->by_id = rt_map_new();
	rs->joins = rt_map_new();
	rs->memberships = rt_map_new();
	return rs;
}

void
rt_rooms_free(struct rt_rooms *rs)
{
	if (rs == NULL)
		return;
	assert(rt_map_count(rs->by_id) == 0);
	rt_map_free(rs->by_id);
	rt_map_free(rs->joins);
	rt_map_free(rs->memberships);
	free(rs);
}

size_t
rt_rooms_count(const struct rt_rooms *rs)
{
	return rt_map_count(rs->by_id);
}

static struct rt_room *
find_room(const struct rt_rooms *rs, const char *id)
{
	return rt_map_find_str(rs->by_id, id);
}

static struct rt_room *
need_room(struct rt_rooms *rs, const char *id)
{
	struct rt_room *r = find_room(rs, id);

	if (r != NULL)
		return r;
	r = rt_alloc(sizeof(*r));
	r->id = rt_strdup(id);
	rt_map_put_str(rs->by_id, r->id, r);
	return r;
}

static void
free_if_empty(struct rt_rooms *rs, struct rt_room *r)
{
	if (r->nreceivers > 0 || r->nmembers > 0)
		return;
	rt_map_take_str(rs->by_id, r->id);
	free(r->receivers);
	free(r->members);
	free(r->id);
	free(r);
}

static void *
find_pair(const struct rt_map *map, const void *room, const void *other)
{
	struct pair key = {room, other};

	return room == NULL ? NULL : rt_map_find(map, &key, sizeof(key));
}

static void *
make_room_for(void *array, size_t n, size_t *room, size_t element)
{
	if (n < *room)
		return array;
	*room = *room == 0 ? 2 : *room * 2;
	return rt_realloc(array, *room * element);
}

/* ---- members ---------------------------------------------------------------- */

static void
place_member(struct rt_room *r, struct rt_membership *m, size_t place)
{
	r->members[place] = m;
	m->place = place;
}

static void
swap_members(struct rt_room *r, size_t a, size_t b)
{
	struct rt_membership *m = r->members[a];

	place_member(r, r->members[b], a);
	place_member(r, m, b);
}

static struct rt_membership *
need_membership(struct rt_rooms *rs, struct rt_room *r, struct rt_user *u)
{
	struct rt_membership *m = find_pair(rs->memberships, r, u);

	if (m != NULL)
		return m;
	m = rt_alloc(sizeof(*m));
	m->room = r;
	m->user = u;
	m->next = u->memberships;
	m->prevp = &u->memberships;
	if (m->next != NULL)
		m->next->prevp = &m->next;
	u->memberships = m;
	rt_map_put(rs->memberships, &m->room, sizeof(struct pair), m);
	r->members = make_room_for(r->members, r->nmembers, &r->members_room, sizeof(*r->members));
	place_member(r, m, r->nmembers++);
	return m;
}

static void
drop_membership(struct rt_rooms *rs, struct rt_membership *m)
{
	struct rt_room *r = m->room;

	assert(m->njoined == 0);
	swap_members(r, m->place, --r->nmembers);
	rt_map_take(rs->memberships, &m->room, sizeof(struct pair));
	*m->prevp = m->next;
	if (m->next != NULL)
		m->next->prevp = m->prevp;
	free(m);
	free_if_empty(rs, r);
}

/* ---- joined clients ----------------------------------------------------------- */

static void
set_seen(struct rt_join *j, struct rt_snapshot *seen)
{
	struct rt_snapshot *before = j->seen;

	j->seen = rt_snapshot_ref(seen);
	rt_snapshot_unref(before);
}

void
rt_room_join(struct rt_rooms *rs, const char *id, struct rt_client *c, struct rt_snapshot *seen)
{
	struct rt_room *r = need_room(rs, id);
	struct rt_join *j = find_pair(rs->joins, r, c);

	if (j != NULL)
	{
		set_seen(j, seen);
		return;
	}
	j = rt_alloc(sizeof(*j));
	set_seen(j, seen);
	j->room = r;
	j->client = c;
	j->next = c->joins;
	j->prevp = &c->joins;
	if (j->next != NULL)
		j->next->prevp = &j->next;
	c->joins = j;
	c->njoins++;
	rt_map_put(rs->joins, &j->room, sizeof(struct pair), j);
	r->receivers = make_room_for(r->receivers, r->nreceivers, &r->receivers_room, sizeof(*r->receivers));
	j->place = r->nreceivers;
	r->receivers[r->nreceivers++] = (struct receiver){c->socket, j};
	need_membership(rs, r, c->user)->njoined++;
}

static void
drop_join(struct rt_rooms *rs, struct rt_join *j)
{
	struct rt_room *r = j->room;
	struct rt_client *c = j->client;
	struct receiver *last = &r->receivers[--r->nreceivers];
	struct rt_membership *m = find_pair(rs->memberships, r, c->user);

	m->njoined--;
	rt_map_take(rs->joins, &j->room, sizeof(struct pair));
	r->receivers[j->place] = *last;
	last->join->place = j->place;
	*j->prevp = j->next;
	if (j->next != NULL)
		j->next->prevp = j->prevp;
	c->njoins--;
	rt_snapshot_unref(j->seen);
	free(j);
}

void
rt_room_leave(struct rt_rooms *rs, const char *id, struct rt_client *c)
{
	struct rt_join *j = find_pair(rs->joins, find_room(rs, id), c);

	/* The room stays: the user is still its member. */
	if (j != NULL)
		drop_join(rs, j);
}

void
rt_rooms_leave_all(struct rt_rooms *rs, struct rt_client *c)
{
	while (c->joins != NULL)
		drop_join(rs, c->joins);
}

bool
rt_room_is_joined(const struct rt_rooms *rs, const char *id, const struct rt_client *c)
{
	return find_pair(rs->joins, find_room(rs, id), c) != NULL;
}

void
rt_room_add_member(struct rt_rooms *rs, const char *id, struct rt_user *u)
{
	need_membership(rs, need_room(rs, id), u);
}

static void
remove_membership(struct rt_rooms *rs, struct rt_membership *m, uint64_t xid)
{
	for (struct rt_client *c = m->user->clients; c != NULL && m->njoined > 0; c = c->next)
	{
		struct rt_join *j = find_pair(rs->joins, m->room, c);

		if (j != NULL && !rt_snapshot_sees(j->seen, xid))
			drop_join(rs, j);
	}
	if (m->njoined == 0)
		drop_membership(rs, m);
}

void
rt_room_remove_member(struct rt_rooms *rs, const char *id, struct rt_user *u, uint64_t xid)
{
	struct rt_membership *m = find_pair(rs->memberships, find_room(rs, id), u);

	if (m != NULL)
		remove_membership(rs, m, xid);
}

void
rt_rooms_forget_user(struct rt_rooms *rs, struct rt_user *u)
{
	while (u->memberships != NULL)
		remove_membership(rs, u->memberships, 0);
}

void
rt_room_delete(struct rt_rooms *rs, const char *id)
{
	struct rt_room *r;

	/* It goes with its last member. */
	while ((r = find_room(rs, id)) != NULL)
		remove_membership(rs, r->members[r->nmembers - 1], 0);
}

bool
rt_room_is_member(const struct rt_rooms *rs, const char *id, const struct rt_user *u)
{
	return find_pair(rs->memberships, find_room(rs, id), u) != NULL;
}

/* ---- walks -------------------------------------------------------------------- */

size_t
rt_room_send(struct rt_rooms *rs, const char *id, struct rt_frame *f, const struct rt_socket *except)
{
	struct rt_room *r = find_room(rs, id);
	size_t sent = 0;

	if (r == NULL)
		return 0;
	for (size_t i = 0; i < r->nreceivers; i++)
	{
		if (r->receivers[i].socket == except)
			continue;
		rt_socket_send(r->receivers[i].socket, f);
		sent++;
	}
	return sent;
}

bool
rt_room_has_unjoined(const struct rt_rooms *rs, const char *id)
{
	const struct rt_room *r = find_room(rs, id);

	for (size_t i = 0; r != NULL && i < r->nmembers; i++)
	{
		if (r->members[i]->njoined < r->members[i]->user->nclients)
			return true;
	}
	return false;
}

static void
each_unjoined_client(const struct rt_rooms *rs, const struct rt_membership *m, rt_room_client_cb cb, void *arg)
{
	for (struct rt_client *c = m->user->clients; c != NULL; c = c->next)
	{
		if (c->recovery == NULL && find_pair(rs->joins, m->room, c) == NULL)
			cb(arg, c);
	}
}

void
rt_room_each_unjoined(const struct rt_rooms *rs, const char *id, rt_room_client_cb cb, void *arg)
{
	const struct rt_room *r = find_room(rs, id);

	for (size_t i = 0; r != NULL && i < r->nmembers; i++)
	{
		if (r->members[i]->njoined < r->members[i]->user->nclients)
			each_unjoined_client(rs, r->members[i], cb, arg);
	}
}

void
rt_room_each_member(struct rt_rooms *rs, const char *id, rt_room_user_cb cb, void *arg)
{
	const struct rt_room *r = find_room(rs, id);

	for (size_t i = 0; r != NULL && i < r->nmembers; i++)
		cb(arg, r->members[i]->user);
}

void
rt_rooms_each_joined(const struct rt_client *c, rt_room_id_cb cb, void *arg)
{
	for (const struct rt_join *j = c->joins; j != NULL; j = j->next)
		cb(arg, j->room->id);
}

void
rt_rooms_each_membership(const struct rt_user *u, rt_room_id_cb cb, void *arg)
{
	for (const struct rt_membership *m = u->memberships; m != NULL; m = m->next)
		cb(arg, m->room->id);
}

struct rt_room *
rt_rooms_next(const struct rt_rooms *rs, size_t *pos)
{
	return rt_map_next(rs->by_id, pos);
}

const char *
rt_room_id(const struct rt_room *r)
{
	return r->id;
}

size_t
rt_room_joined_count(const struct rt_room *r)
{
	return r->nreceivers;
}
