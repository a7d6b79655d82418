/* eio_session.c: sessions of Engine.IO: their packets, heartbeats, what is sent, and their end.
 *
 * What is sent is queued, and the session put on the dirty list; when the turn ends, all that waits for a session
 * goes out at once.  The application may close sessions while it walks over its own lists, so that too is only noted
 * then and done at the end of the turn. */
#include "eio_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bgworker/common/clock.h"
#include "bgworker/common/log.h"

#define FLUSH_BUDGET_US 5000 /* then events are looked at in between, and what they bring joins what waits */
#define FLUSH_CLOCK_EVERY 16 /* sessions between two looks at the clock */
#define MAX_TOKEN_BYTES 8192
#define CACHE_LINE 64
#define CLOSE_WAIT_MS 10000 /* for the last packets of a session that closes */

/* ---- the end of a session ----------------------------------------------------- */

static void
free_session(void *arg)
{
	struct rt_eio_session *s = arg;

	rt_outq_fini(&s->queue);
	free(s->peer);
	free(s->bearer);
	free(s->query_token);
	free(s);
}

void
rt_eio_session_discard(struct rt_eio_session *s)
{
	rt_map_take_str(s->eio->sessions, s->sid);
	rt_wheel_unset(s->eio->wheel, &s->heartbeat);
	free_session(s);
}

static void
end_session(struct rt_eio_session *s, const char *reason, bool by_client)
{
	struct rt_eio *e = s->eio;

	if (s->closed)
		return;
	s->closed = true;
	rt_map_take_str(e->sessions, s->sid);
	rt_wheel_unset(e->wheel, &s->heartbeat);
	rt_outq_fini(&s->queue);
	rt_upgrade_end(s);
	rt_polling_end(s, by_client);
	if (s->ws != NULL)
		rt_ws_close(s->ws, e->draining || e->refusing ? RT_WS_GOING_AWAY : RT_WS_NORMAL);
	s->ws = NULL;
	e->stats->sessions--;
	e->handler.on_close(s->owner, reason);
	if (!s->dirty) /* else the flush comes upon it */
		rt_loop_defer(e->loop, free_session, s);
}

void
rt_eio_session_end(struct rt_eio_session *s, const char *reason)
{
	end_session(s, reason, false);
}

static void
end_for_protocol_error(struct rt_eio_session *s, const char *reason)
{
	s->eio->stats->protocol_errors++;
	rt_log(RT_LOG_DEBUG, "engineio", "socket=%s peer=%s: session closed: %s", s->name, s->peer, reason);
	rt_eio_session_end(s, reason);
}

/* ---- the flush ----------------------------------------------------------------- */

static void
flush_session(struct rt_eio_session *s)
{
	enum rt_result rc = RT_OK;

	if (s->close_reason != NULL && !s->closes_when_sent)
	{
		rt_eio_session_end(s, s->close_reason);
		return;
	}
	if (s->ws != NULL)
		rc = rt_ws_flush(s->ws, &s->queue);
	else
		rt_polling_flush(s);
	if (rc == RT_GONE)
		rt_eio_session_end(s, "transport error");
	else if (s->closes_when_sent && s->queue.count == 0)
		rt_eio_session_end(s, s->close_reason);
}

static struct rt_eio_session *
take_dirty(struct rt_eio *e)
{
	struct rt_eio_session *s = e->first_dirty;

	if (s == NULL)
		return NULL;
	e->first_dirty = s->next_dirty;
	if (e->first_dirty == NULL)
		e->last_dirty = NULL;
	s->dirty = false;
	s->next_dirty = NULL;
	return s;
}

void
rt_eio_drop_dirty(struct rt_eio *e)
{
	struct rt_eio_session *s;

	while ((s = take_dirty(e)) != NULL)
		free_session(s);
}

static void flush(void *arg);

static void
defer_flush(struct rt_eio *e)
{
	if (e->flush_deferred)
		return;
	e->flush_deferred = true;
	rt_loop_defer(e->loop, flush, e);
}

/* With very many sessions each of them is a cache miss or several, which together cost as much as our part of the
 * write; so what comes next is fetched while the kernel is busy with this one. */
static void
prefetch(const struct rt_eio_session *next)
{
	const struct rt_eio_session *second = next == NULL ? NULL : next->next_dirty;
	const struct rt_eio_session *third = second == NULL ? NULL : second->next_dirty;

	if (next != NULL && next->ws != NULL)
		rt_ws_prefetch(next->ws);
	if (second != NULL)
		__builtin_prefetch(second->ws);
	if (third != NULL)
	{
		__builtin_prefetch(third, 1);
		__builtin_prefetch((const char *) third + CACHE_LINE, 1);
	}
}

static void
flush(void *arg)
{
	struct rt_eio *e = arg;
	uint64_t until_us = rt_clock_us() + FLUSH_BUDGET_US;
	struct rt_eio_session *s;

	e->flush_deferred = false;
	for (int n = 1; (s = take_dirty(e)) != NULL; n++)
	{
		prefetch(e->first_dirty);
		if (s->closed)
			free_session(s);
		else
			flush_session(s);
		if (n % FLUSH_CLOCK_EVERY == 0 && rt_clock_us() > until_us)
			break;
	}
	if (e->first_dirty != NULL)
		defer_flush(e);
}

