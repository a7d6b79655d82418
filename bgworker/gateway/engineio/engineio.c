/* engineio.c: the server of Engine.IO: judges requests and hands them to polling.c or upgrade.c; start and end.
 *
 * net/http_router.c calls rt_engineio_on_head() for each request to the path of Engine.IO, and
 * rt_engineio_on_request() when its body has come.  A request names its session by `sid`; without one it is a
 * handshake.  Between the two calls a session may come or go, so the second checks again.
 *
 * New sessions are refused while the server leaves, and above limits->max_connections: then the layer above may name
 * one that has not got as far as a login, which ends in its place. */
#include "engineio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/loop.h"
#include "polling.h"
#include "upgrade.h"

#define DRAIN_SESSIONS 500 /* a turn */

struct rt_engineio
{
	struct rt_eio_sessions sessions;
	struct rt_websocket_server *websockets;
	bool draining;
	bool refusing; /* new sessions */
};

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

static enum rt_eio_error
check(struct rt_engineio *e, const struct rt_http_head *h, const char *query, bool upgrade,
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
	*sp = rt_map_find_str(e->sessions.by_sid, sid);
	if (*sp == NULL)
		return RT_EIO_UNKNOWN_SID;
	/* Only a session on polling takes requests, and a websocket beside it only one at a time. */
	if ((*sp)->ws != NULL || websocket != upgrade || (upgrade && (*sp)->probe != NULL))
		return RT_EIO_BAD_REQUEST;
	if (!rt_http_method_is(h, "GET") && !(rt_http_method_is(h, "POST") && !upgrade))
		return RT_EIO_BAD_REQUEST;
	return RT_EIO_NO_ERROR;
}

static void
refuse_new(struct rt_httpconn *c, const char *why)
{
	char body[80];
	int n = snprintf(body, sizeof(body), "{\"code\":4,\"message\":\"%s\"}", why);

	rt_httpconn_reply(c, &(struct rt_http_answer){.status = 503,
												  .content_type = "application/json",
												  .headers = "Retry-After: 5\r\n",
												  .body = body,
												  .len = (size_t) n,
												  .close = true});
}

/* A session on polling outlives its connections, so sessions are limited too. */
static bool
has_place(struct rt_engineio *e)
{
	return e->sessions.traffic->sessions < (uint64_t) e->sessions.limits->max_connections ||
		   e->sessions.handler.on_full(e->sessions.handler.arg);
}

enum rt_http_verdict
rt_engineio_on_head(struct rt_engineio *e, struct rt_httpconn *c, const struct rt_http_head *h, const char *query)
{
	bool upgrade = rt_http_header_has_token(h, "upgrade", "websocket");
	struct rt_eio_session *s;
	enum rt_eio_error error = check(e, h, query, upgrade, &s);

	if (error != RT_EIO_NO_ERROR)
	{
		rt_eio_session_refuse(c, error);
		return RT_HTTP_ANSWERED;
	}
	if (s == NULL && (e->draining || e->refusing || !has_place(e)))
	{
		refuse_new(c, e->draining || e->refusing ? "Server shutting down" : "Too many sessions");
		return RT_HTTP_ANSWERED;
	}
	if (upgrade)
		return rt_upgrade_begin(&e->sessions, e->websockets, s, c, h, query);
	if (rt_http_method_is(h, "POST"))
		return rt_polling_begin_post(s, c);
	return RT_HTTP_READ_BODY;
}

void
rt_engineio_on_request(struct rt_engineio *e, struct rt_httpconn *c, const struct rt_http_head *h, const char *query,
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
	error = check(e, h, query, false, &s);
	if (error == RT_EIO_NO_ERROR && rt_http_method_is(h, "POST"))
		error = RT_EIO_UNKNOWN_SID;
	if (error != RT_EIO_NO_ERROR)
	{
		rt_eio_session_refuse(c, error);
		return;
	}
	if (s == NULL)
	{
		s = rt_eio_session_new(&e->sessions, h, query, c);
		rt_eio_session_open(s, NULL);
	}
	rt_polling_get(s, c);
}

