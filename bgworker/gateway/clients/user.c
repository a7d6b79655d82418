/* user.c: see user.h.  Clients come by entry.c and go by leave.c; the rooms of a user are room.c's. */
#include "user.h"

#include <assert.h>
#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/map.h"
#include "bgworker/gateway/socketio/socket.h"
#include "client.h"

struct rt_users
{
	struct rt_map *by_id;
	uint64_t last_mark;
};

struct rt_users *
rt_users_new(void)
{
	struct rt_users *us = rt_alloc(sizeof(*us));

	us->by_id = rt_map_new();
	return us;
}

void
rt_users_free(struct rt_users *us)
{
	if (us == NULL)
		return;
	assert(rt_map_count(us->by_id) == 0);
	rt_map_free(us->by_id);
	free(us);
}

struct rt_user *
rt_user_find(const struct rt_users *us, const char *id)
{
	return rt_map_find_str(us->by_id, id);
}

struct rt_user *
rt_user_enter(struct rt_users *us, struct rt_client *c, const char *id, const char *name, bool *first)
{
	struct rt_user *u = rt_user_find(us, id);

	*first = u == NULL;
	if (u == NULL)
	{
		u = rt_alloc(sizeof(*u));
		u->id = rt_strdup(id);
		u->name = rt_strdup(name);
		rt_map_put_str(us->by_id, u->id, u);
	}
	c->user = u;
	c->next = u->clients;
	c->prevp = &u->clients;
	if (c->next != NULL)
		c->next->prevp = &c->next;
	u->clients = c;
	u->nclients++;
	return u;
}

bool
rt_user_is_last(const struct rt_client *c)
{
	return c->user != NULL && c->user->nclients == 1;
}

void
rt_user_leave(struct rt_users *us, struct rt_client *c)
{
	struct rt_user *u = c->user;

	*c->prevp = c->next;
	if (c->next != NULL)
		c->next->prevp = c->prevp;
	c->user = NULL;
	if (--u->nclients > 0)
		return;
	assert(u->memberships == NULL);
	rt_map_take_str(us->by_id, u->id);
	free(u->id);
	free(u->name);
	free(u);
}

uint64_t
rt_users_mark(struct rt_users *us)
{
	return ++us->last_mark;
}

size_t
rt_users_count(const struct rt_users *us)
{
	return rt_map_count(us->by_id);
}

void
rt_user_send(const struct rt_user *u, struct rt_frame *f, const struct rt_socket *except)
{
	for (const struct rt_client *c = u->clients; c != NULL; c = c->next)
	{
		if (c->recovered_to == NULL && c->socket != except)
			rt_socket_send(c->socket, f);
	}
}
