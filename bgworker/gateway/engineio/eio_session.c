/* eio_session.c: sessions of Engine.IO: their packets, heartbeats, what is sent, and their end.
 *
 * Leaves HTTP requests to polling.c and engineio.c, websocket frames to websocket.c, and what a message means to the
 * layer above.  It calls polling.c by the pointers in struct rt_eio_poller alone.
 *
 * The life of a session:
 *
 *     new ──> open ──> (on polling: probe ──> move) ──> close_reason set ──> closed ──> freed
 *      └─> discard: its handshake failed; the layer above never heard of it
 *
 * What must stay true:
 *
 * - A session is in `by_sid` from new until it is closed or discarded, and on_close() comes exactly once for each
 *   on_open().  After on_close() the owner is gone, and nothing above may be called for it.
 * - It is carried by one thing at a time.  While `ws` is NULL that is polling: packets leave only as answers
 *   to `poll`, and a probe's websocket carries nothing but the probe's own conversation.  From
 *   rt_eio_session_move() on it is `ws`; neither `poll`, `post` nor `probe` is ever set again.  So no packet
 *   is lost, doubled or out of order.
 * - What is sent is queued, and the session put on the dirty list; when the turn ends, all that waits for a
 *   session goes out at once.  The application sends and closes while it walks over its own lists, so nothing
 *   that may call it back happens in rt_eio_session_send() or _close(): those too are only noted
 *   (close_reason) and done by flush().
 * - `dirty` means exactly: on the dirty list.  A session that is closed while it is on it is freed by flush(), which
 *   comes upon it; any other one is freed by the loop at the end of the turn.  Never both, never at once, since
 *   callers further up the stack still look at `closed`.
 * - The heartbeat's timer runs from open to the end.  With awaits_pong it is the time for the answer, otherwise the
 *   pause until the next ping, and with closes_when_sent the patience with a client that does not read its last
 *   packets.  Its end means, in this order of cases: end of the session, "ping timeout", send a ping.
 * - What a client may make us hold is bounded: settings->max_queued_bytes, what the websocket has taken from
 *   the queue but not the kernel from it included.  Above it the client reads too slowly and is cut off, never
 *   buffered for.
 *
 * Specification: github.com/socketio/engine.io-protocol, version 4.  Packet types by their digit: 0 open, 1 close,
 * 2 ping, 3 pong, 4 message, 5 upgrade, 6 noop.  The server pings. */
#include "eio_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"

#define FLUSH_BUDGET_US 5000 /* then events are looked at in between, and what they bring joins what waits */
#define FLUSH_CLOCK_EVERY 16 /* sessions between two looks at the clock */
#define MAX_TOKEN_BYTES 8192 /* of ?token=; a longer one is none */
#define CACHE_LINE 64
#define CLOSE_WAIT_MS 10000    /* for the last packets of a session that closes */
#define PROBE_TIMEOUT_MS 10000 /* from the probe's websocket to the packet "5" */

static void flush(void *arg);

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
	rt_map_take_str(s->set->by_sid, s->sid);
	rt_wheel_unset(s->set->wheel, &s->heartbeat);
	rt_share_drop(s->share);
	free_session(s);
}

static void
end_session(struct rt_eio_session *s, const char *reason, bool by_client)
{
	struct rt_eio_sessions *set = s->set;

	if (s->closed)
		return;
	s->closed = true;
	rt_map_take_str(set->by_sid, s->sid);
	rt_wheel_unset(set->wheel, &s->heartbeat);
	rt_outq_fini(&s->queue);
	rt_eio_session_drop_probe(s);
	set->poller.end(s, by_client);
	if (s->ws != NULL)
		rt_websocket_close(s->ws, set->leaving ? RT_WEBSOCKET_GOING_AWAY : RT_WEBSOCKET_NORMAL);
	s->ws = NULL;
	rt_share_drop(s->share);
	s->share = NULL;
	set->traffic->sessions--;
	set->handler.on_close(s->owner, reason);
	if (!s->dirty) /* else the flush comes upon it */
		rt_loop_defer(set->loop, free_session, s);
}

void
rt_eio_session_end(struct rt_eio_session *s, const char *reason)
{
	end_session(s, reason, false);
}

void
rt_eio_session_abort(struct rt_eio_session *s, const char *reason)
{
	if (s->ws != NULL)
		rt_websocket_abort(s->ws);
	s->ws = NULL;
	end_session(s, reason, false);
}

static void
end_for_protocol_error(struct rt_eio_session *s, const char *reason)
{
	s->set->traffic->protocol_errors++;
	rt_log(RT_LOG_DEBUG, "engineio", "socket=%s peer=%s: session closed: %s", s->name, s->peer, reason);
	rt_eio_session_end(s, reason);
}

