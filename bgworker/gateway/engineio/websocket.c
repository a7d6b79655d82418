/* websocket.c: connections of RFC 6455, by libwebsockets.
 *
 * upgrade.c gives it connections and hears of their messages; eio_session.c writes and closes.  A struct rt_websocket
 * lives until the library destroys its connection, whatever ended it.  `owner` is called back until `closing` is set,
 * and never after rt_websocket_close().  A message that comes in several chunks is put together in `message`, bounded
 * by max_message() (1009) and, beyond UNCOUNTED_BYTES, by the share of whom the connection is (1013): see
 * http/share.c.
 *
 * What libwebsockets 4.1 asks for, and why it is met so:
 *
 * - A connection is adopted together with a request that we write ourselves from the parts that were checked, so its
 *   HTTP parser sees no byte of the peer's.
 * - LWS_WRITE_HTTP on a websocket is sent raw.  Only whole frames are written, since the library puts its pongs
 *   between two writes; what the kernel does not take it keeps and sends first.
 * - A connection may not be closed from its own callback: the callback returns -1 instead.
 */
#include "websocket.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/buf.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/gateway/http/share.h"
#include "bgworker/gateway/text/utf8.h"

#define RX_CHUNK_BYTES 256   /* that the library holds for each connection for its life; messages may be larger */
#define UNCOUNTED_BYTES 1024 /* of a message, which are too little to count */
#define JOIN_BYTES 65536     /* at most so much in one write */
#define FLUSH_BYTES 262144   /* at most so much for one connection a turn */
#define TX_BYTES (64 * 1024 * 1024) /* so that the library splits no write */
#define HANDSHAKE_BYTES 1024
#define CLOSE_TRY_AGAIN_LATER 1013
#define CACHE_LINE 64
#define WSI_BYTES 768   /* about the size of the library's struct for a connection */
#define CLOSING_TURNS 8 /* of the loop, until the library's handles are closed */

struct rt_websocket
{
	struct lws *wsi;
	struct rt_websocket_server *server;
	void *owner;           /* NULL once closed */
	struct rt_buf message; /* of several chunks, while it is incomplete */
	struct rt_share *share;
	struct part *part; /* what `message` holds of the memory that all share; NULL: nothing that counts */
	uint16_t close_code;
	bool in_callback;
	bool closing;
	bool ignore_rest; /* the message was refused; the connection is about to be closed */
	size_t unsent;    /* bytes of the last write that may still wait in the library */
};

struct part
{
	struct rt_share_hold hold;
	struct rt_websocket *ws;
};

struct rt_websocket_server
{
	struct lws_context *context; /* set to NULL by the library when it is gone */
	uv_loop_t *uv;
	struct lws_vhost *vhost;
	const struct rt_traffic_limits *limits;
	struct rt_traffic *traffic;
	struct rt_websocket_handler handler;
	struct rt_websocket *adopting; /* while the library does its handshake */
	const char *protocol;          /* that it confirms then */
	size_t protocol_len;
	const char *headers;
	char joined[JOIN_BYTES];
};

static struct rt_websocket_server *
server_of(struct lws *wsi)
{
	return lws_context_user(lws_get_context(wsi));
}

/* The library's own messages are about peers, but while it starts. */
static void
on_lws_log_at_start(int level, const char *line)
{
	rt_log(level == LLL_ERR ? RT_LOG_ERROR : RT_LOG_WARNING, "websocket", "%.*s", (int) strcspn(line, "\n"), line);
}

static void
on_lws_log(int level, const char *line)
{
	(void) level;
	rt_log(RT_LOG_DEBUG, "websocket", "%.*s", (int) strcspn(line, "\n"), line);
}

/* ---- what comes in ---------------------------------------------------------- */

/* Closes from within the connection's callback, which returns the result. */
static int
refuse(struct rt_websocket *ws, enum lws_close_status code, const char *why)
{
	rt_log(RT_LOG_DEBUG, "websocket", "message refused: %s", why);
	ws->ignore_rest = true;
	lws_close_reason(ws->wsi, code, (unsigned char *) why, strlen(why));
	return -1;
}

/* What the library is to hear from a callback in which rt_websocket_close() may have been called. */
static int
end_callback(struct rt_websocket *ws)
{
	ws->in_callback = false;
	if (!ws->closing)
		return 0;
	lws_close_reason(ws->wsi, ws->close_code, NULL, 0);
	return -1;
}

