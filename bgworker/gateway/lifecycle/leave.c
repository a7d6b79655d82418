/* leave.c: see leave.h */
#include "leave.h"

#include "bgworker/common/conf.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/gateway/app.h"
#include "bgworker/gateway/clients/event.h"
#include "bgworker/gateway/meetings/meeting_event.h"
#include "bgworker/gateway/delivery/presence.h"
#include "bgworker/gateway/delivery/recover.h"
#include "bgworker/gateway/delivery/roaming.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/ops/stat.h"
#include "bgworker/gateway/chat/typing.h"
#include "bgworker/gateway/clients/user.h"

static void
take_leave(struct rt_app *app, struct rt_client *c, bool clean)
{
	bool last = rt_user_is_last(c);

	rt_stat_count(app->stat, RT_STAT_DISCONNECTS);
	rt_recover_cancel(c);
	rt_typing_end_all(app->typings, c);
	rt_meeting_gone(app, c, !c->superseded);
	if (!c->superseded)
		rt_presence_gone(app->presence, c->user->id, rt_socket_id(c->socket), c->serial, last, !clean);
	rt_rooms_leave_all(app->rooms, c);
	if (last)
	{
		rt_rooms_forget_user(app->rooms, c->user);
		rt_roaming_note(app->roaming, c->user->id);
	}
	rt_user_leave(app->users, c);
}

void
rt_leave_on_disconnect(void *arg, struct rt_socket *s, const char *reason, bool clean)
{
	struct rt_app *app = arg;
	struct rt_client *c = rt_socket_data(s);

	if (c == NULL)
		return;
	if (c->user != NULL && rt_conf_bool(app->conf, "log_connections"))
		rt_log(RT_LOG_INFO, "leave", "socket=%s peer=%s user=\"%s\": disconnected after %.3f s: %s", rt_socket_id(s),
			   rt_socket_peer(s), c->user->id, (double) (rt_loop_now_ms(app->loop) - c->entered_ms) / 1000, reason);
	rt_event_forget_held(c);
	if (c->user != NULL)
		take_leave(app, c, clean);
	rt_socket_set_data(s, NULL);
	rt_client_free(app->users, c);
}

/* ---- ends from our side -------------------------------------------------------------------------- */

void
rt_leave_kick_user(struct rt_app *app, const char *user)
{
	struct rt_user *u = rt_user_find(app->users, user);
	struct rt_client *next;

	for (struct rt_client *c = u == NULL ? NULL : u->clients; c != NULL; c = next)
	{
		next = c->next;
		/* A reason after which nobody comes back by itself, and no session is kept. */
		rt_socket_disconnect(c->socket, "server namespace disconnect");
	}
}

void
rt_leave_kick_socket(struct rt_app *app, const char *sid)
{
	struct rt_socket *s = rt_socket_find(app->sockets, sid);
	struct rt_client *c = s == NULL ? NULL : rt_socket_data(s);

	if (c == NULL)
		return;
	c->superseded = true;
	rt_socket_disconnect(s, "session taken over");
}