void
rt_engineio_on_abandoned(struct rt_httpconn *c)
{
	rt_polling_abandon(rt_httpconn_owner(c), c);
}

int
rt_engineio_number_of(const char *query)
{
	char sid[sizeof(((struct rt_eio_session *) 0)->sid)];
	size_t digits;

	if (!rt_http_query_param(query, "sid", sid, sizeof(sid)))
		return -1;
	digits = strspn(sid, "0123456789");
	if (digits < 1 || digits > RT_EIO_NUMBER_DIGITS || sid[digits] != '.' ||
		strlen(sid) != digits + 1 + RT_RANDOM_ID_LEN)
		return -1;
	return atoi(sid);
}

/* ---- start and end ------------------------------------------------------------------------ */

uint64_t
rt_engineio_queued_bytes(const struct rt_engineio *e)
{
	struct rt_eio_session *s;
	uint64_t bytes = 0;
	size_t pos = 0;

	while ((s = rt_map_next(e->sessions.by_sid, &pos)) != NULL)
		bytes += rt_eio_session_queued_bytes(s);
	return bytes;
}

enum rt_result
rt_engineio_new(struct rt_engineio **ep, struct rt_loop *l, struct rt_wheel *w,
				const struct rt_traffic_limits *limits, const struct rt_eio_settings *settings,
				struct rt_traffic *traffic, struct rt_shares *shares, const struct rt_eio_handler *handler,
				void (*on_descriptor_gone)(void *arg), void *gone_arg)
{
	struct rt_websocket_handler ws_handler = {.on_message = rt_upgrade_on_message,
											  .on_writable = rt_upgrade_on_writable,
											  .on_closed = rt_upgrade_on_closed,
											  .on_gone = on_descriptor_gone,
											  .arg = gone_arg};
	struct rt_engineio *e = rt_alloc(sizeof(*e));
	enum rt_result rc;

	rc = rt_websocket_server_new(&e->websockets, l, limits, traffic, &ws_handler);
	if (rc != RT_OK)
	{
		free(e);
		return rc;
	}
	e->sessions = (struct rt_eio_sessions){.loop = l,
										   .wheel = w,
										   .limits = limits,
										   .settings = settings,
										   .traffic = traffic,
										   .shares = shares,
										   .handler = *handler,
										   .poller = {.flush = rt_polling_flush, .end = rt_polling_end}};
	rt_eio_sessions_init(&e->sessions);
	*ep = e;
	return RT_OK;
}

static void
end_some(void *arg)
{
	struct rt_engineio *e = arg;
	struct rt_eio_session *some[DRAIN_SESSIONS];
	size_t pos = 0;
	int n = 0;

	while (n < DRAIN_SESSIONS && (some[n] = rt_map_next(e->sessions.by_sid, &pos)) != NULL)
		n++;
	for (int i = 0; i < n; i++)
		rt_eio_session_end(some[i], "server shutting down");
	if (n == DRAIN_SESSIONS)
		rt_loop_defer(e->sessions.loop, end_some, e);
}

void
rt_engineio_drain(struct rt_engineio *e)
{
	if (e->draining)
		return;
	e->draining = e->sessions.leaving = true;
	rt_loop_defer(e->sessions.loop, end_some, e);
}

void
rt_engineio_refuse_sessions(struct rt_engineio *e)
{
	e->refusing = e->sessions.leaving = true;
}

void
rt_engineio_end_some(struct rt_engineio *e, uint64_t n)
{
	struct rt_eio_session *s;
	size_t pos = 0;

	while (n > 0 && (s = rt_map_next(e->sessions.by_sid, &pos)) != NULL)
	{
		/* One that is closing already counts: it is still among those that are there. */
		if (s->close_reason == NULL)
			rt_eio_session_close_when_sent(s, "server shutting down");
		n--;
	}
}

void
rt_engineio_free(struct rt_engineio *e)
{
	if (e == NULL)
		return;
	rt_eio_sessions_fini(&e->sessions);
	rt_websocket_server_free(e->websockets);
	free(e);
}
