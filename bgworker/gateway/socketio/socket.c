/* socket.c: sockets of Socket.IO v5 on the namespace "/": what clients send, and what the application does with them.
 *
 * There is one rt_socket for each Engine.IO session, from its beginning to its end.  Towards the application it lives
 * from a CONNECT on; when a client disconnects from the namespace and connects again it lives a second time, under
 * another id.
 *
 *     IDLE ──CONNECT──> CONNECTING ──accept──> CONNECTED ──> IDLE       the client's DISCONNECT
 *       ^                   │                     └────────> LEAVING    the application wants it gone
 *       └───────refuse──────┘
 *
 * What must stay true:
 *
 * - IDLE is exactly: on the list of idle sockets, from the oldest to the newest.  When sessions are at their
 *   limit the oldest of them ends: it has cost nobody a login.
 * - In all other states the socket is in `by_id`, and the application may hold a pointer to it;
 *   on_disconnect() comes once for each time that it leaves them, but for a refusal, which the application did
 *   itself.
 * - A socket is freed by on_close() alone, which Engine.IO calls from the loop.  The application's calls never come
 *   to that: they close the session, which ends with the turn.
 * - The connect timer runs while there is no accepted CONNECT: from the session's beginning, and from a DISCONNECT.
 *
 * How a packet looks is sio_packet.c's business, which room or user a socket has is that of clients/. Attachments
 * are counted and thrown away: nobody here wants to know what is in one. */
#include "socket.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "bgworker/common/map.h"
#include "bgworker/common/wheel.h"
#include "bgworker/gateway/engineio/engineio.h"
#include "bgworker/gateway/engineio/id.h"
#include "sio_packet.h"

#define STRIKES 50     /* harmless mistakes that one session may make */
#define SHORT_NAME 128 /* of an event, decoded without allocating */

enum state
{
	IDLE,       /* no CONNECT yet, or refused, or disconnected */
	CONNECTING, /* the application has not answered yet */
	CONNECTED,
	LEAVING /* the application wants it gone; what the client sends is ignored */
};

struct rt_socket
{
	struct rt_sockets *set;
	struct rt_eio_session *session;
	void *data;
	struct rt_wheel_entry connect_timeout;
	struct rt_share_guest guest; /* while it is idle */
	size_t attachment_bytes;     /* of the binary packet and what has come of its attachments */
	const char *leave_reason;
	enum state state;
	int attachments; /* that are still to come */
	int strikes;
	bool counted; /* among the connected ones */
	bool without_offsets;
	char id[RT_RANDOM_ID_LEN + 1];
};

struct rt_sockets
{
	struct rt_wheel *wheel;
	const struct rt_traffic_limits *limits;
	const struct rt_socket_settings *settings;
	struct rt_traffic *traffic;
	struct rt_socket_app app;
	struct rt_shares *shares;
	struct rt_engineio *engineio;
	struct rt_map *by_id; /* those that the application knows */
};

/* Takes the reference. */
static void
send_own(struct rt_socket *s, struct rt_frame *f)
{
	rt_eio_session_send(s->session, f);
	rt_frame_unref(f);
}

/* ---- what ends a session ----------------------------------------------------------- */

static void
close_for_error(struct rt_socket *s, const char *why)
{
	s->set->traffic->protocol_errors++;
	rt_log(RT_LOG_DEBUG, "socketio", "socket=%s peer=%s: session closed: %s", s->id, rt_socket_peer(s), why);
	rt_eio_session_close(s->session, "parse error");
}

static void
strike(struct rt_socket *s)
{
	if (++s->strikes == STRIKES)
		close_for_error(s, "too many mistakes");
}

static void
on_connect_timeout(struct rt_wheel_entry *entry)
{
	struct rt_socket *s = (struct rt_socket *) ((char *) entry - offsetof(struct rt_socket, connect_timeout));

	s->set->traffic->connect_timeouts++;
	rt_eio_session_close(s->session, "connect timeout");
}

static void
await_connect(struct rt_socket *s)
{
	rt_wheel_set(s->set->wheel, &s->connect_timeout, s->set->settings->connect_timeout_ms);
}

/* A session without a CONNECT needs no login, so it must not keep out clients that have one. */
static bool
end_guest(struct rt_share_guest *g)
{
	struct rt_socket *s = (struct rt_socket *) ((char *) g - offsetof(struct rt_socket, guest));

	rt_eio_session_abort(s->session, "connect timeout");
	return true;
}

static void
become_idle(struct rt_socket *s)
{
	struct rt_share *share = rt_eio_session_share(s->session);

	s->state = IDLE;
	if (share != NULL)
		rt_share_enter(&s->guest, share);
}

static bool
on_full(void *arg)
{
	const struct rt_sockets *set = arg;

	return rt_shares_make_room(set->shares, end_guest);
}

/* After these reasons a client with recovery does not come back, as in the reference implementation. */
static bool
is_clean(const char *reason)
{
	return strcmp(reason, "client namespace disconnect") == 0 || strcmp(reason, "server namespace disconnect") == 0 ||
		   strcmp(reason, "parse error") == 0;
}