void
rt_eio_session_mark_dirty(struct rt_eio_session *s)
{
	struct rt_eio *e = s->eio;

	if (s->dirty)
		return;
	s->dirty = true;
	if (e->last_dirty != NULL)
		e->last_dirty->next_dirty = s;
	else
		e->first_dirty = s;
	e->last_dirty = s;
	defer_flush(e);
}

/* ---- sending and closing, for the application ------------------------------------ */

/* Closed, or to be closed when the turn ends: what the client sends is not its business any more. */
static bool
is_ending(const struct rt_eio_session *s)
{
	return s->closed || (s->close_reason != NULL && !s->closes_when_sent);
}

static void
close_later(struct rt_eio_session *s, const char *reason, bool when_sent)
{
	if (is_ending(s))
		return;
	s->close_reason = reason;
	s->closes_when_sent = when_sent;
	if (!when_sent)
		rt_outq_fini(&s->queue);
	rt_eio_session_mark_dirty(s);
}

void
rt_eio_session_close(struct rt_eio_session *s, const char *reason)
{
	close_later(s, reason, false);
}

void
rt_eio_session_close_when_sent(struct rt_eio_session *s, const char *reason)
{
	close_later(s, reason, true);
	if (!s->closed)
	{
		s->awaits_pong = true; /* so the end of the wait is the end of the session */
		rt_wheel_set(s->eio->wheel, &s->heartbeat, CLOSE_WAIT_MS);
	}
}

/* Within the limit, what is written to a websocket but not yet taken by the kernel included. */
static enum rt_result
queue_frame(struct rt_eio_session *s, struct rt_frame *f)
{
	size_t limit_bytes = s->eio->conf->max_queued_bytes;
	size_t unsent = s->queue.count > 0 && s->ws != NULL ? rt_ws_unsent_bytes(s->ws) : 0;

	return unsent > limit_bytes ? RT_LIMIT : rt_outq_push(&s->queue, f, limit_bytes - unsent);
}

void
rt_eio_session_push(struct rt_eio_session *s, struct rt_frame *f)
{
	enum rt_result rc;

	if (s->closed || s->close_reason != NULL)
		return;
	rc = queue_frame(s, f);
	/* So much in one turn that the end of the turn cannot be waited for: a client that reads must not suffer. */
	if (rc == RT_LIMIT && s->ws != NULL && rt_ws_flush(s->ws, &s->queue) != RT_GONE)
		rc = queue_frame(s, f);
	if (rc != RT_OK)
	{
		s->eio->stats->cut_off++;
		rt_log(RT_LOG_DEBUG, "engineio", "socket=%s peer=%s: cut off: it reads too slowly", s->name, s->peer);
		rt_eio_session_close(s, "transport error");
		return;
	}
	if (!s->dirty)
		rt_eio_session_mark_dirty(s);
}

void
rt_eio_session_send(struct rt_eio_session *s, struct rt_frame *f)
{
	rt_eio_session_push(s, f);
}

/* ---- heartbeat --------------------------------------------------------------------- */

static void
on_heartbeat(struct rt_wheel_entry *entry)
{
	struct rt_eio_session *s =
		(struct rt_eio_session *) ((char *) entry - offsetof(struct rt_eio_session, heartbeat));
	struct rt_eio *e = s->eio;

	if (s->closes_when_sent)
	{
		rt_eio_session_end(s, s->close_reason);
		return;
	}
	if (s->awaits_pong)
	{
		e->stats->ping_timeouts++;
		rt_eio_session_end(s, "ping timeout");
		return;
	}
	s->awaits_pong = true;
	s->ping_sent_us = rt_clock_us();
	rt_wheel_set(e->wheel, &s->heartbeat, s->ping_timeout_ms);
	rt_eio_session_push(s, e->ping);
}

static void
on_pong(struct rt_eio_session *s)
{
	if (!s->awaits_pong || s->closes_when_sent)
		return;
	s->awaits_pong = false;
	s->latency_us = (int64_t) (rt_clock_us() - s->ping_sent_us);
	rt_histogram_add(&s->eio->stats->answers, (uint64_t) s->latency_us);
	rt_wheel_set(s->eio->wheel, &s->heartbeat, s->ping_interval_ms);
}

/* ---- packets ----------------------------------------------------------------------- */

enum rt_result
rt_eio_session_packet(struct rt_eio_session *s, const char *packet, size_t len)
{
	switch (len > 0 ? packet[0] : '\0')
	{
		case '4':
			s->eio->handler.on_message(s->owner, packet + 1, len - 1, false);
			break;
		case '3':
			on_pong(s);
			break;
		case '1':
			end_session(s, "transport close", true);
			return RT_OK;
		case '0':
		case '5':
		case '6':
			break; /* of no meaning here */
		case '2':
			end_for_protocol_error(s, "transport error"); /* heartbeats go the other way */
			return RT_BAD_INPUT;
		default:
			end_for_protocol_error(s, "parse error");
			return RT_BAD_INPUT;
	}
	return is_ending(s) ? RT_BAD_INPUT : RT_OK;
}

