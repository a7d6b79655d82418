/* socket.c: what the application does with a socket; see socketio.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bgworker/common/text.h"
#include "socketio_impl.h"

void
rt_socket_send_parts(struct rt_socket *s, const struct rt_frame_part *parts, int n)
{
	struct rt_frame *f = rt_frame_new(parts, n);

	rt_eio_session_send(s->session, f);
	rt_frame_unref(f);
}

static void
send_text(struct rt_socket *s, const char *text, size_t len)
{
	struct rt_frame_part part = {text, len};

	rt_socket_send_parts(s, &part, 1);
}

static void
rename_socket(struct rt_socket *s, const char *sid)
{
	struct rt_map *sockets = s->sio->sockets;
	struct rt_socket *old = rt_map_find_str(sockets, sid);

	if (old == s || strlen(sid) > RT_SOCKET_MAX_ID)
		return;
	/* A connection that we have not yet seen break: its client is back under its old id. */
	if (old != NULL)
	{
		rt_map_take_str(sockets, sid);
		rt_eio_session_close(old->session, "transport error");
	}
	rt_map_take_str(sockets, s->id);
	strcpy(s->id, sid);
	rt_map_put_str(sockets, s->id, s);
}

void
rt_socket_accept(struct rt_socket *s, const char *sid, const char *pid)
{
	struct rt_text text;

	if (s->state != RT_SOCKET_CONNECTING)
		return;
	if (sid != NULL)
		rename_socket(s, sid);
	s->state = RT_SOCKET_CONNECTED;
	s->counted = true;
	s->sio->stats->sockets++;
	rt_wheel_unset(s->sio->wheel, &s->connect_timeout);
	rt_text_init(&text);
	rt_text_add(&text, "40{\"sid\":");
	rt_text_quote(&text, s->id);
	if (pid != NULL)
	{
		rt_text_add(&text, ",\"pid\":");
		rt_text_quote(&text, pid);
	}
	rt_text_add(&text, "}");
	send_text(s, text.data, text.len);
	rt_text_fini(&text);
}

void
rt_socket_refuse(struct rt_socket *s, const char *message, const char *data)
{
	struct rt_text text;

	if (s->state != RT_SOCKET_CONNECTING)
		return;
	rt_text_init(&text);
	rt_text_add(&text, "44{\"message\":");
	rt_text_quote(&text, message);
	if (data != NULL)
	{
		rt_text_add(&text, ",\"data\":");
		rt_text_add(&text, data);
	}
	rt_text_add(&text, "}");
	send_text(s, text.data, text.len);
	rt_text_fini(&text);
	rt_socket_become_idle(s);
	rt_map_take_str(s->sio->sockets, s->id);
	s->data = NULL;
	rt_socket_strike(s);
}

void
rt_socket_send(struct rt_socket *s, struct rt_frame *f)
{
	if (s->state == RT_SOCKET_CONNECTED)
		rt_eio_session_send(s->session, f);
}

void
rt_socket_ack(struct rt_socket *s, int64_t ack, const char *json, size_t len)
{
	char head[32];
	struct rt_frame_part parts[] = {{head, 0}, {json, len}, {"]", 1}};

	if (s->state != RT_SOCKET_CONNECTED || ack == RT_NO_ACK)
		return;
	parts[0].len = (size_t) snprintf(head, sizeof(head), "43%" PRId64 "[", ack);
	rt_socket_send_parts(s, parts, 3);
}

void
rt_socket_disconnect(struct rt_socket *s, const char *reason)
{
	if (s->state == RT_SOCKET_IDLE || s->state == RT_SOCKET_LEAVING)
		return;
	if (s->state == RT_SOCKET_CONNECTED)
		send_text(s, "41", 2);
	s->state = RT_SOCKET_LEAVING;
	s->leave_reason = reason;
	rt_eio_session_close_when_sent(s->session, reason);
}

void
rt_socket_break(struct rt_socket *s, const char *reason)
{
	if (s->state == RT_SOCKET_IDLE || s->state == RT_SOCKET_LEAVING)
		return;
	s->state = RT_SOCKET_LEAVING;
	s->leave_reason = reason;
	rt_eio_session_close_when_sent(s->session, reason);
}

struct rt_socket *
rt_socket_find(struct rt_socketio *sio, const char *id)
{
	return rt_map_find_str(sio->sockets, id);
}

const char *
rt_socket_id(const struct rt_socket *s)
{
	return s->id;
}

void
rt_socket_set_data(struct rt_socket *s, void *data)
{
	s->data = data;
}

void *
rt_socket_data(const struct rt_socket *s)
{
	return s->data;
}

const char *
rt_socket_peer(const struct rt_socket *s)
{
	return rt_eio_session_peer(s->session);
}

bool
rt_socket_is_websocket(const struct rt_socket *s)
{
	return rt_eio_session_is_websocket(s->session);
}

size_t
rt_socket_queued_bytes(const struct rt_socket *s)
{
	return rt_eio_session_queued_bytes(s->session);
}

int64_t
rt_socket_latency_us(const struct rt_socket *s)
{
	return rt_eio_session_latency_us(s->session);
}