/* The socket's life towards the application ends. */
static void
end_socket(struct rt_socket *s, const char *reason)
{
	if (s->state == IDLE)
		return;
	become_idle(s);
	if (s->counted)
		s->set->traffic->sockets--;
	s->counted = false;
	s->set->app.on_disconnect(s->set->app.arg, s, reason, is_clean(reason));
	if (rt_map_find_str(s->set->by_id, s->id) == s)
		rt_map_take_str(s->set->by_id, s->id);
	s->data = NULL;
}

/* ---- packets -------------------------------------------------------------------------- */

static void
refuse_namespace(struct rt_socket *s, const struct rt_sio_packet *p)
{
	send_own(s, rt_sio_packet_connect_error(p, "Invalid namespace", NULL));
	strike(s);
}

static void
take_connect(struct rt_socket *s, const struct rt_sio_packet *p)
{
	struct rt_sockets *set = s->set;
	struct rt_socket_handshake c = {.auth = p->data,
									.auth_len = p->data_len,
									.bearer = rt_eio_session_bearer(s->session),
									.query_token = rt_eio_session_query_token(s->session),
									.query_without_recovery = rt_eio_session_without_recovery(s->session),
									.peer = rt_eio_session_peer(s->session),
									.websocket = rt_eio_session_is_websocket(s->session)};

	if (p->namespace != NULL)
	{
		refuse_namespace(s, p);
		return;
	}
	if (s->state != IDLE)
	{
		close_for_error(s, "a second CONNECT");
		return;
	}
	rt_share_leave(&s->guest);
	s->state = CONNECTING;
	rt_id_make(s->id);
	rt_eio_session_set_name(s->session, s->id);
	rt_map_put_str(set->by_id, s->id, s);
	set->app.on_connect(set->app.arg, s, &c);
}

static void
take_disconnect(struct rt_socket *s)
{
	end_socket(s, "client namespace disconnect");
	await_connect(s);
}

static void
deliver_event(struct rt_socket *s, const struct rt_sio_packet *p, const char *name)
{
	struct rt_socket_event e = {.name = name,
								.arg = p->arg.text,
								.arg_len = p->arg.len,
								.members = p->members.text == NULL ? NULL : &p->members,
								.nargs = p->nargs,
								.error = p->over_limit ? "The JSON is nested too deeply, or has a number out of range"
													   : NULL,
								.ack = p->ack < 0 ? RT_NO_ACK : p->ack};

	if (rt_sio_packet_is_reserved(name))
	{
		close_for_error(s, "a reserved event");
		return;
	}
	if (p->over_limit)
		strike(s);
	s->set->app.on_event(s->set->app.arg, s, &e);
}

static void
take_event(struct rt_socket *s, const struct rt_sio_packet *p)
{
	char short_name[SHORT_NAME];
	char *name = p->name.len < SHORT_NAME ? short_name : rt_alloc(p->name.len + 1);

	if (p->name.kind == RT_JSON_STRING)
		rt_json_scan_decode(p->name.text, p->name.len, name);
	else
	{
		memcpy(name, p->name.text, p->name.len);
		name[p->name.len] = '\0';
	}
	deliver_event(s, p, name);
	if (name != short_name)
		free(name);
}

static void
take_packet(struct rt_socket *s, const struct rt_sio_packet *p)
{
	if (s->state == LEAVING)
		return;
	if (p->type == RT_SIO_CONNECT)
	{
		take_connect(s, p);
		return;
	}
	if (p->namespace != NULL || s->state != CONNECTED)
	{
		/* The reference implementation too closes on a packet for a namespace that is not connected. */
		close_for_error(s, "a packet outside of a connected namespace");
		return;
	}
	switch (p->type)
	{
		case RT_SIO_DISCONNECT:
			take_disconnect(s);
			break;
		case RT_SIO_EVENT:
		case RT_SIO_BINARY_EVENT:
			take_event(s, p);
			break;
		case RT_SIO_ACK:
		case RT_SIO_BINARY_ACK:
			break; /* we ask for none */
		default:
			close_for_error(s, "a packet that only servers send");
	}
}

/* Nobody here wants to know what is in an attachment.  So its packet need not wait for it, and nothing is kept. */
static void
take_text(struct rt_socket *s, const char *text, size_t len)
{
	struct rt_sio_packet p;

	if (s->attachments > 0 || rt_sio_packet_parse(text, len, &p) != RT_OK)
	{
		close_for_error(s, s->attachments > 0 ? "an attachment is missing" : "a malformed packet");
		return;
	}
	s->attachments = p.attachments;
	s->attachment_bytes = len;
	take_packet(s, &p);
}

static void
take_attachment(struct rt_socket *s, size_t len)
{
	s->attachment_bytes += len;
	if (s->attachments == 0 || s->attachment_bytes > s->set->limits->max_payload_bytes)
		close_for_error(s, "an attachment of nothing, or too large");
	else
		s->attachments--;
}