static int
deliver(struct rt_websocket *ws, const char *data, size_t len, bool binary)
{
	if (!binary && !rt_utf8_valid(data, len))
		return refuse(ws, LWS_CLOSE_STATUS_INVALID_PAYLOAD, "invalid UTF-8");
	ws->server->traffic->packets_in++;
	ws->server->traffic->bytes_in += len;
	ws->in_callback = true;
	ws->server->handler.on_message(ws->owner, ws, data, len, binary);
	return end_callback(ws);
}

static size_t
max_message(const struct rt_websocket *ws)
{
	size_t most = ws->server->limits->max_payload_bytes;
	bool stranger = ws->share == NULL || rt_share_is_stranger(ws->share);

	return stranger && most > RT_SHARE_STRANGER_BODY_BYTES ? RT_SHARE_STRANGER_BODY_BYTES : most;
}

static void
drop_chunks(struct rt_websocket *ws)
{
	rt_buf_fini(&ws->message);
	if (ws->part == NULL)
		return;
	rt_share_release(&ws->part->hold);
	free(ws->part);
	ws->part = NULL;
}

/* The rest of the message is not waited for: with its next chunk the connection closes. */
static void
on_evicted(struct rt_share_hold *h)
{
	struct rt_websocket *ws = ((struct part *) ((char *) h - offsetof(struct part, hold)))->ws;

	drop_chunks(ws);
	ws->ignore_rest = true;
	lws_close_reason(ws->wsi, (enum lws_close_status) CLOSE_TRY_AGAIN_LATER, NULL, 0);
}

static enum rt_result
hold_message(struct rt_websocket *ws, size_t bytes)
{
	if (bytes <= UNCOUNTED_BYTES)
		return RT_OK;
	if (ws->share == NULL)
		return RT_LIMIT;
	if (ws->part == NULL)
	{
		ws->part = rt_alloc(sizeof(*ws->part));
		ws->part->ws = ws;
		ws->part->hold.evict = on_evicted;
	}
	return rt_share_hold(&ws->part->hold, ws->share, bytes);
}

static int
keep_chunk(struct rt_websocket *ws, const char *data, size_t len)
{
	/* What the frame's header announces counts: its bytes need not come. */
	ws->message.limit_bytes = max_message(ws);
	if (rt_buf_len(&ws->message) + len > ws->message.limit_bytes ||
		lws_remaining_packet_payload(ws->wsi) > ws->message.limit_bytes - rt_buf_len(&ws->message) - len)
		return refuse(ws, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "too large");
	if (hold_message(ws, rt_buf_len(&ws->message) + len) != RT_OK)
	{
		ws->server->traffic->over_share++;
		return refuse(ws, (enum lws_close_status) CLOSE_TRY_AGAIN_LATER, "too much at once");
	}
	rt_buf_put(&ws->message, data, len);
	return 0;
}

/* A message comes in chunks of RX_CHUNK_BYTES and in the sender's fragments; a small one in a single chunk. */
static int
on_receive(struct rt_websocket *ws, const char *data, size_t len)
{
	bool last = lws_is_final_fragment(ws->wsi);
	bool binary = lws_frame_is_binary(ws->wsi);
	size_t whole_len;
	char *whole;
	int rc;

	if (ws->ignore_rest || ws->closing)
		return -1;
	if (last && rt_buf_len(&ws->message) == 0)
		return len > ws->server->limits->max_payload_bytes
				   ? refuse(ws, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "too large")
				   : deliver(ws, data, len, binary);
	rc = keep_chunk(ws, data, len);
	if (rc != 0 || !last)
		return rc;
	whole = rt_buf_peek(&ws->message, &whole_len);
	rc = deliver(ws, whole, whole_len, binary);
	drop_chunks(ws);
	return rc;
}

static int
on_writable(struct rt_websocket *ws)
{
	if (ws->closing)
		return 0;
	ws->unsent = 0;
	ws->in_callback = true;
	ws->server->handler.on_writable(ws->owner, ws);
	return end_callback(ws);
}

/* The one end of every connection that the library knew. */
static void
on_destroy(struct rt_websocket *ws)
{
	struct rt_websocket_server *s = ws->server;

	if (ws->owner != NULL && !ws->closing)
	{
		ws->closing = true;
		s->handler.on_closed(ws->owner, ws);
	}
	drop_chunks(ws);
	free(ws);
	s->traffic->websockets--;
	s->handler.on_gone(s->handler.arg);
}

static void
on_closed(struct rt_websocket *ws)
{
	void *owner = ws->owner;

	if (ws->closing || owner == NULL)
		return;
	ws->closing = true;
	ws->owner = NULL;
	ws->server->handler.on_closed(owner, ws);
}

