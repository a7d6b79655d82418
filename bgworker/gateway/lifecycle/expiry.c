/* expiry.c: see expiry.h.
 *
 * A timer looks at all clients once a second.  That is a few instructions for each, and only where the setting is on;
 * a timer for each client would cost more.  So a client is cut off up to LOOK_MS late. */
#include "expiry.h"

#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/conf.h"
#include "bgworker/common/loop.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/clients/auth.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/dbclock.h"

#define LOOK_MS 1000

struct rt_expiry
{
	struct rt_auth *auth;
	const struct rt_dbclock *clock;
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
	double now_s = rt_dbclock_s(e->clock);
	struct rt_client *c;
	size_t pos = 0;

	/* The end of a socket comes when the turn ends, so the set does not change meanwhile. */
	while ((c = rt_clients_next(e->clients, &pos)) != NULL)
	{
		if (c->user != NULL && c->token.expires_s <= now_s)
			rt_socket_break(c->socket, "token expired");
	}
}

/* One that has not been let in yet is entry.c's to refuse. */
static void
end_revoked(struct rt_expiry *e)
{
	struct rt_client *c;
	size_t pos = 0;

	while ((c = rt_clients_next(e->clients, &pos)) != NULL)
	{
		if (c->user != NULL && rt_auth_is_revoked(e->auth, &c->token))
			rt_socket_disconnect(c->socket, "session revoked");
	}
}

static void
end_withdrawn(struct rt_expiry *e)
{
	struct rt_client *c;
	size_t pos = 0;

	while ((c = rt_clients_next(e->clients, &pos)) != NULL)
	{
		if (c->user != NULL && rt_auth_is_withdrawn(e->auth, &c->token))
			rt_socket_break(c->socket, "the key of its token has been withdrawn");
	}
}

static void
on_read(void *arg)
{
	end_revoked(arg);
	end_withdrawn(arg);
}

/* rt:revoked: sessions of a user, or all tokens of theirs that were issued until a time. */
static void
run_revoked(void *owner, const json_t *payload)
{
	struct rt_expiry *e = owner;

	rt_auth_revoke(e->auth, payload);
	end_revoked(e);
}

static const struct rt_command_def commands[] = {{"rt:revoked", run_revoked}};

static void
on_timer(void *arg)
{
	struct rt_expiry *e = arg;

	if (e->settings->cut_off)
		look(e);
	rt_timer_start(e->timer, LOOK_MS);
}

struct rt_expiry *
rt_expiry_new(struct rt_loop *l, const struct rt_clients *clients, struct rt_auth *auth,
			  const struct rt_dbclock *clock, struct rt_commands *cs, const struct rt_expiry_settings *settings)
{
	struct rt_expiry *e = rt_alloc(sizeof(*e));

	e->clients = clients;
	e->auth = auth;
	e->clock = clock;
	e->settings = settings;
	e->timer = rt_timer_new(l, on_timer, e);
	rt_timer_start(e->timer, LOOK_MS);
	rt_commands_add(cs, commands, sizeof(commands) / sizeof(commands[0]), e);
	rt_auth_watch(auth, on_read, e);
	return e;
}

void
rt_expiry_free(struct rt_expiry *e)
{
	if (e == NULL)
		return;
	rt_auth_watch(e->auth, NULL, NULL);
	rt_timer_free(e->timer);
	free(e);
}
