/* expiry.c: see expiry.h.  Looks at all clients once a second: a few instructions each, where the setting is on. */
#include "expiry.h"

#include <stdlib.h>
#include <time.h>

#include "bgworker/common/conf.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/gateway/app.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/clients/user.h"

#define LOOK_MS 1000

struct rt_expiry
{
	struct rt_app *app;
	struct rt_timer *timer;
};

static void
look(struct rt_expiry *e)
{
	double now_s = (double) time(NULL);
	struct rt_client *c;
	size_t pos = 0;

	/* The end of a socket comes when the turn ends, so the set does not change meanwhile. */
	while ((c = rt_clients_next(e->app->users, &pos)) != NULL)
	{
		if (c->user != NULL && c->token_expires_s > 0 && c->token_expires_s <= now_s)
			rt_socket_break(c->socket, "token expired");
	}
}

static void
on_timer(void *arg)
{
	struct rt_expiry *e = arg;

	if (rt_conf_bool(e->app->conf, "disconnect_on_token_expiry"))
		look(e);
	rt_timer_start(e->timer, LOOK_MS);
}

struct rt_expiry *
rt_expiry_new(struct rt_app *app)
{
	struct rt_expiry *e = rt_alloc(sizeof(*e));

	e->app = app;
	e->timer = rt_timer_new(app->loop, on_timer, e);
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
