/* hub.c: see hub.h.  The engine makes it first and frees it last; every module of this folder may call it. */
#include "hub.h"

#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/map.h"

struct rt_hub
{
	struct rt_loop *loop;
	struct rt_port *port;
	struct rt_dtls_context *certificate;
	rt_hub_event_cb on_event;
	void *arg;
	uint64_t now_us, idle_timeout_us;
	uint64_t counters[RT_HUB_COUNTERS];
	struct rt_map *objects[RT_HUB_KINDS];
};

struct rt_hub *
rt_hub_new(struct rt_loop *l, rt_hub_event_cb on_event, void *arg)
{
	struct rt_dtls_context *certificate = rt_dtls_context_new();
	struct rt_hub *h;

	if (certificate == NULL)
		return NULL;
	h = rt_alloc(sizeof(*h));
	h->loop = l;
	h->certificate = certificate;
	h->on_event = on_event;
	h->arg = arg;
	h->now_us = rt_clock_us();
	for (int i = 0; i < RT_HUB_KINDS; i++)
		h->objects[i] = rt_map_new();
	return h;
}

enum rt_result
rt_hub_open(struct rt_hub *h, const char *addresses, int port, const struct rt_port_handler *handler)
{
	return rt_port_new(&h->port, h->loop, addresses, port, handler);
}

void
rt_hub_free(struct rt_hub *h)
{
	if (h == NULL)
		return;
	rt_port_free(h->port);
	rt_dtls_context_free(h->certificate);
	for (int i = 0; i < RT_HUB_KINDS; i++)
		rt_map_free(h->objects[i]);
	free(h);
}

struct rt_loop *
rt_hub_loop(const struct rt_hub *h)
{
	return h->loop;
}

struct rt_port *
rt_hub_port(const struct rt_hub *h)
{
	return h->port;
}

struct rt_dtls_context *
rt_hub_certificate(const struct rt_hub *h)
{
	return h->certificate;
}

/* ---- time ---- */

uint64_t
rt_hub_now_us(const struct rt_hub *h)
{
	return h->now_us;
}

void
rt_hub_set_now(struct rt_hub *h, uint64_t now_us)
{
	h->now_us = now_us;
}

uint64_t
rt_hub_idle_timeout_us(const struct rt_hub *h)
{
	return h->idle_timeout_us;
}

void
rt_hub_set_idle_timeout(struct rt_hub *h, uint64_t ms)
{
	h->idle_timeout_us = ms * 1000;
}

/* ---- counters ---- */

void
rt_hub_count(struct rt_hub *h, enum rt_hub_counter which, uint64_t n)
{
	h->counters[which] += n;
}

uint64_t
rt_hub_total(const struct rt_hub *h, enum rt_hub_counter which)
{
	return h->counters[which];
}

/* ---- objects by id ---- */

void
rt_hub_put(struct rt_hub *h, enum rt_hub_kind kind, const char *id, void *object)
{
	rt_map_put_str(h->objects[kind], id, object);
}

void
rt_hub_take(struct rt_hub *h, enum rt_hub_kind kind, const char *id)
{
	rt_map_take_str(h->objects[kind], id);
}

void *
rt_hub_find(const struct rt_hub *h, enum rt_hub_kind kind, const char *id)
{
	return rt_map_find_str(h->objects[kind], id);
}

void *
rt_hub_next(const struct rt_hub *h, enum rt_hub_kind kind, size_t *pos)
{
	return rt_map_next(h->objects[kind], pos);
}

size_t
rt_hub_size(const struct rt_hub *h, enum rt_hub_kind kind)
{
	return rt_map_count(h->objects[kind]);
}

void
rt_hub_tell(const struct rt_hub *h, const char *json)
{
	h->on_event(h->arg, json);
}
