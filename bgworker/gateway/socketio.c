/* socketio.c: see socketio.h.
 *
 * There is one rt_socket for each Engine.IO session, from its beginning to its end.  Towards the application it lives
 * from a CONNECT on; when a client disconnects from the namespace and connects again it lives a second time, under
 * another id. */
#include "socketio.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "../common/map.h"
#include "../common/text.h"
#include "../common/wheel.h"
#include "id.h"
#include "sio_parse.h"
#include "socketio_server.h"

#define STRIKES 50     /* harmless mistakes that one session may make */
#define SHORT_NAME 128 /* of an event, decoded without allocating */
#define MAX_SID 63

enum state
{
	IDLE,       /* no CONNECT yet, or refused, or disconnected */
	CONNECTING, /* the application has not answered yet */
	CONNECTED,
	LEAVING /* the application wants it gone; what the client sends is ignored */
};

struct rt_socket
{
	struct rt_socketio *sio;
	struct rt_eio_session *session;
	void *data;
	enum state state;
	struct rt_wheel_entry connect_timeout;
	char *pending; /* a binary packet's text, until its attachments are there */
	size_t pending_len;
	size_t attachment_bytes;
	int attachments; /* that are still to come */
	int strikes;
	bool counted; /* among the connected ones */
	const char *leave_reason;
	char id[MAX_SID + 1];
};

struct rt_socketio
{
	struct rt_wheel *wheel;
	const struct rt_transport_options *conf;
	struct rt_transport_stats *stats;
	struct rt_socketio_app app;
	struct rt_eio *eio;
	struct rt_map *sockets; /* by id, those that the application knows */
};

/* ---- sending -------------------------------------------------------------------- */

static void
send_parts(struct rt_socket *s, const struct rt_frame_part *parts, int n)
{
	struct rt_frame *f = rt_frame_new(parts, n);

	rt_eio_session_send(s->session, f);
	rt_frame_unref(f);
}

static void
send_text(struct rt_socket *s, const char *text, size_t len)
{
	struct rt_frame_part part = {text, len};

	send_parts(s, &part, 1);
}

/* ---- what ends a session ----------------------------------------------------------- */

static void
close_for_error(struct rt_socket *s, const char *why)
{
	s->sio->stats->protocol_errors++;
	rt_log(RT_LOG_DEBUG, "socketio", "peer=%s: session closed: %s", rt_socket_peer(s), why);
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

	s->sio->stats->connect_timeouts++;
	rt_eio_session_close(s->session, "connect timeout");
}

static void
await_connect(struct rt_socket *s)
{
	rt_wheel_set(s->sio->wheel, &s->connect_timeout, s->sio->conf->connect_timeout_ms);
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
	enum state was = s->state;

	s->state = IDLE;
	if (was == IDLE)
		return;
	if (s->counted)
		s->sio->stats->sockets--;
	s->counted = false;
	s->sio->app.on_disconnect(s->sio->app.arg, s, reason, is_clean(reason));
	if (rt_map_find_str(s->sio->sockets, s->id) == s)
		rt_map_take_str(s->sio->sockets, s->id);
	s->data = NULL;
}

/* ---- packets -------------------------------------------------------------------------- */

static void
refuse_namespace(struct rt_socket *s, const struct rt_sio_packet *p)
{
	static const char tail[] = ",{\"message\":\"Invalid namespace\"}";
	struct rt_frame_part parts[] = {{"44", 2}, {p->namespace, p->namespace_len}, {tail, sizeof tail - 1}};

	send_parts(s, parts, 3);
	strike(s);
}