/* ---- Engine.IO's calls ------------------------------------------------------------------- */

static void *
on_open(void *arg, struct rt_eio_session *session)
{
	struct rt_socket *s = rt_alloc(sizeof(*s));

	s->set = arg;
	s->session = session;
	s->connect_timeout.fn = on_connect_timeout;
	s->guest.end = end_guest;
	become_idle(s);
	await_connect(s);
	return s;
}

static void
on_message(void *owner, const char *data, size_t len, bool binary)
{
	struct rt_socket *s = owner;

	if (binary)
		take_attachment(s, len);
	else
		take_text(s, data, len);
}

static void
on_close(void *owner, const char *reason)
{
	struct rt_socket *s = owner;

	end_socket(s, s->state == LEAVING ? s->leave_reason : reason);
	rt_share_leave(&s->guest);
	rt_wheel_unset(s->set->wheel, &s->connect_timeout);
	free(s);
}

/* ---- what the application does -------------------------------------------------------------- */

static void
rename_socket(struct rt_socket *s, const char *sid)
{
	struct rt_map *sockets = s->set->by_id;
	struct rt_socket *old = rt_map_find_str(sockets, sid);

	if (old == s || strlen(sid) > RT_RANDOM_ID_LEN)
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
rt_socket_accept(struct rt_socket *s, const char *user, const char *sid, const char *pid, const char *epoch)
{
	if (s->state != CONNECTING)
		return;
	if (sid != NULL)
		rename_socket(s, sid);
	rt_eio_session_admit(s->session, user);
	s->state = CONNECTED;
	s->counted = true;
	s->set->traffic->sockets++;
	rt_wheel_unset(s->set->wheel, &s->connect_timeout);
	send_own(s, rt_sio_packet_connect(s->id, pid, epoch));
}

void
rt_socket_refuse(struct rt_socket *s, const char *message, const char *data)
{
	if (s->state != CONNECTING)
		return;
	send_own(s, rt_sio_packet_connect_error(NULL, message, data));
	become_idle(s);
	rt_map_take_str(s->set->by_id, s->id);
	s->data = NULL;
	strike(s);
}

void
rt_socket_leave_out_offsets(struct rt_socket *s)
{
	s->without_offsets = true;
}

void
rt_socket_send(struct rt_socket *s, struct rt_frame *f)
{
	if (s->state == CONNECTED)
		rt_eio_session_send(s->session, s->without_offsets ? rt_sio_packet_event_plain(f) : f);
}

void
rt_socket_ack(struct rt_socket *s, int64_t ack, const char *json, size_t len)
{
	if (s->state == CONNECTED && ack != RT_NO_ACK)
		send_own(s, rt_sio_packet_ack(ack, json, len));
}

void
rt_socket_disconnect(struct rt_socket *s, const char *reason)
{
	if (s->state == IDLE || s->state == LEAVING)
		return;
	if (s->state == CONNECTED)
		send_own(s, rt_sio_packet_disconnect());
	s->state = LEAVING;
	s->leave_reason = reason;
	rt_eio_session_close_when_sent(s->session, reason);
}

void
rt_socket_break(struct rt_socket *s, const char *reason)
{
	if (s->state == IDLE || s->state == LEAVING)
		return;
	s->state = LEAVING;
	s->leave_reason = reason;
	rt_eio_session_close_when_sent(s->session, reason);
}

struct rt_socket *
rt_socket_find(struct rt_sockets *set, const char *id)
{
	return rt_map_find_str(set->by_id, id);
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

/* ---- start and end ------------------------------------------------------------------------------ */

enum rt_result
rt_sockets_new(struct rt_sockets **sp, struct rt_loop *l, struct rt_wheel *w, const struct rt_traffic_limits *limits,
			   const struct rt_socket_settings *settings, const struct rt_eio_settings *eio_settings,
			   struct rt_traffic *traffic, struct rt_shares *shares, const struct rt_socket_app *app,
			   void (*on_descriptor_gone)(void *arg), void *gone_arg)
{
	struct rt_sockets *set = rt_alloc(sizeof(*set));
	struct rt_eio_handler handler = {
		.on_open = on_open, .on_message = on_message, .on_close = on_close, .on_full = on_full, .arg = set};
	enum rt_result rc;

	set->wheel = w;
	set->limits = limits;
	set->settings = settings;
	set->traffic = traffic;
	set->shares = shares;
	set->app = *app;
	set->by_id = rt_map_new();
	rc = rt_engineio_new(&set->engineio, l, w, limits, eio_settings, traffic, shares, &handler, on_descriptor_gone,
						 gone_arg);
	if (rc != RT_OK)
	{
		rt_map_free(set->by_id);
		free(set);
		return rc;
	}
	*sp = set;
	return RT_OK;
}

struct rt_engineio *
rt_sockets_engineio(struct rt_sockets *set)
{
	return set->engineio;
}

void
rt_sockets_free(struct rt_sockets *set)
{
	if (set == NULL)
		return;
	rt_engineio_free(set->engineio);
	rt_map_free(set->by_id);
	free(set);
}