/* ---- the flush ----------------------------------------------------------------- */

void
rt_eio_session_flush(struct rt_eio_session *s)
{
	enum rt_result rc = RT_OK;

	if (s->close_reason != NULL && !s->closes_when_sent)
	{
		rt_eio_session_end(s, s->close_reason);
		return;
	}
	if (s->ws != NULL)
		rc = rt_websocket_flush(s->ws, &s->queue);
	else
		s->set->poller.flush(s);
	if (rc == RT_GONE)
		rt_eio_session_end(s, "transport error");
	else if (s->closes_when_sent && s->queue.count == 0)
		rt_eio_session_end(s, s->close_reason);
}

static struct rt_eio_session *
take_dirty(struct rt_eio_sessions *set)
{
	struct rt_eio_session *s = set->first_dirty;

	if (s == NULL)
		return NULL;
	set->first_dirty = s->next_dirty;
	if (set->first_dirty == NULL)
		set->last_dirty = NULL;
	s->dirty = false;
	s->next_dirty = NULL;
	return s;
}

static void
defer_flush(struct rt_eio_sessions *set)
{
	if (set->flush_deferred)
		return;
	set->flush_deferred = true;
	rt_loop_defer(set->loop, flush, set);
}

/* With very many sessions each of them is a cache miss or several, which together cost as much as our part of the
 * write; so what comes next is fetched while the kernel is busy with this one. */
static void
prefetch(const struct rt_eio_session *next)
{
	const struct rt_eio_session *second = next == NULL ? NULL : next->next_dirty;
	const struct rt_eio_session *third = second == NULL ? NULL : second->next_dirty;

	if (next != NULL && next->ws != NULL)
		rt_websocket_prefetch(next->ws);
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
	struct rt_eio_sessions *set = arg;
	uint64_t until_us = rt_clock_us() + FLUSH_BUDGET_US;
	struct rt_eio_session *s;

	set->flush_deferred = false;
	for (int n = 1; (s = take_dirty(set)) != NULL; n++)
	{
		prefetch(set->first_dirty);
		if (s->closed)
			free_session(s);
		else
			rt_eio_session_flush(s);
		if (n % FLUSH_CLOCK_EVERY == 0 && rt_clock_us() > until_us)
			break;
	}
	if (set->first_dirty != NULL)
		defer_flush(set);
}

void
rt_eio_session_mark_dirty(struct rt_eio_session *s)
{
	struct rt_eio_sessions *set = s->set;

	if (s->dirty)
		return;
	s->dirty = true;
	if (set->last_dirty != NULL)
		set->last_dirty->next_dirty = s;
	else
		set->first_dirty = s;
	set->last_dirty = s;
	defer_flush(set);
}

/* ---- sending and closing, for the application ------------------------------------ */

/* Closed, or to be closed when the turn ends: what the client sends is not its business any more. */
bool
rt_eio_session_is_ending(const struct rt_eio_session *s)
{
	return s->closed || (s->close_reason != NULL && !s->closes_when_sent);
}

static void
close_later(struct rt_eio_session *s, const char *reason, bool when_sent)
{
	if (rt_eio_session_is_ending(s))
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
		rt_wheel_set(s->set->wheel, &s->heartbeat, CLOSE_WAIT_MS);
	}
}

/* Within the limit, what is written to a websocket but not yet taken by the kernel included. */
static enum rt_result
queue_frame(struct rt_eio_session *s, struct rt_frame *f)
{
	size_t limit_bytes = s->set->settings->max_queued_bytes;
	size_t unsent = s->queue.count > 0 && s->ws != NULL ? rt_websocket_unsent_bytes(s->ws) : 0;

	return unsent > limit_bytes ? RT_LIMIT : rt_outq_push(&s->queue, f, limit_bytes - unsent);
}

void
rt_eio_session_send(struct rt_eio_session *s, struct rt_frame *f)
{
	enum rt_result rc;

	if (s->closed || s->close_reason != NULL)
		return;
	rc = queue_frame(s, f);
	/* So much in one turn that the end of the turn cannot be waited for: a client that reads must not suffer. */
	if (rc == RT_LIMIT && s->ws != NULL && rt_websocket_flush(s->ws, &s->queue) != RT_GONE)
		rc = queue_frame(s, f);
	if (rc != RT_OK)
	{
		s->set->traffic->cut_off++;
		rt_log(RT_LOG_DEBUG, "engineio", "socket=%s peer=%s: cut off: it reads too slowly", s->name, s->peer);
		rt_eio_session_close(s, "transport error");
		return;
	}
	if (!s->dirty)
		rt_eio_session_mark_dirty(s);
}

