/* socketio.c: see socketio.h.  What clients send; socket.c has what the application does.
 *
 * There is one rt_socket for each Engine.IO session, from its beginning to its end.  Towards the application it lives
 * from a CONNECT on; when a client disconnects from the namespace and connects again it lives a second time, under
 * another id. */
#include "socketio.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/log.h"
#include "bgworker/gateway/engineio/id.h"
#include "sio_parse.h"
#include "socketio_impl.h"
#include "socketio_server.h"

#define STRIKES 50     /* harmless mistakes that one session may make */
#define SHORT_NAME 128 /* of an event, decoded without allocating */

/* ---- what ends a session ----------------------------------------------------------- */

static void
close_for_error(struct rt_socket *s, const char *why)
{
	s->sio->stats->protocol_errors++;
	rt_log(RT_LOG_DEBUG, "socketio", "socket=%s peer=%s: session closed: %s", s->id, rt_socket_peer(s), why);
	rt_eio_session_close(s->session, "parse error");
}

void
rt_socket_strike(struct rt_socket *s)
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

void
rt_socket_become_idle(struct rt_socket *s)
{
	struct rt_socketio *sio = s->sio;

	s->state = RT_SOCKET_IDLE;
	s->newer = NULL;
	s->older = sio->newest_idle;
	if (s->older != NULL)
		s->older->newer = s;
	else
		sio->oldest_idle = s;
	sio->newest_idle = s;
}

/* It leaves the list; its state is the caller's to set. */
static void
end_idleness(struct rt_socket *s)
{
	struct rt_socketio *sio = s->sio;

	if (s->newer != NULL)
		s->newer->older = s->older;
	else
		sio->newest_idle = s->older;
	if (s->older != NULL)
		s->older->newer = s->newer;
	else
		sio->oldest_idle = s->newer;
}

/* Sessions without a CONNECT cost nobody a login, so they must not keep out who has one. */
static struct rt_eio_session *
on_full(void *arg)
{
	const struct rt_socketio *sio = arg;

	return sio->oldest_idle == NULL ? NULL : sio->oldest_idle->session;
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
	if (s->state == RT_SOCKET_IDLE)
		return;
	rt_socket_become_idle(s);
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
	struct rt_frame_part parts[] = {{"44", 2}, {p->namespace, p->namespace_len}, {tail, sizeof(tail) - 1}};

	rt_socket_send_parts(s, parts, 3);
	rt_socket_strike(s);
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
	if (s->state != RT_SOCKET_IDLE)
	{
		close_for_error(s, "a second CONNECT");
		return;
	}
	end_idleness(s);
	s->state = RT_SOCKET_CONNECTING;
	rt_id_make(s->id);
	rt_eio_session_set_name(s->session, s->id);
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
	struct rt_socketio_event e = {
		.name = name,
		.arg = p->arg.text,
		.arg_len = p->arg.len,
		.nargs = p->nargs,
		.error = p->over_limit ? "The JSON is nested too deeply, or has a number out of range" : NULL,
		.ack = p->ack < 0 ? RT_NO_ACK : p->ack};

	if (rt_sio_is_reserved(name))
	{
		close_for_error(s, "a reserved event");
		return;
	}
	if (p->over_limit)
		rt_socket_strike(s);
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
	if (s->state == RT_SOCKET_LEAVING)
		return;
	if (p->type == RT_SIO_CONNECT)
	{
		take_connect(s, p);
		return;
	}
	if (p->namespace != NULL || s->state != RT_SOCKET_CONNECTED)
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

	if (s->attachments > 0 || rt_sio_parse(text, len, &p) != RT_OK)
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
	if (s->attachments == 0 || s->attachment_bytes > s->sio->conf->max_payload_bytes)
		close_for_error(s, "an attachment of nothing, or too large");
	else
		s->attachments--;
}

/* ---- Engine.IO's calls ------------------------------------------------------------------- */

static void *
on_open(void *arg, struct rt_eio_session *session)
{
	struct rt_socket *s = rt_alloc(sizeof(*s));

	s->sio = arg;
	s->session = session;
	s->connect_timeout.fn = on_connect_timeout;
	rt_socket_become_idle(s);
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

	end_socket(s, s->state == RT_SOCKET_LEAVING ? s->leave_reason : reason);
	end_idleness(s);
	rt_wheel_unset(s->sio->wheel, &s->connect_timeout);
	free(s);
}

/* ---- start and end ------------------------------------------------------------------------------ */

enum rt_result
rt_socketio_new(struct rt_socketio **siop, struct rt_loop *l, struct rt_wheel *w,
				const struct rt_transport_options *conf, struct rt_transport_stats *stats,
				const struct rt_socketio_app *app, void (*on_descriptor_gone)(void *arg), void *gone_arg)
{
	struct rt_socketio *sio = rt_alloc(sizeof(*sio));
	struct rt_eio_handler handler = {
		.on_open = on_open, .on_message = on_message, .on_close = on_close, .on_full = on_full, .arg = sio};
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
