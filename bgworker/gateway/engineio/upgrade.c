/* upgrade.c: websockets of Engine.IO: a session that begins on one, and one on polling that moves to one.
 *
 * The move: the client opens a websocket with its session's id and sends "2probe"; we answer "3probe" and end the GET
 * that waits, so that the client can stop polling; then it sends "5" and the session is on the websocket.  Until
 * then packets go by polling, so none is lost or doubled.  Anything else on the probe's websocket ends the probe
 * alone: the session goes on polling.
 *
 * engineio.c calls this for a request, websocket.c for what comes afterwards; the state is eio_session.c's. */
#include "upgrade.h"

#include <string.h>

#define KEY_LEN 24 /* of Sec-WebSocket-Key: 16 bytes in base64 (RFC 6455, section 4.1) */
#define MAX_SUBPROTOCOL 100

/* ---- the probe's conversation ---------------------------------------------------- */

/* Past the session's queue, which still belongs to polling. */
static void
answer_probe(struct rt_eio_session *s)
{
	static const char text[] = "3probe";
	struct rt_frame_part part = {text, sizeof(text) - 1};
	struct rt_frame *f = rt_frame_new(&part, 1);
	struct rt_outq q = {0};

	rt_outq_push(&q, f, SIZE_MAX);
	rt_frame_unref(f);
	if (rt_websocket_flush(s->probe->ws, &q) == RT_GONE)
		rt_eio_session_drop_probe(s);
	else
	{
		s->probe->answered = true;
		rt_eio_session_mark_dirty(s);
	}
	rt_outq_fini(&q);
}

static void
take_probe_message(struct rt_eio_session *s, const char *data, size_t len, bool binary)
{
	if (s->probe == NULL)
		return;
	if (!binary && len == 6 && memcmp(data, "2probe", 6) == 0)
		answer_probe(s);
	else if (!binary && len == 1 && data[0] == '5' && s->probe->answered)
		rt_eio_session_move(s);
	else
		rt_eio_session_drop_probe(s);
}

/* ---- what websocket.c calls ------------------------------------------------------- */

void
rt_upgrade_on_message(void *owner, struct rt_websocket *ws, const char *data, size_t len, bool binary)
{
	struct rt_eio_session *s = owner;

	if (ws != s->ws)
		take_probe_message(s, data, len, binary);
	else if (rt_eio_session_is_ending(s))
		return;
	else if (binary)
		rt_eio_session_binary(s, data, len);
	else
		rt_eio_session_packet(s, data, len);
}

void
rt_upgrade_on_writable(void *owner, struct rt_websocket *ws)
{
	struct rt_eio_session *s = owner;

	if (ws == s->ws)
		rt_eio_session_flush(s);
}

void
rt_upgrade_on_closed(void *owner, struct rt_websocket *ws)
{
	rt_eio_session_lose_websocket(owner, ws);
}

/* ---- requests ------------------------------------------------------------------- */

/* RFC 6455, section 4.2.1. */
static bool
is_websocket_request(const struct rt_http_head *h, struct rt_websocket_request *r)
{
	const struct rt_http_header *key = rt_http_find_header(h, "sec-websocket-key");
	const struct rt_http_header *version = rt_http_find_header(h, "sec-websocket-version");
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

	if (h->minor < 1 || h->chunked || h->content_length > 0 || !rt_http_header_has_token(h, "connection", "upgrade"))
		return false;
	if (version == NULL || version->value_len != 2 || memcmp(version->value, "13", 2) != 0)
		return false;
	if (key == NULL || key->value_len != KEY_LEN || strspn(key->value, digits) < KEY_LEN)
		return false;
	r->key = key->value;
	return true;
}

/* Browsers break the connection off when they asked for subprotocols and none is confirmed: the first one is. */
static void
choose_subprotocol(const struct rt_http_head *h, struct rt_websocket_request *r)
{
	const struct rt_http_header *header = rt_http_find_header(h, "sec-websocket-protocol");
	size_t len;

	if (header == NULL)
		return;
	for (len = 0; len < header->value_len && strchr(", \t", header->value[len]) == NULL; len++)
		continue;
	if (len == 0 || len > MAX_SUBPROTOCOL)
		return;
	r->protocol = header->value;
	r->protocol_len = len;
}

enum rt_http_verdict
rt_upgrade_begin(struct rt_eio_sessions *set, struct rt_websocket_server *server, struct rt_eio_session *s,
				 struct rt_httpconn *c, const struct rt_http_head *h, const char *query)
{
	struct rt_websocket_request r = {0};
	bool probing = s != NULL;
	struct rt_websocket *ws;
	int fd;

	if (!is_websocket_request(h, &r))
	{
		rt_eio_session_refuse(c, RT_EIO_BAD_REQUEST);
		return RT_HTTP_ANSWERED;
	}
	choose_subprotocol(h, &r);
	r.headers = rt_httpconn_always(c);
	if (!probing)
		s = rt_eio_session_new(set, h, query, c);
	fd = rt_httpconn_take(c, false, &r.rest, &r.rest_len);
	ws = rt_websocket_adopt(server, fd, &r, s);
	if (ws == NULL && !probing)
		rt_eio_session_discard(s);
	else if (ws != NULL && probing)
		rt_eio_session_set_probe(s, ws);
	else if (ws != NULL)
		rt_eio_session_open(s, ws);
	return RT_HTTP_TAKEN;
}