/* ---- heartbeat --------------------------------------------------------------------- */

static void
on_heartbeat(struct rt_wheel_entry *entry)
{
	struct rt_eio_session *s =
		(struct rt_eio_session *) ((char *) entry - offsetof(struct rt_eio_session, heartbeat));
	struct rt_eio_sessions *set = s->set;

	if (s->closes_when_sent)
	{
		rt_eio_session_end(s, s->close_reason);
		return;
	}
	if (s->awaits_pong)
	{
		set->traffic->ping_timeouts++;
		rt_eio_session_end(s, "ping timeout");
		return;
	}
	s->awaits_pong = true;
	s->ping_sent_us = rt_clock_us();
	rt_wheel_set(set->wheel, &s->heartbeat, s->ping_timeout_ms);
	rt_eio_session_send(s, set->ping);
}

static void
on_pong(struct rt_eio_session *s)
{
	if (!s->awaits_pong || s->closes_when_sent)
		return;
	s->awaits_pong = false;
	s->latency_us = (int64_t) (rt_clock_us() - s->ping_sent_us);
	rt_histogram_add(&s->set->traffic->answers, (uint64_t) s->latency_us);
	rt_wheel_set(s->set->wheel, &s->heartbeat, s->ping_interval_ms);
}

/* ---- packets ----------------------------------------------------------------------- */