/* The library would confirm only subprotocols that it knows by name. */
static int
add_headers(struct rt_websocket_server *s, struct lws_process_html_args *args)
{
	bool confirms = s->protocol != NULL;
	int n = snprintf(args->p, (size_t) args->max_len, "%s%s%.*s%s", s->headers == NULL ? "" : s->headers,
					 confirms ? "Sec-WebSocket-Protocol: " : "", confirms ? (int) s->protocol_len : 0,
					 confirms ? s->protocol : "", confirms ? "\r\n" : "");

	if (n < 0 || n >= args->max_len)
		return -1;
	args->p += n;
	return 0;
}

static int
on_established(struct lws *wsi)
{
	struct rt_websocket_server *s = server_of(wsi);
	struct rt_websocket *ws = s->adopting;

	if (ws == NULL)
		return -1;
	ws->wsi = wsi;
	lws_set_opaque_user_data(wsi, ws);
	s->traffic->websockets++;
	return 0;
}

static int
on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct rt_websocket *ws;

	(void) user;
	rt_activity_begin(RT_ACTIVITY_WEBSOCKET);
	switch (reason)
	{
		case LWS_CALLBACK_ADD_HEADERS:
			return add_headers(server_of(wsi), in);
		case LWS_CALLBACK_ESTABLISHED:
			return on_established(wsi);
		case LWS_CALLBACK_HTTP:
			return -1; /* none but our own handshakes come here */
		case LWS_CALLBACK_RECEIVE:
		case LWS_CALLBACK_SERVER_WRITEABLE:
		case LWS_CALLBACK_CLOSED:
		case LWS_CALLBACK_WSI_DESTROY:
			break;
		default:
			return 0;
	}
	ws = lws_get_opaque_user_data(wsi);
	if (ws == NULL)
		return 0;
	if (reason == LWS_CALLBACK_RECEIVE)
		return on_receive(ws, in, len);
	if (reason == LWS_CALLBACK_SERVER_WRITEABLE)
		return on_writable(ws);
	if (reason == LWS_CALLBACK_CLOSED)
		on_closed(ws);
	else
	{
		lws_set_opaque_user_data(wsi, NULL);
		on_destroy(ws);
	}
	return 0;
}

/* ---- what goes out ---------------------------------------------------------- */

/* Copies frames into the buffer as long as they fit; returns how many. */
static uint32_t
join(struct rt_websocket_server *s, const struct rt_outq *q, size_t *len)
{
	struct rt_frame *f;
	uint32_t n = 0;

	*len = 0;
	while ((f = rt_outq_peek(q, n)) != NULL)
	{
		size_t wire_len;
		const char *wire = rt_frame_wire(f, &wire_len);

		if (wire_len > JOIN_BYTES - *len)
			break;
		memcpy(s->joined + *len, wire, wire_len);
		*len += wire_len;
		n++;
	}
	return n;
}

/* One write: a lone or large frame as it lies, several small ones joined. */
static enum rt_result
write_some(struct rt_websocket *ws, struct rt_outq *q, size_t *len)
{
	struct rt_websocket_server *s = ws->server;
	const char *data = s->joined;
	uint32_t n = q->count > 1 ? join(s, q, len) : 0;

	if (n < 2)
	{
		data = rt_frame_wire(rt_outq_peek(q, 0), len);
		n = 1;
	}
	if (lws_write(ws->wsi, (unsigned char *) data, *len, LWS_WRITE_HTTP) < 0)
		return RT_GONE;
	s->traffic->frames_out += n;
	s->traffic->bytes_out += *len;
	s->traffic->writes_out++;
	while (n-- > 0)
		rt_outq_pop(q);
	return RT_OK;
}

enum rt_result
rt_websocket_flush(struct rt_websocket *ws, struct rt_outq *q)
{
	size_t written = 0;
	size_t len;

	if (lws_partial_buffered(ws->wsi))
		return RT_AGAIN; /* the library asks for writability by itself */
	while (q->count > 0)
	{
		if (written >= FLUSH_BYTES)
		{
			lws_callback_on_writable(ws->wsi);
			return RT_AGAIN;
		}
		if (write_some(ws, q, &len) != RT_OK)
			return RT_GONE;
		written += len;
		if (lws_partial_buffered(ws->wsi))
		{
			ws->unsent = len;
			return RT_AGAIN;
		}
	}
	return RT_OK;
}

void
rt_websocket_prefetch(const struct rt_websocket *ws)
{
	for (size_t offset = 0; offset < WSI_BYTES; offset += CACHE_LINE)
		__builtin_prefetch((const char *) ws->wsi + offset, 1);
}

size_t
rt_websocket_unsent_bytes(const struct rt_websocket *ws)
{
	return ws->unsent;
}

