/* socket.h: the Socket.IO v5 server on namespace "/", over Engine.IO v4 sessions.
 *
 * Knows packets, acknowledgements, the CONNECT handshake and its time limit; knows no user, room or
 * event name.  The application gets three calls and answers through the functions below. */
#ifndef RT_SOCKET_H
#define RT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "bgworker/gateway/engineio/eio_session.h"
#include "bgworker/gateway/engineio/frame.h"
#include "bgworker/gateway/http/traffic.h"
#include "bgworker/gateway/text/json_scan.h"

struct rt_sockets;
struct rt_engineio;
struct rt_loop;
struct rt_wheel;
struct rt_socket; /* one client's socket; valid from on_connect until on_disconnect returned */

#define RT_NO_ACK (-1)

/* May change at a reload, for what begins after it. */
struct rt_socket_settings
{
	uint32_t connect_timeout_ms; /* from a session's beginning to an accepted CONNECT */
};

/* An EVENT.  All is lent for the time of the call.  Binary attachments were parsed and are left out:
 * where the JSON has a placeholder, it stays as it came. */
struct rt_socket_event
{
	const char *name; /* decoded, NUL-terminated */
	const char *arg;  /* JSON text of the first argument, not NUL-terminated; NULL if there is none */
	size_t arg_len;
	const struct rt_json_members *members; /* of that argument, if it is an object; NULL if not */
	int nargs;                             /* after the name */
	const char *error; /* the event is to be answered with bad_request and this message; NULL if it is fine */
	int64_t ack;       /* RT_NO_ACK: none is wanted */
};

/* The handshake, as seen at CONNECT.  Strings are lent, and NULL where absent. */
struct rt_socket_handshake
{
	const char *auth; /* JSON object of the CONNECT packet, or NULL */
	size_t auth_len;
	const char *bearer;          /* token of the handshake's Authorization header */
	const char *query_token;     /* ?token= of the handshake */
	bool query_without_recovery; /* ?recovery=0 or false */
	const char *peer;            /* address, "127.0.0.1" */
	bool websocket;
};

struct rt_socket_app
{
	/* A CONNECT to "/": answer now or later with rt_socket_accept() or rt_socket_refuse(). */
	void (*on_connect)(void *arg, struct rt_socket *s, const struct rt_socket_handshake *c);
	void (*on_event)(void *arg, struct rt_socket *s, const struct rt_socket_event *e);
	/* Once for each on_connect that was accepted, and for each that was still unanswered. `reason` is static,
	 * Socket.IO's: "transport close", "ping timeout", "client namespace disconnect", ...; clean is false when a
	 * client with recovery may come back. */
	void (*on_disconnect)(void *arg, struct rt_socket *s, const char *reason, bool clean);
	void *arg;
};

/* 20 characters [A-Za-z0-9_-] and a NUL; public, unlike Engine.IO's session id. */
const char *rt_socket_id(const struct rt_socket *s);
void rt_socket_set_data(struct rt_socket *s, void *data); /* the application's; not freed here */
void *rt_socket_data(const struct rt_socket *s);
const char *rt_socket_peer(const struct rt_socket *s);
bool rt_socket_is_websocket(const struct rt_socket *s); /* as of now: an upgrade changes it */
size_t rt_socket_queued_bytes(const struct rt_socket *s);
int64_t rt_socket_latency_us(const struct rt_socket *s); /* of the last heartbeat; -1: none yet */

/* Answers CONNECT: `40{"sid":"…","pid":"…","epoch":"…"}`; pid or epoch NULL leaves it out. The id may be given
 * (recovery), else it is made.  Frames may be sent from then on, and what the client sends is at the user's expense.
 */
void rt_socket_accept(struct rt_socket *s, const char *user, const char *sid, const char *pid, const char *epoch);
/* `44{"message":…,"data":…}`; data is JSON text or NULL.  The session stays, as Socket.IO has it, until its
 * connect timeout. */
void rt_socket_refuse(struct rt_socket *s, const char *message, const char *data);

/* Events then come without the argument behind them, the offset. */
void rt_socket_leave_out_offsets(struct rt_socket *s);

/* Queues the frame (a reference is taken) and writes as soon as the socket can take it.  A queue over its
 * limit cuts the socket off; on_disconnect then comes at the end of the turn. */
void rt_socket_send(struct rt_socket *s, struct rt_frame *f);
/* `43<ack>[<json>]` */
void rt_socket_ack(struct rt_socket *s, int64_t ack, const char *json, size_t len);
/* `41`, then the transport is closed once that is written. */
void rt_socket_disconnect(struct rt_socket *s, const char *reason);

/* Without `41`: to the client the transport has broken, so that it comes back by itself. */
void rt_socket_break(struct rt_socket *s, const char *reason);

/* By rt_socket_id(); NULL if it is gone.  What an answer from the database must use. */
struct rt_socket *rt_socket_find(struct rt_sockets *set, const char *id);

/* ---- start and end: net/network.c ------------------------------------------------- */

enum rt_result rt_sockets_new(struct rt_sockets **sp, struct rt_loop *l, struct rt_wheel *w,
							  const struct rt_traffic_limits *limits, const struct rt_socket_settings *settings,
							  const struct rt_eio_settings *eio_settings, struct rt_traffic *traffic,
							  struct rt_shares *shares, const struct rt_socket_app *app,
							  void (*on_descriptor_gone)(void *arg), void *gone_arg);
void rt_sockets_free(struct rt_sockets *set);                    /* ends all; NULL is fine */
struct rt_engineio *rt_sockets_engineio(struct rt_sockets *set); /* lent: for requests to its path */

#endif
