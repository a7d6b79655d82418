/* upgrade.c: websockets of Engine.IO: a session that begins on one, and one on polling that moves to one.
 *
 * The move: the client opens a websocket with its session's id and sends "2probe"; we answer "3probe" and end the GET
 * that waits, so that the client can stop polling; then it sends "5" and the session is on the websocket.  Until
 * then packets go by polling, so none is lost or doubled. */
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/log.h"
#include "eio_session.h"

#define UPGRADE_TIMEOUT_MS 10000
#define KEY_LEN 24

static void
free_probe(void *arg)
{
	free(arg);
}

static void
drop_probe(struct rt_eio_session *s)
{
	struct rt_probe *probe = s->probe;

	s->probe = NULL;
	rt_wheel_unset(s->eio->wheel, &probe->timeout);
	rt_loop_defer(s->eio->loop, free_probe, probe);
}

void
rt_upgrade_end(struct rt_eio_session *s)
{
	struct rt_ws *ws;

	if (s->probe == NULL)
		return;
	ws = s->probe->ws;
	drop_probe(s);
	if (ws != NULL)
		rt_ws_close(ws, RT_WS_NORMAL);
}

static void
on_probe_timeout(struct rt_wheel_entry *entry)
{
	struct rt_probe *probe = (struct rt_probe *) ((char *) entry - offsetof(struct rt_probe, timeout));

	rt_upgrade_end(probe->session);
}

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
	if (rt_ws_flush(s->probe->ws, &q) == RT_GONE)
		rt_upgrade_end(s);
	else
	{
		s->probe->answered = true;
		rt_eio_session_mark_dirty(s);
	}
	rt_outq_fini(&q);
}

static void
complete(struct rt_eio_session *s)
{
	s->ws = s->probe->ws;
	drop_probe(s);
	s->eio->stats->upgrades++;
	rt_polling_end(s, true);
	rt_eio_session_mark_dirty(s);
}

void
rt_upgrade_message(struct rt_eio_session *s, const char *data, size_t len, bool binary)
{
	if (s->probe == NULL)
		return;
	if (!binary && len == 6 && memcmp(data, "2probe", 6) == 0)
		answer_probe(s);
	else if (!binary && len == 1 && data[0] == '5' && s->probe->answered)
		complete(s);
	else
		rt_upgrade_end(s);
}

/* RFC 6455, section 4.2.1. */
static bool
is_websocket_request(const struct rt_http_head *h, struct rt_ws_request *r)
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
choose_subprotocol(const struct rt_http_head *h, struct rt_ws_request *r)
{
	const struct rt_http_header *header = rt_http_find_header(h, "sec-websocket-protocol");
	size_t len;

	if (header == NULL)
		return;
	for (len = 0; len < header->value_len && strchr(", \t", header->value[len]) == NULL; len++)
		continue;
	if (len == 0 || len > 100)
		return;
	r->protocol = header->value;
	r->protocol_len = len;
}

static struct rt_probe *
new_probe(struct rt_eio_session *s)
{
	struct rt_probe *probe = rt_alloc(sizeof(*probe));

	probe->session = s;
	probe->timeout.fn = on_probe_timeout;
	rt_wheel_set(s->eio->wheel, &probe->timeout, UPGRADE_TIMEOUT_MS);
	return probe;
}

enum rt_http_verdict
rt_upgrade_begin(struct rt_eio *e, struct rt_eio_session *s, struct rt_httpconn *c, const struct rt_http_head *h,
				 const char *query)
{
	struct rt_ws_request r = {0};
	bool probing = s != NULL;
	struct rt_ws *ws;
	int fd;

	if (!is_websocket_request(h, &r))
	{
		rt_eio_refuse(c, RT_EIO_BAD_REQUEST);
		return RT_HTTP_ANSWERED;
	}
	choose_subprotocol(h, &r);
	if (!probing)
		s = rt_eio_session_new(e, h, query, rt_httpconn_client(c));
	fd = rt_httpconn_take(c, false, &r.rest, &r.rest_len);
	ws = rt_ws_adopt(e->ws_server, fd, &r, s);
	if (ws == NULL)
	{
		if (!probing)
			rt_eio_session_discard(s);
		return RT_HTTP_TAKEN;
	}
	if (probing)
	{
		s->probe = new_probe(s);
		s->probe->ws = ws;
		return RT_HTTP_TAKEN;
	}
	s->ws = ws;
	rt_eio_session_open(s);
	return RT_HTTP_TAKEN;
}
