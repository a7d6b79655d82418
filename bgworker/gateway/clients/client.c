/* client.c: the set of clients, by serial.  What a client does and may is for the modules that client.h names. */
#include "client.h"

#include <assert.h>
#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/map.h"

struct rt_clients
{
	struct rt_map *by_serial;
	uint64_t last_serial;
};

struct rt_clients *
rt_clients_new(void)
{
	struct rt_clients *cs = rt_alloc(sizeof(*cs));

	cs->by_serial = rt_map_new();
	return cs;
}

void
rt_clients_free(struct rt_clients *cs)
{
	if (cs == NULL)
		return;
	assert(rt_map_count(cs->by_serial) == 0);
	rt_map_free(cs->by_serial);
	free(cs);
}

size_t
rt_clients_count(const struct rt_clients *cs)
{
	return rt_map_count(cs->by_serial);
}

struct rt_client *
rt_client_new(struct rt_clients *cs, struct rt_socket *s)
{
	struct rt_client *c = rt_alloc(sizeof(*c));

	c->socket = s;
	c->told.latency_us = -1;
	c->serial = ++cs->last_serial;
	rt_map_put(cs->by_serial, &c->serial, sizeof(c->serial), c);
	return c;
}

void
rt_client_free(struct rt_clients *cs, struct rt_client *c)
{
	assert(c->user == NULL && c->joins == NULL && c->recovery == NULL && c->typing == NULL && c->seats == NULL);
	rt_map_take(cs->by_serial, &c->serial, sizeof(c->serial));
	rt_auth_token_fini(&c->token);
	free(c);
}

struct rt_client *
rt_client_find(const struct rt_clients *cs, uint64_t serial)
{
	return rt_map_find(cs->by_serial, &serial, sizeof(serial));
}

struct rt_client *
rt_clients_next(const struct rt_clients *cs, size_t *pos)
{
	return rt_map_next(cs->by_serial, pos);
}

uint64_t
rt_client_pos(const struct rt_client *c, uint64_t live_pos)
{
	return c->recovered_to == NULL ? live_pos : *c->recovered_to;
}
