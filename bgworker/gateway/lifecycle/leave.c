/* leave.c: see leave.h.  Called by the network when a socket ends, whoever ended it.
 *
 * A client gives back what it holds in one order: first what tells others by way of its rooms and meetings (typing,
 * places), then the connection in the database, then the rooms, at last the user, who goes with the last client.  In
 * another order the ends would not find whom to tell.
 *
 * What must stay true:
 *
 * - Afterwards nothing points to the client.  A call of the database that is under way keeps its serial, and a
 *   recovery that waits somewhere has been told (rt_recovery_release()).
 * - The database is not told of the end of a client that was superseded: its session goes on at another
 *   socket, here or at another gateway, and the end would end that one. */
#include "leave.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/conf.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/chat/typing.h"
#include "bgworker/gateway/clients/auth.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/counters.h"
#include "bgworker/gateway/clients/client_event.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/user.h"
#include "bgworker/gateway/delivery/presence.h"
#include "bgworker/gateway/delivery/recovery.h"
#include "bgworker/gateway/meetings/meeting_event.h"
#include "bgworker/gateway/socketio/socket.h"

struct rt_leave
{
	struct rt_leave_uses uses;
};

void
rt_leave_read_settings(struct rt_leave_settings *s, struct rt_conf *c)
{
	s->log_connections = rt_conf_bool(c, "log_connections");
}

static void
take_leave(const struct rt_leave_uses *u, struct rt_client *c, bool clean)
{
	bool last = rt_user_is_last(c);

	rt_counters_add(u->counters, RT_COUNT_DISCONNECTS, 1);
	rt_recovery_release(c);
	rt_typing_end_all(u->typings, c);
	rt_meeting_events_gone(u->meeting_events, c, !c->superseded);
	if (!c->superseded)
		rt_presence_gone(u->presence, c->user->id, rt_socket_id(c->socket), c->serial, last, !clean);
	rt_rooms_leave_all(u->rooms, c);
	if (last)
		rt_rooms_forget_user(u->rooms, c->user);
	rt_user_leave(u->users, c);
}

void
rt_leave_socket(struct rt_leave *l, struct rt_socket *s, const char *reason, bool clean)
{
	const struct rt_leave_uses *u = &l->uses;
	struct rt_client *c = rt_socket_data(s);

	if (c == NULL)
		return;
	if (c->user != NULL && u->settings->log_connections)
		rt_log(RT_LOG_INFO, "leave", "socket=%s peer=%s user=\"%s\": disconnected after %.3f s: %s", rt_socket_id(s),
			   rt_socket_peer(s), c->user->id, (double) (rt_loop_now_ms(u->loop) - c->entered_ms) / 1000, reason);
	rt_client_event_forget_held(c);
	if (c->user != NULL)
		take_leave(u, c, clean);
	rt_socket_set_data(s, NULL);
	rt_client_free(u->clients, c);
}

/* ---- ends from our side -------------------------------------------------------------------------- */

void
rt_leave_end_user(struct rt_leave *l, const char *user)
{
	struct rt_user *u = rt_user_find(l->uses.users, user);
	struct rt_client *next;

	for (struct rt_client *c = u == NULL ? NULL : u->clients; c != NULL; c = next)
	{
		next = c->next;
		/* A reason after which nobody comes back by itself, and no session is kept. */
		rt_socket_disconnect(c->socket, "server namespace disconnect");
	}
}

/* The session of the socket goes on at another one. */
void
rt_leave_end_superseded(struct rt_leave *l, const char *sid)
{
	struct rt_socket *s = rt_socket_find(l->uses.sockets, sid);
	struct rt_client *c = s == NULL ? NULL : rt_socket_data(s);

	if (c == NULL)
		return;
	c->superseded = true;
	rt_socket_disconnect(s, "session taken over");
}

static void
run_disconnect(void *owner, const json_t *payload)
{
	struct rt_leave *l = owner;
	const char *user = rt_json_str(payload, "userId");
	const char *sid = rt_json_str(payload, "sid");
	const char *gateway = rt_json_str(payload, "gateway");

	/* A socket whose client is back elsewhere, under the same id: only its old gateway is meant. */
	if (gateway != NULL && strcmp(gateway, l->uses.self->name) != 0)
		return;
	if (sid != NULL)
		rt_leave_end_superseded(l, sid);
	else if (user != NULL)
	{
		rt_auth_forget_user(l->uses.auth, user);
		rt_leave_end_user(l, user);
	}
}

static const struct rt_command_def commands[] = {{"rt:disconnect", run_disconnect}};

struct rt_leave *
rt_leave_new(const struct rt_leave_uses *uses)
{
	struct rt_leave *l = rt_alloc(sizeof(*l));

	l->uses = *uses;
	rt_commands_add(uses->commands, commands, sizeof(commands) / sizeof(commands[0]), l);
	return l;
}

void
rt_leave_free(struct rt_leave *l)
{
	free(l);
}
