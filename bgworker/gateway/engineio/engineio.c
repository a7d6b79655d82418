/* engineio.c: see engineio.h.  Requests, and the server's start and end; eio_session.c has the sessions, polling.c
 * the long-polling requests, upgrade.c the websockets. */
#include "engineio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/log.h"
#include "eio_session.h"

#define DRAIN_SESSIONS 500 /* a turn */

/* ---- requests ------------------------------------------------------------------------- */

static bool
has_param(const char *query, const char *name, const char *value)
{
	char text[16];

	return rt_http_query_param(query, name, text, sizeof(text)) && strcmp(text, value) == 0;
}

static enum rt_eio_error
check_handshake(const struct rt_http_head *h, const char *query, bool websocket, bool upgrade)
{
	if (!rt_http_method_is(h, "GET"))
		return RT_EIO_BAD_METHOD;
	if (websocket != upgrade)
		return RT_EIO_BAD_REQUEST;
	return has_param(query, "EIO", "4") ? RT_EIO_NO_ERROR : RT_EIO_BAD_VERSION;
}

enum rt_eio_error
rt_eio_check(struct rt_eio *e, const struct rt_http_head *h, const char *query, bool upgrade,
			 struct rt_eio_session **sp)
{
	bool websocket = has_param(query, "transport", "websocket");
	char sid[sizeof(*sp)->sid];

	*sp = NULL;
	if (!websocket && !has_param(query, "transport", "polling"))
		return RT_EIO_UNKNOWN_TRANSPORT;
	/* An id that cannot be ours names a session as well. */
	if (!rt_http_has_query_param(query, "sid"))
		return check_handshake(h, query, websocket, upgrade);
	if (!rt_http_query_param(query, "sid", sid, sizeof(sid)))
		return RT_EIO_UNKNOWN_SID;
	*sp = rt_map_find_str(e->sessions, sid);
	if (*sp == NULL)
		return RT_EIO_UNKNOWN_SID;
	/* Only a session on polling takes requests, and a websocket beside it only one at a time. */
	if ((*sp)->ws != NULL || websocket != upgrade || (upgrade && (*sp)->probe != NULL))
		return RT_EIO_BAD_REQUEST;
	if (!rt_http_method_is(h, "GET") && !(rt_http_method_is(h, "POST") && !upgrade))
		return RT_EIO_BAD_REQUEST;
	return RT_EIO_NO_ERROR;
}

void
rt_eio_refuse(struct rt_httpconn *c, enum rt_eio_error error)
{
	static const char *const messages[] = {"Transport unknown", "Session ID unknown", "Bad handshake method",
										   "Bad request",       "Forbidden",          "Unsupported protocol version"};
	char body[80];
	int n = snprintf(body, sizeof(body), "{\"code\":%d,\"message\":\"%s\"}", (int) error, messages[error]);

	rt_httpconn_reply(c, &(struct rt_http_reply){.status = error == RT_EIO_FORBIDDEN ? 403 : 400,
												 .content_type = "application/json",
												 .body = body,
												 .len = (size_t) n});
}

static void
refuse_new(struct rt_httpconn *c, const char *why)
{
	char body[80];
	int n = snprintf(body, sizeof(body), "{\"code\":4,\"message\":\"%s\"}", why);

	rt_httpconn_reply(c, &(struct rt_http_reply){.status = 503,
												 .content_type = "application/json",
												 .headers = "Retry-After: 5\r\n",
												 .body = body,
												 .len = (size_t) n,
												 .close = true});
}

/* A session on polling outlives its connections, so sessions are limited too. */
static bool
has_place(struct rt_eio *e)
{
	struct rt_eio_session *s;

	if (e->stats->sessions < (uint64_t) e->conf->max_connections)
		return true;
	s = e->handler.on_full(e->handler.arg);
	if (s != NULL)
		rt_eio_session_end(s, "connect timeout");
	return s != NULL;
}

enum rt_http_verdict
rt_eio_on_head(struct rt_eio *e, struct rt_httpconn *c, const struct rt_http_head *h, const char *query)
{
	bool upgrade = rt_http_header_has_token(h, "upgrade", "websocket");
	struct rt_eio_session *s;
	enum rt_eio_error error = rt_eio_check(e, h, query, upgrade, &s);

	if (error != RT_EIO_NO_ERROR)
	{
		rt_eio_refuse(c, error);
		return RT_HTTP_ANSWERED;
	}
	if (s == NULL && (e->draining || e->refusing || !has_place(e)))
	{
		refuse_new(c, e->draining || e->refusing ? "Server shutting down" : "Too many sessions");
		return RT_HTTP_ANSWERED;
	}
	if (upgrade)
		return rt_upgrade_begin(e, s, c, h, query);
	if (rt_http_method_is(h, "POST"))
		return rt_polling_post_begins(s, c);
	return RT_HTTP_READ_BODY;
}

