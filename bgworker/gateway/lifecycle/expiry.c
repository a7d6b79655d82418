/* expiry.c: see expiry.h.  Looks at all clients once a second: a few instructions each, where the setting is on. */
#include "expiry.h"

#include <stdlib.h>
#include <time.h>

#include "bgworker/common/conf.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/clients/client.h"

#define LOOK_MS 1000

struct rt_expiry
{
	const struct rt_clients *clients;
	const struct rt_expiry_settings *settings;
	struct rt_timer *timer;
};

void
rt_expiry_read_settings(struct rt_expiry_settings *s, struct rt_conf *c)
{
	s->cut_off = rt_conf_bool(c, "disconnect_on_token_expiry");
}

static void
look(struct rt_expiry *e)
{
	double now_s = (double) time(NULL);
	struct rt_client *c;
	size_t pos = 0;

	/* The end of a socket comes when the turn ends, so the set does not change meanwhile. */
	while ((c = rt_clients_next(e->clients, &pos)) != NULL)
	{
		if (c->user != NULL && c->token_expires_s > 0 && c->token_expires_s <= now_s)
			rt_socket_break(c->socket, "token expired");
	}
}

static void
on_timer(void *arg)
{
	struct rt_expiry *e = arg;

	if (e->settings->cut_off)
		look(e);
	rt_timer_start(e->timer, LOOK_MS);
}

struct rt_expiry *
rt_expiry_new(struct rt_loop *l, const struct rt_clients *clients, const struct rt_expiry_settings *settings)
{
	struct rt_expiry *e = rt_alloc(sizeof(*e));

	e->clients = clients;
	e->settings = settings;
	e->timer = rt_timer_new(l, on_timer, e);
	rt_timer_start(e->timer, LOOK_MS);
	return e;
}

void
rt_expiry_free(struct rt_expiry *e)
{
	if (e == NULL)
		return;
	rt_timer_free(e->timer);
	free(e);
}
