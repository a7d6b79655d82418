/* client.c: the set of clients, by serial.  What a client does and may is for the modules that client.h names. */
#include "client.h"

#include <assert.h>
#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/map.h"

/* Of what was told: less is no news. */
#define LATENCY_NEWS_US 50000 /* or half of it */
#define QUEUED_NEWS_BYTES 4096

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

static bool
is_far(int64_t told, int64_t now, int64_t least)
{
	return llabs(now - told) >= least;
}

bool
rt_client_told_is_old(const struct rt_told *told, const struct rt_told *now)
{
	int64_t latency_us = told->latency_us / 2 > LATENCY_NEWS_US ? told->latency_us / 2 : LATENCY_NEWS_US;

	if (told->websocket != now->websocket || (told->latency_us < 0) != (now->latency_us < 0) ||
		(told->queued_bytes > 0 && now->queued_bytes == 0))
		return true;
	return is_far(told->latency_us, now->latency_us, latency_us) ||
		   is_far((int64_t) told->queued_bytes, (int64_t) now->queued_bytes, QUEUED_NEWS_BYTES);
}

uint64_t
rt_client_pos(const struct rt_client *c, uint64_t live_pos)
{
	return c->recovered_to == NULL ? live_pos : *c->recovered_to;
}
