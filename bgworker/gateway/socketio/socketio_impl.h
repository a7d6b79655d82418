/* socketio_impl.h: what socketio.c and socket.c know of a socket.  For them alone. */
#ifndef RT_SOCKETIO_IMPL_H
#define RT_SOCKETIO_IMPL_H

#include "bgworker/common/map.h"
#include "bgworker/common/wheel.h"
#include "bgworker/gateway/engineio/engineio.h"
#include "socketio.h"

#define RT_SOCKET_MAX_ID 63

enum rt_socket_state
{
	RT_SOCKET_IDLE,       /* no CONNECT yet, or refused, or disconnected */
	RT_SOCKET_CONNECTING, /* the application has not answered yet */
	RT_SOCKET_CONNECTED,
	RT_SOCKET_LEAVING /* the application wants it gone; what the client sends is ignored */
};

struct rt_socket
{
	struct rt_socketio *sio;
	struct rt_eio_session *session;
	void *data;
	enum rt_socket_state state;
	struct rt_wheel_entry connect_timeout;
	struct rt_socket *older; /* of those that are idle */
	struct rt_socket *newer;
	size_t attachment_bytes; /* of the binary packet and what has come of its attachments */
	int attachments;         /* that are still to come */
	int strikes;
	bool counted; /* among the connected ones */
	const char *leave_reason;
	char id[RT_SOCKET_MAX_ID + 1];
};

struct rt_socketio
{
	struct rt_wheel *wheel;
	const struct rt_transport_options *conf;
	struct rt_transport_stats *stats;
	struct rt_socketio_app app;
	struct rt_eio *eio;
	struct rt_map *sockets; /* by id, those that the application knows */
	struct rt_socket *oldest_idle;
	struct rt_socket *newest_idle;
};

/* socketio.c */
void rt_socket_become_idle(struct rt_socket *s); /* state IDLE */
void rt_socket_strike(struct rt_socket *s);      /* one more mistake; the last one closes the session */

/* socket.c */
void rt_socket_send_parts(struct rt_socket *s, const struct rt_frame_part *parts, int n);

#endif