void
rt_eio_on_request(struct rt_eio *e, struct rt_httpconn *c, const struct rt_http_head *h, const char *query,
				  const char *body, size_t len)
{
	struct rt_eio_session *s = rt_httpconn_owner(c);
	enum rt_eio_error error;

	if (s != NULL)
	{
		rt_polling_post(s, c, h, body, len);
		return;
	}
	/* A session may have come or gone while the body arrived. */
	error = rt_eio_check(e, h, query, false, &s);
	if (error == RT_EIO_NO_ERROR && rt_http_method_is(h, "POST"))
		error = RT_EIO_UNKNOWN_SID;
	if (error != RT_EIO_NO_ERROR)
	{
		rt_eio_refuse(c, error);
		return;
	}
	if (s == NULL)
	{
		s = rt_eio_session_new(e, h, query, rt_httpconn_client(c));
		rt_eio_session_open(s);
	}
	rt_polling_get(s, c);
}

void
rt_eio_on_abandoned(struct rt_httpconn *c)
{
	rt_polling_abandoned(rt_httpconn_owner(c), c);
}

int
rt_eio_worker_of(const char *query)
{
	char sid[sizeof(((struct rt_eio_session *) 0)->sid)];

	if (!rt_http_query_param(query, "sid", sid, sizeof(sid)) || strlen(sid) != sizeof(sid) - 1 || sid[1] != '.')
		return -1;
	if (sid[0] >= '0' && sid[0] <= '9')
		return sid[0] - '0';
	return sid[0] >= 'a' && sid[0] <= 'z' ? sid[0] - 'a' + 10 : -1;
}

/* ---- start and end ------------------------------------------------------------------------ */

uint64_t
rt_eio_queued_bytes(const struct rt_eio *e)
{
	struct rt_eio_session *s;
	uint64_t bytes = 0;
	size_t pos = 0;

	while ((s = rt_map_next(e->sessions, &pos)) != NULL)
		bytes += rt_eio_session_queued_bytes(s);
	return bytes;
}

static struct rt_frame *
new_control_frame(const char *packet)
{
	struct rt_frame_part part = {packet, strlen(packet)};

	return rt_frame_new(&part, 1);
}

enum rt_result
rt_eio_new(struct rt_eio **ep, struct rt_loop *l, struct rt_wheel *w, const struct rt_transport_options *conf,
		   struct rt_transport_stats *stats, const struct rt_eio_handler *handler,
		   void (*on_descriptor_gone)(void *arg), void *gone_arg)
{
	struct rt_ws_handler ws_handler = {.on_message = rt_eio_session_on_ws_message,
									   .on_writable = rt_eio_session_on_ws_writable,
									   .on_closed = rt_eio_session_on_ws_closed,
									   .on_gone = on_descriptor_gone,
									   .arg = gone_arg};
	struct rt_eio *e = rt_alloc(sizeof(*e));
	enum rt_result rc;

	e->loop = l;
	e->wheel = w;
	e->conf = conf;
	e->stats = stats;
	e->handler = *handler;
	rc = rt_ws_server_new(&e->ws_server, l, conf, stats, &ws_handler);
	if (rc != RT_OK)
	{
		free(e);
		return rc;
	}
	e->sessions = rt_map_new();
	e->ping = new_control_frame("2");
	e->noop = new_control_frame("6");
	*ep = e;
	return RT_OK;
}

static void
end_some(void *arg)
{
	struct rt_eio *e = arg;
	struct rt_eio_session *some[DRAIN_SESSIONS];
	size_t pos = 0;
	int n = 0;

	while (n < DRAIN_SESSIONS && (some[n] = rt_map_next(e->sessions, &pos)) != NULL)
		n++;
	for (int i = 0; i < n; i++)
		rt_eio_session_end(some[i], "server shutting down");
	if (n == DRAIN_SESSIONS)
		rt_loop_defer(e->loop, end_some, e);
}

void
rt_eio_drain(struct rt_eio *e)
{
	if (e->draining)
		return;
	e->draining = true;
	rt_loop_defer(e->loop, end_some, e);
}

void
rt_eio_refuse_sessions(struct rt_eio *e)
{
	e->refusing = true;
}

void
rt_eio_end_some(struct rt_eio *e, uint64_t n)
{
	struct rt_eio_session *s;
	size_t pos = 0;

	while (n > 0 && (s = rt_map_next(e->sessions, &pos)) != NULL)
	{
		/* One that is closing already counts: it is still among those that are there. */
		if (s->close_reason == NULL)
			rt_eio_session_close_when_sent(s, "server shutting down");
		n--;
	}
}

void
rt_eio_free(struct rt_eio *e)
{
	struct rt_eio_session *s;
	size_t pos = 0;

	if (e == NULL)
		return;
	while ((s = rt_map_next(e->sessions, &pos)) != NULL)
	{
		rt_eio_session_end(s, "server shutting down");
		pos = 0;
	}
	rt_eio_drop_dirty(e);
	rt_ws_server_free(e->ws_server);
	rt_map_free(e->sessions);
	rt_frame_unref(e->ping);
	rt_frame_unref(e->noop);
	free(e);
}