enum rt_result
rt_eio_session_binary(struct rt_eio_session *s, const char *data, size_t len)
{
	s->eio->handler.on_message(s->owner, data, len, true);
	return is_ending(s) ? RT_BAD_INPUT : RT_OK;
}

void
rt_eio_session_on_ws_message(void *owner, struct rt_ws *ws, const char *data, size_t len, bool binary)
{
	struct rt_eio_session *s = owner;

	if (ws != s->ws)
		rt_upgrade_message(s, data, len, binary);
	else if (is_ending(s))
		return;
	else if (binary)
		rt_eio_session_binary(s, data, len);
	else
		rt_eio_session_packet(s, data, len);
}

void
rt_eio_session_on_ws_writable(void *owner, struct rt_ws *ws)
{
	struct rt_eio_session *s = owner;

	if (ws == s->ws)
		flush_session(s);
}

void
rt_eio_session_on_ws_closed(void *owner, struct rt_ws *ws)
{
	struct rt_eio_session *s = owner;

	if (ws != s->ws)
	{
		rt_upgrade_end(s);
		return;
	}
	s->ws = NULL;
	rt_eio_session_end(s, s->closes_when_sent ? s->close_reason : "transport close");
}

/* ---- the beginning of a session ------------------------------------------------------ */

static char *
copy_bearer(const struct rt_http_head *h)
{
	const struct rt_http_header *header = rt_http_find_header(h, "authorization");
	static const char scheme[] = "bearer ";
	size_t scheme_len = sizeof(scheme) - 1;

	if (header == NULL || header->value_len <= scheme_len || strncasecmp(header->value, scheme, scheme_len) != 0)
		return NULL;
	return rt_strndup(header->value + scheme_len, header->value_len - scheme_len);
}

static char *
copy_query_token(const char *query)
{
	char token[MAX_TOKEN_BYTES];

	return rt_http_query_param(query, "token", token, sizeof(token)) ? rt_strdup(token) : NULL;
}

static char
worker_digit(int worker)
{
	return (char) (worker < 10 ? '0' + worker : 'a' + worker - 10);
}

struct rt_eio_session *
rt_eio_session_new(struct rt_eio *e, const struct rt_http_head *h, const char *query, const char *peer)
{
	struct rt_eio_session *s = rt_alloc(sizeof(*s));

	s->eio = e;
	s->latency_us = -1;
	s->ping_interval_ms = e->conf->ping_interval_ms;
	s->ping_timeout_ms = e->conf->ping_timeout_ms;
	s->heartbeat.fn = on_heartbeat;
	s->name = "";
	s->peer = rt_strdup(peer);
	s->bearer = copy_bearer(h);
	s->query_token = copy_query_token(query);
	s->sid[0] = worker_digit(e->conf->worker);
	s->sid[1] = '.';
	rt_id_make(s->sid + 2);
	rt_map_put_str(e->sessions, s->sid, s);
	return s;
}

void
rt_eio_session_open(struct rt_eio_session *s)
{
	struct rt_eio *e = s->eio;
	char text[256];
	struct rt_frame_part part = {text, 0};
	struct rt_frame *f;

	e->stats->sessions++;
	part.len = (size_t) snprintf(text, sizeof(text),
								 "0{\"sid\":\"%s\",\"upgrades\":[%s],\"pingInterval\":%u,\"pingTimeout\":%u,"
								 "\"maxPayload\":%zu}",
								 s->sid, s->ws == NULL ? "\"websocket\"" : "", s->ping_interval_ms,
								 s->ping_timeout_ms, e->conf->max_payload_bytes);
	f = rt_frame_new(&part, 1);
	rt_eio_session_push(s, f);
	rt_frame_unref(f);
	rt_wheel_set(e->wheel, &s->heartbeat, s->ping_interval_ms);
	s->owner = e->handler.on_open(e->handler.arg, s);
}

/* ---- what the layer above asks ---------------------------------------------------------- */

void
rt_eio_session_set_name(struct rt_eio_session *s, const char *name)
{
	s->name = name;
}

const char *
rt_eio_session_peer(const struct rt_eio_session *s)
{
	return s->peer;
}

const char *
rt_eio_session_bearer(const struct rt_eio_session *s)
{
	return s->bearer;
}

const char *
rt_eio_session_query_token(const struct rt_eio_session *s)
{
	return s->query_token;
}

bool
rt_eio_session_is_websocket(const struct rt_eio_session *s)
{
	return s->ws != NULL;
}

size_t
rt_eio_session_queued_bytes(const struct rt_eio_session *s)
{
	return s->queue.bytes + (s->ws != NULL ? rt_ws_unsent_bytes(s->ws) : 0);
}

int64_t
rt_eio_session_latency_us(const struct rt_eio_session *s)
{
	return s->latency_us;
}