/* ---- beginning and end ------------------------------------------------------- */

static size_t
write_handshake(char *out, const struct rt_websocket_request *r)
{
	return (size_t) snprintf(out, HANDSHAKE_BYTES,
							 "GET / HTTP/1.1\r\nHost: rt\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
							 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.24s\r\n\r\n",
							 r->key);
}

struct rt_websocket *
rt_websocket_adopt(struct rt_websocket_server *s, int fd, const struct rt_websocket_request *r, void *owner)
{
	struct rt_websocket *ws = rt_alloc(sizeof(*ws));
	char *bytes = rt_alloc(HANDSHAKE_BYTES + r->rest_len);
	size_t len = write_handshake(bytes, r);

	if (r->rest_len > 0)
		memcpy(bytes + len, r->rest, r->rest_len);
	ws->server = s;
	ws->owner = owner;
	s->adopting = ws;
	s->protocol = r->protocol;
	s->protocol_len = r->protocol_len;
	s->headers = r->headers;
	/* The whole handshake happens in this call, or fails in it. */
	lws_adopt_socket_vhost_readbuf(s->vhost, fd, bytes, len + r->rest_len);
	s->adopting = NULL;
	free(bytes);
	if (ws->wsi != NULL)
		return ws;
	rt_log(RT_LOG_DEBUG, "websocket", "handshake failed");
	free(ws);
	s->handler.on_gone(s->handler.arg);
	return NULL;
}

void
rt_websocket_set_share(struct rt_websocket *ws, struct rt_share *share)
{
	ws->share = share;
}

void
rt_websocket_set_owner(struct rt_websocket *ws, void *owner)
{
	ws->owner = owner;
}

void
rt_websocket_close(struct rt_websocket *ws, int code)
{
	if (ws->closing)
		return;
	ws->closing = true;
	ws->owner = NULL;
	ws->close_code = (uint16_t) code;
	if (ws->in_callback)
		return; /* on return the library is told to close */
	lws_close_reason(ws->wsi, ws->close_code, NULL, 0);
	lws_set_timeout(ws->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

void
rt_websocket_abort(struct rt_websocket *ws)
{
	if (ws->closing)
		return;
	ws->closing = true;
	ws->owner = NULL;
	shutdown(lws_get_socket_fd(ws->wsi), SHUT_RDWR);
}

enum rt_result
rt_websocket_server_new(struct rt_websocket_server **sp, struct rt_loop *l, const struct rt_traffic_limits *limits,
						struct rt_traffic *traffic, const struct rt_websocket_handler *handler)
{
	static const struct lws_protocols protocols[] = {
		{.name = "rt", .callback = on_lws, .rx_buffer_size = RX_CHUNK_BYTES, .tx_packet_size = TX_BYTES},
		{.name = NULL}};
	/* Engine.IO has its own heartbeat; the library's would cost a timer for each connection. */
	static const lws_retry_bo_t no_validity_check = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};
	struct rt_websocket_server *s = rt_alloc(sizeof(*s));
	struct lws_context_creation_info info = {0};
	void *loops[1] = {rt_loop_uv(l)};

	s->limits = limits;
	s->traffic = traffic;
	s->handler = *handler;
	s->uv = rt_loop_uv(l);
	info.port = CONTEXT_PORT_NO_LISTEN;
	info.protocols = protocols;
	info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME;
	info.foreign_loops = loops;
	info.user = s;
	info.pcontext = &s->context;
	info.gid = info.uid = (gid_t) -1;
	info.retry_and_idle_policy = &no_validity_check;
	info.timeout_secs = 10;
	lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log_at_start);
	s->context = lws_create_context(&info);
	s->vhost = s->context == NULL ? NULL : lws_get_vhost_by_name(s->context, "default");
	lws_set_log_level(rt_log_wants(RT_LOG_DEBUG) ? LLL_ERR | LLL_WARN : 0, on_lws_log);
	if (s->vhost == NULL)
	{
		rt_log(RT_LOG_ERROR, "websocket", "libwebsockets did not start; is its libuv plugin installed?");
		free(s);
		return RT_INTERNAL;
	}
	*sp = s;
	return RT_OK;
}

/* The library ends in two steps; in between the loop closes its handles. */
void
rt_websocket_server_free(struct rt_websocket_server *s)
{
	if (s == NULL)
		return;
	lws_context_destroy(s->context);
	for (int turn = 0; turn < CLOSING_TURNS && s->context != NULL; turn++)
		uv_run(s->uv, UV_RUN_NOWAIT);
	lws_context_destroy(s->context);
	free(s);
}