static void
take_connect(struct rt_socket *s, const struct rt_sio_packet *p)
{
	struct rt_socketio *sio = s->sio;
	struct rt_socketio_connect c = {.auth = p->data,
	                                .auth_len = p->data_len,
	                                .bearer = rt_eio_session_bearer(s->session),
	                                .query_token = rt_eio_session_query_token(s->session),
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
	s->state = CONNECTING;
	rt_id_make(s->id);
	rt_map_put_str(sio->sockets, s->id, s);
	sio->app.on_connect(sio->app.arg, s, &c);
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
	struct rt_socketio_event e = {.name = name,
	                              .arg = p->arg.text,
	                              .arg_len = p->arg.len,
	                              .nargs = p->nargs,
	                              .error = p->too_deep ? "The JSON is nested too deeply" : NULL,
	                              .ack = p->ack < 0 ? RT_NO_ACK : p->ack};

	if (rt_sio_is_reserved(name))
	{
		close_for_error(s, "a reserved event");
		return;
	}
	if (p->too_deep)
		strike(s);
	s->sio->app.on_event(s->sio->app.arg, s, &e);
}

static void
take_event(struct rt_socket *s, const struct rt_sio_packet *p)
{
	char short_name[SHORT_NAME];
	char *name = p->name.len < SHORT_NAME ? short_name : rt_alloc(p->name.len + 1);

	if (p->name.kind == RT_JSON_STRING)
		rt_json_decode_string(p->name.text, p->name.len, name);
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

static void
drop_pending(struct rt_socket *s)
{
	free(s->pending);
	s->pending = NULL;
	s->attachments = 0;
	s->attachment_bytes = 0;
}

static void
keep_pending(struct rt_socket *s, const struct rt_sio_packet *p, const char *text, size_t len)
{
	s->pending = rt_strndup(text, len);
	s->pending_len = len;
	s->attachments = p->attachments;
	s->attachment_bytes = len;
}

static void
take_text(struct rt_socket *s, const char *text, size_t len)
{
	struct rt_sio_packet p;

	if (s->attachments > 0 || rt_sio_parse(text, len, &p) != RT_OK)
		close_for_error(s, s->attachments > 0 ? "an attachment is missing" : "a malformed packet");
	else if (p.attachments > 0)
		keep_pending(s, &p, text, len);
	else
		take_packet(s, &p);
}

/* An attachment is counted and left out. */
static void
take_attachment(struct rt_socket *s, size_t len)
{
	struct rt_sio_packet p;
	char *text = s->pending;

	s->attachment_bytes += len;
	if (s->attachments == 0 || s->attachment_bytes > s->sio->conf->max_payload_bytes)
	{
		close_for_error(s, "an attachment of nothing, or too large");
		return;
	}
	if (--s->attachments > 0)
		return;
	s->pending = NULL;
	s->attachment_bytes = 0;
	if (rt_sio_parse(text, s->pending_len, &p) == RT_OK)
		take_packet(s, &p);
	free(text);
}

/* ---- Engine.IO's calls ------------------------------------------------------------------- */

static void *
on_open(void *arg, struct rt_eio_session *session)
{
	struct rt_socket *s = rt_alloc(sizeof *s);

	s->sio = arg;
	s->session = session;
	s->connect_timeout.fn = on_connect_timeout;
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
	rt_wheel_unset(s->sio->wheel, &s->connect_timeout);
	drop_pending(s);
	free(s);
}

/* ---- the application's calls ---------------------------------------------------------------- */

static void
rename_socket(struct rt_socket *s, const char *sid)
{
	struct rt_map *sockets = s->sio->sockets;
	struct rt_socket *old = rt_map_find_str(sockets, sid);

	if (old == s || strlen(sid) > MAX_SID)
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

	if (s->state != CONNECTING)
		return;
	if (sid != NULL)
		rename_socket(s, sid);
	s->state = CONNECTED;
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

	if (s->state != CONNECTING)
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
	s->state = IDLE;
	rt_map_take_str(s->sio->sockets, s->id);
	s->data = NULL;
	strike(s);
}

void
rt_socket_send(struct rt_socket *s, struct rt_frame *f)
{
	if (s->state == CONNECTED)
		rt_eio_session_send(s->session, f);
}

void
rt_socket_ack(struct rt_socket *s, int64_t ack, const char *json, size_t len)
{
	char head[32];
	struct rt_frame_part parts[] = {{head, 0}, {json, len}, {"]", 1}};

	if (s->state != CONNECTED || ack == RT_NO_ACK)
		return;
	parts[0].len = (size_t) snprintf(head, sizeof head, "43%" PRId64 "[", ack);
	send_parts(s, parts, 3);
}

void
rt_socket_disconnect(struct rt_socket *s, const char *reason)
{
	if (s->state == IDLE || s->state == LEAVING)
		return;
	if (s->state == CONNECTED)
		send_text(s, "41", 2);
	s->state = LEAVING;
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
rt_socket_latency_ms(const struct rt_socket *s)
{
	return rt_eio_session_latency_ms(s->session);
}

/* ---- start and end ------------------------------------------------------------------------------ */

enum rt_result
rt_socketio_new(struct rt_socketio **siop, struct rt_loop *l, struct rt_wheel *w,
                const struct rt_transport_options *conf, struct rt_transport_stats *stats,
                const struct rt_socketio_app *app, void (*on_descriptor_gone)(void *arg), void *gone_arg)
{
	struct rt_socketio *sio = rt_alloc(sizeof *sio);
	struct rt_eio_handler handler = {.on_open = on_open, .on_message = on_message, .on_close = on_close, .arg = sio};
	enum rt_result rc;

	sio->wheel = w;
	sio->conf = conf;
	sio->stats = stats;
	sio->app = *app;
	sio->sockets = rt_map_new();
	rc = rt_eio_new(&sio->eio, l, w, conf, stats, &handler, on_descriptor_gone, gone_arg);
	if (rc != RT_OK)
	{
		rt_map_free(sio->sockets);
		free(sio);
		return rc;
	}
	*siop = sio;
	return RT_OK;
}

struct rt_eio *
rt_socketio_engine(struct rt_socketio *sio)
{
	return sio->eio;
}

void
rt_socketio_free(struct rt_socketio *sio)
{
	if (sio == NULL)
		return;
	rt_eio_free(sio->eio);
	rt_map_free(sio->sockets);
	free(sio);
}
