/* user.c: see user.h */
#include "user.h"

#include <assert.h>
#include <stdlib.h>

#include "bgworker/common/log.h"
#include "bgworker/common/map.h"

struct rt_users
{
	struct rt_map *by_id;
	struct rt_map *by_serial;
	uint64_t last_serial;
	uint64_t last_mark;
};

struct rt_users *
rt_users_new(void)
{
	struct rt_users *us = rt_alloc(sizeof(*us));

	us->by_id = rt_map_new();
	us->by_serial = rt_map_new();
	return us;
}

void
rt_users_free(struct rt_users *us)
{
	if (us == NULL)
		return;
	assert(rt_map_count(us->by_serial) == 0);
	rt_map_free(us->by_id);
	rt_map_free(us->by_serial);
	free(us);
}

struct rt_client *
rt_client_new(struct rt_users *us, struct rt_socket *s)
{
	struct rt_client *c = rt_alloc(sizeof(*c));

	c->socket = s;
	c->told.latency_us = -1;
	c->serial = ++us->last_serial;
	rt_map_put(us->by_serial, &c->serial, sizeof(c->serial), c);
	return c;
}

void
rt_client_free(struct rt_users *us, struct rt_client *c)
{
	assert(c->user == NULL && c->joins == NULL);
	rt_map_take(us->by_serial, &c->serial, sizeof(c->serial));
	free(c);
}

struct rt_client *
rt_clients_next(const struct rt_users *us, size_t *pos)
{
	return rt_map_next(us->by_serial, pos);
}

size_t
rt_clients_count(const struct rt_users *us)
{
	return rt_map_count(us->by_serial);
}

struct rt_client *
rt_client_find(struct rt_users *us, uint64_t serial)
{
	return rt_map_find(us->by_serial, &serial, sizeof(serial));
}

struct rt_user *
rt_user_find(struct rt_users *us, const char *id)
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

struct rt_user *
rt_users_next(const struct rt_users *us, size_t *pos)
{
	return rt_map_next(us->by_id, pos);
}