enum rt_result
rt_eio_session_packet(struct rt_eio_session *s, const char *packet, size_t len)
{
	switch (len > 0 ? packet[0] : '\0')
	{
		case '4':
			s->set->handler.on_message(s->owner, packet + 1, len - 1, false);
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
	return rt_eio_session_is_ending(s) ? RT_BAD_INPUT : RT_OK;
}

enum rt_result
rt_eio_session_binary(struct rt_eio_session *s, const char *data, size_t len)
{
	s->set->handler.on_message(s->owner, data, len, true);
	return rt_eio_session_is_ending(s) ? RT_BAD_INPUT : RT_OK;
}

void
rt_eio_session_lose_websocket(struct rt_eio_session *s, const struct rt_websocket *ws)
{
	if (ws != s->ws)
	{
		rt_eio_session_drop_probe(s);
		return;
	}
	s->ws = NULL;
	rt_eio_session_end(s, s->closes_when_sent ? s->close_reason : "transport close");
}

/* ---- the probe --------------------------------------------------------------------- */

static void
free_probe(void *arg)
{
	free(arg);
}

/* The struct alone; its websocket has closed, is the session's by now, or is the caller's to close. */
static void
drop_probe(struct rt_eio_session *s)
{
	struct rt_eio_probe *probe = s->probe;

	s->probe = NULL;
	rt_wheel_unset(s->set->wheel, &probe->timeout);
	rt_loop_defer(s->set->loop, free_probe, probe);
}

void
rt_eio_session_drop_probe(struct rt_eio_session *s)
{
	struct rt_websocket *ws;

	if (s->probe == NULL)
		return;
	ws = s->probe->ws;
	drop_probe(s);
	rt_websocket_close(ws, RT_WEBSOCKET_NORMAL);
}

static void
on_probe_timeout(struct rt_wheel_entry *entry)
{
	struct rt_eio_probe *probe = (struct rt_eio_probe *) ((char *) entry - offsetof(struct rt_eio_probe, timeout));

	rt_eio_session_drop_probe(probe->session);
}

void
rt_eio_session_set_probe(struct rt_eio_session *s, struct rt_websocket *ws)
{
	struct rt_eio_probe *probe = rt_alloc(sizeof(*probe));

	probe->ws = ws;
	probe->session = s;
	rt_websocket_set_share(ws, s->share);
	probe->timeout.fn = on_probe_timeout;
	rt_wheel_set(s->set->wheel, &probe->timeout, PROBE_TIMEOUT_MS);
	s->probe = probe;
}

void
rt_eio_session_move(struct rt_eio_session *s)
{
	s->ws = s->probe->ws;
	drop_probe(s);
	s->set->traffic->upgrades++;
	s->set->poller.end(s, true);
	rt_eio_session_mark_dirty(s);
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

static bool
asks_no_recovery(const char *query)
{
	char text[8];

	return rt_http_query_param(query, "recovery", text, sizeof(text)) &&
		   (strcmp(text, "0") == 0 || strcmp(text, "false") == 0);
}

struct rt_eio_session *
rt_eio_session_new(struct rt_eio_sessions *set, const struct rt_http_head *h, const char *query,
				   const struct rt_httpconn *c)
{
	struct rt_eio_session *s = rt_alloc(sizeof(*s));

	s->set = set;
	s->latency_us = -1;
	s->ping_interval_ms = set->settings->ping_interval_ms;
	s->ping_timeout_ms = set->settings->ping_timeout_ms;
	s->heartbeat.fn = on_heartbeat;
	s->name = "";
	s->peer = rt_strdup(rt_httpconn_client(c));
	s->share = rt_share_ref(rt_httpconn_address_share(c));
	s->bearer = copy_bearer(h);
	s->query_token = copy_query_token(query);
	s->without_recovery = asks_no_recovery(query);
	rt_id_make(s->sid +
			   snprintf(s->sid, RT_EIO_NUMBER_DIGITS + 2, "%d.", set->settings->number % (RT_EIO_MAX_NUMBER + 1)));
	rt_map_put_str(set->by_sid, s->sid, s);
	return s;
}

void
rt_eio_session_open(struct rt_eio_session *s, struct rt_websocket *ws)
{
	struct rt_eio_sessions *set = s->set;
	char text[256];
	struct rt_frame_part part = {text, 0};
	struct rt_frame *f;

	s->ws = ws;
	if (ws != NULL)
		rt_websocket_set_share(ws, s->share);
	set->traffic->sessions++;
	part.len = (size_t) snprintf(text, sizeof(text),
								 "0{\"sid\":\"%s\",\"upgrades\":[%s],\"pingInterval\":%u,\"pingTimeout\":%u,"
								 "\"maxPayload\":%zu}",
								 s->sid, ws == NULL ? "\"websocket\"" : "", s->ping_interval_ms, s->ping_timeout_ms,
								 set->limits->max_payload_bytes);
	f = rt_frame_new(&part, 1);
	rt_eio_session_send(s, f);
	rt_frame_unref(f);
	rt_wheel_set(set->wheel, &s->heartbeat, s->ping_interval_ms);
	s->owner = set->handler.on_open(set->handler.arg, s);
}

/* ---- whose it is ------------------------------------------------------------------------ */

void
rt_eio_session_admit(struct rt_eio_session *s, const char *user)
{
	struct rt_share *share = rt_share_of_user(s->set->shares, user);

	if (s->ws != NULL)
		rt_websocket_set_share(s->ws, share);
	if (s->probe != NULL)
		rt_websocket_set_share(s->probe->ws, share);
	rt_share_drop(s->share);
	s->share = share;
}

void
rt_eio_session_own(struct rt_eio_session *s, struct rt_httpconn *c)
{
	if (s->share != NULL && !rt_share_is_stranger(s->share))
		rt_httpconn_admit(c, s->share);
}

/* ---- what the layer above asks ---------------------------------------------------------- */

void
rt_eio_session_set_name(struct rt_eio_session *s, const char *name)
{
	s->name = name;
}

struct rt_share *
rt_eio_session_share(const struct rt_eio_session *s)
{
	return s->share;
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

bool
rt_eio_session_without_recovery(const struct rt_eio_session *s)
{
	return s->without_recovery;
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
	return s->queue.bytes + (s->ws != NULL ? rt_websocket_unsent_bytes(s->ws) : 0);
}

int64_t
rt_eio_session_latency_us(const struct rt_eio_session *s)
{
	return s->latency_us;
}

/* ---- refusals ----------------------------------------------------------------------------- */

void
rt_eio_session_refuse(struct rt_httpconn *c, enum rt_eio_error error)
{
	static const char *const messages[] = {"Transport unknown", "Session ID unknown", "Bad handshake method",
										   "Bad request",       "Forbidden",          "Unsupported protocol version"};
	char body[80];
	int n = snprintf(body, sizeof(body), "{\"code\":%d,\"message\":\"%s\"}", (int) error, messages[error]);

	rt_httpconn_reply(c, &(struct rt_http_answer){.status = error == RT_EIO_FORBIDDEN ? 403 : 400,
												  .content_type = "application/json",
												  .body = body,
												  .len = (size_t) n});
}

/* ---- the set ------------------------------------------------------------------------------ */

void
rt_eio_sessions_init(struct rt_eio_sessions *set)
{
	static const struct rt_frame_part ping = {"2", 1};

	set->by_sid = rt_map_new();
	set->ping = rt_frame_new(&ping, 1);
}

void
rt_eio_sessions_fini(struct rt_eio_sessions *set)
{
	struct rt_eio_session *s;
	size_t pos = 0;

	while ((s = rt_map_next(set->by_sid, &pos)) != NULL)
	{
		rt_eio_session_end(s, "server shutting down");
		pos = 0;
	}
	while ((s = take_dirty(set)) != NULL)
		free_session(s);
	rt_map_free(set->by_sid);
	rt_frame_unref(set->ping);
}
