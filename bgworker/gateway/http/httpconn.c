/* httpconn.c: see httpconn.h.  Reading; httpreply.c writes.
 *
 * A connection reads into one buffer: the head, and where its length is known the body behind it; a chunked body is
 * put together in a second one.  While a request is being answered at most PIPELINE_BYTES more are read. */
#include "httpconn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgworker/common/log.h"
#include "httpconn_impl.h"

#define PIPELINE_BYTES 65536
#define HEAD_TIMEOUT_MS 10000   /* from the first byte to the end of the head */
#define BODY_TIMEOUT_MS 60000   /* for the whole body */
#define REPLY_TIMEOUT_MS 120000 /* of the application */
#define LINGER_BYTES (4 << 20)

static struct rt_httpconn *
conn_of(struct rt_wheel_entry *e)
{
	return (struct rt_httpconn *) ((char *) e - offsetof(struct rt_httpconn, timeout));
}

/* ---- the end ------------------------------------------------------------------ */

static void
free_conn(void *arg)
{
	struct rt_httpconn *c = arg;

	rt_buf_fini(&c->in);
	rt_buf_fini(&c->chunked);
	rt_buf_fini(&c->out);
	free(c->headers);
	free(c);
}

void
rt_httpconn_forget_request(struct rt_httpconn *c)
{
	if (c->id != 0)
		rt_map_take(c->server->requests, &c->id, sizeof(c->id));
	c->id = 0;
	c->server->stats->held_bytes -= c->counted;
	c->counted = 0;
	c->owner = NULL;
	c->held = false;
	free(c->headers);
	c->headers = NULL;
}

/* Lets go of everything but the memory; the descriptor is the caller's. */
static void
detach(struct rt_httpconn *c)
{
	struct rt_httpserver *s = c->server;

	c->state = RT_HTTPCONN_CLOSED;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		s->first = c->next;
	rt_wheel_unset(s->wheel, &c->timeout);
	rt_watch_free(c->watch);
	c->watch = NULL;
	rt_httpconn_forget_request(c);
	rt_httpconn_forget_reply(c);
	rt_loop_defer(s->loop, free_conn, c);
}

void
rt_httpconn_close(struct rt_httpconn *c)
{
	struct rt_httpserver *s = c->server;
	bool abandoned = c->owner != NULL;

	if (c->state == RT_HTTPCONN_CLOSED)
		return;
	if (abandoned)
	{
		c->state = RT_HTTPCONN_WRITING; /* a reply from the callback would be too late */
		s->handler.on_abandoned(s->handler.arg, c);
	}
	detach(c);
	close(c->fd);
	s->handler.on_gone(s->handler.gone_arg);
}

/* More than this is never read, since reading stops before; one read may go beyond that. */
static size_t
in_limit(const struct rt_httpserver *s)
{
	return RT_HTTP_MAX_HEAD + PIPELINE_BYTES + s->conf->max_payload_bytes + RT_HTTPCONN_READ_BYTES;
}

void
rt_httpconn_watch(struct rt_httpconn *c)
{
	size_t limit = RT_HTTP_MAX_HEAD + PIPELINE_BYTES;
	int events = 0;

	if (c->state == RT_HTTPCONN_READING_BODY)
		limit += c->server->conf->max_payload_bytes;
	if (!c->eof && rt_buf_len(&c->in) < limit)
		events |= RT_READABLE;
	if (c->state == RT_HTTPCONN_WRITING)
		events |= RT_WRITABLE;
	rt_watch_set(c->watch, events);
}

static void
on_timeout(struct rt_wheel_entry *e)
{
	struct rt_httpconn *c = conn_of(e);

	if (c->state == RT_HTTPCONN_READING_HEAD && rt_buf_len(&c->in) == 0)
	{
		rt_httpconn_close(c);
		return;
	}
	if (c->state == RT_HTTPCONN_READING_HEAD || c->state == RT_HTTPCONN_READING_BODY)
	{
		c->server->stats->http_bad_requests++;
		rt_httpconn_reply(c, &(struct rt_http_reply){.status = 408, .close = true});
		return;
	}
	if (c->state == RT_HTTPCONN_ANSWERING)
		rt_log(RT_LOG_ERROR, "http", "a request was not answered in time");
	rt_httpconn_close(c);
}

/* ---- requests ----------------------------------------------------------------- */

/* The head once more: its spans moved with the buffer as the body came. */
static void
dispatch(struct rt_httpconn *c)
{
	struct rt_httpserver *s = c->server;
	struct rt_http_head head;
	size_t len;
	size_t used;
	int status;
	char *data = rt_buf_peek(&c->in, &len);
	const char *body = data + c->head_len;
	size_t body_len = c->body_len;

	if (rt_http_parse_head(data, c->head_len, &head, &used, &status) != RT_OK)
	{
		rt_httpconn_refuse(c, 400);
		return;
	}
	if (c->is_chunked)
		body = rt_buf_peek(&c->chunked, &body_len);
	c->state = RT_HTTPCONN_ANSWERING;
	rt_wheel_set(s->wheel, &c->timeout, REPLY_TIMEOUT_MS);
	s->handler.on_request(s->handler.arg, c, &head, body, body_len);
}

/* A large body takes its part of what all may hold together as it comes: by what it announces, a few hundred heads
 * would take it all. */
static enum rt_result
count_held(struct rt_httpconn *c)
{
	struct rt_transport_stats *stats = c->server->stats;
	size_t len = rt_buf_len(&c->in) + rt_buf_len(&c->chunked);

	if (len <= PIPELINE_BYTES || len <= c->counted)
		return RT_OK;
	if (stats->held_bytes - c->counted + len > RT_MAX_HELD_BYTES)
		return RT_LIMIT;
	stats->held_bytes += len - c->counted;
	c->counted = len;
	return RT_OK;
}

static void
begin_request(struct rt_httpconn *c, const struct rt_http_head *h, size_t head_len)
{
	struct rt_httpserver *s = c->server;

	s->stats->http_requests++;
	c->client[0] = '\0';
	c->head_len = head_len;
	c->body_len = (size_t) h->content_length;
	c->is_chunked = h->chunked;
	memset(&c->chunks, 0, sizeof(c->chunks));
	c->in.limit_bytes = in_limit(s);
	c->keep_alive = h->keep_alive;
	c->old_version = h->minor == 0;
	c->head_only = h->method_len == 4 && memcmp(h->method, "HEAD", 4) == 0;
	c->id = ++s->last_id;
	rt_map_put(s->requests, &c->id, sizeof(c->id), c);
	if (s->handler.on_head(s->handler.arg, c, h) != RT_HTTP_READ_BODY || c->state != RT_HTTPCONN_READING_HEAD)
		return;
	c->state = RT_HTTPCONN_READING_BODY;
	rt_wheel_set(s->wheel, &c->timeout, BODY_TIMEOUT_MS);
	if (h->expect_continue && rt_buf_len(&c->in) == head_len)
		rt_buf_put_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	if (rt_buf_len(&c->out) > 0 && rt_httpconn_send_out(c) == RT_GONE)
		rt_httpconn_close(c);
}

static void
read_head(struct rt_httpconn *c)
{
	struct rt_http_head head;
	size_t len;
	size_t used;
	int status;
	char *data = rt_buf_peek(&c->in, &len);
	enum rt_result rc;

	if (len == 0)
	{
		if (c->eof)
			rt_httpconn_close(c);
		return;
	}
	/* A head that comes byte by byte is not parsed anew with each of them: only at the end of a line. */
	if (data[len - 1] != '\n' && len < RT_HTTP_MAX_HEAD && memmem(data, len, "\r\n\r\n", 4) == NULL)
		rc = RT_AGAIN;
	else
		rc = rt_http_parse_head(data, len, &head, &used, &status);
	if (rc == RT_OK)
		begin_request(c, &head, used);
	else if (rc != RT_AGAIN)
		rt_httpconn_refuse(c, status);
	else if (c->eof)
		rt_httpconn_close(c);
}

static void
read_chunks(struct rt_httpconn *c)
{
	size_t len;
	size_t used;
	char *data = rt_buf_peek(&c->in, &len);
	enum rt_result rc;

	c->chunked.limit_bytes = c->server->conf->max_payload_bytes;
	rc = rt_http_chunks_feed(&c->chunks, data + c->head_len, len - c->head_len, &used, &c->chunked);
	/* What was decoded goes, the head stays in front. */
	memmove(data + c->head_len, data + c->head_len + used, len - c->head_len - used);
	c->in.end -= used;
	if (rc == RT_OK)
		dispatch(c);
	else if (rc == RT_LIMIT)
		rt_httpconn_refuse(c, 413);
	else if (rc != RT_AGAIN)
		rt_httpconn_refuse(c, 400);
}

static void
read_body(struct rt_httpconn *c)
{
	if (count_held(c) != RT_OK)
		rt_httpconn_refuse(c, 503);
	else if (c->is_chunked)
		read_chunks(c);
	else if (rt_buf_len(&c->in) >= c->head_len + c->body_len)
		dispatch(c);
	if (c->state == RT_HTTPCONN_READING_BODY && c->eof)
		rt_httpconn_close(c);
}

/* Goes on as long as what has been read suffices. */
void
rt_httpconn_process(struct rt_httpconn *c)
{
	enum rt_httpconn_state before;
	uint32_t replies;

	if (c->processing)
		return;
	c->processing = true;
	do
	{
		before = c->state;
		replies = c->replies;
		if (c->state == RT_HTTPCONN_READING_HEAD)
			read_head(c);
		else if (c->state == RT_HTTPCONN_READING_BODY)
			read_body(c);
	} while ((c->state == RT_HTTPCONN_READING_HEAD || c->state == RT_HTTPCONN_READING_BODY) &&
			 (c->state != before || c->replies != replies));
	c->processing = false;
	if (c->state != RT_HTTPCONN_CLOSED)
		rt_httpconn_watch(c);
}

/* ---- bytes -------------------------------------------------------------------- */

static void
take_bytes(struct rt_httpconn *c, const char *data, size_t len)
{
	if (c->state == RT_HTTPCONN_LINGERING)
	{
		c->lingered += len;
		if (c->lingered > LINGER_BYTES)
			rt_httpconn_close(c);
		return;
	}
	c->server->stats->bytes_in += len;
	if (c->state == RT_HTTPCONN_READING_HEAD && rt_buf_len(&c->in) == 0)
		rt_wheel_set(c->server->wheel, &c->timeout, HEAD_TIMEOUT_MS);
	if (rt_buf_put(&c->in, data, len) != RT_OK)
		rt_httpconn_close(c);
	else
		rt_httpconn_process(c);
}

static void
take_end(struct rt_httpconn *c)
{
	c->eof = true;
	if (c->state == RT_HTTPCONN_LINGERING || (c->state == RT_HTTPCONN_ANSWERING && c->held))
		rt_httpconn_close(c);
	else
	{
		rt_httpconn_watch(c);
		rt_httpconn_process(c);
	}
}

static void
read_some(struct rt_httpconn *c)
{
	struct rt_httpserver *s = c->server;
	ssize_t n = recv(c->fd, s->scratch, sizeof(s->scratch), MSG_DONTWAIT);

	if (n > 0)
		take_bytes(c, s->scratch, (size_t) n);
	else if (n == 0)
		take_end(c);
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		rt_httpconn_close(c);
}

static void
on_events(void *arg, int events)
{
	struct rt_httpconn *c = arg;

	if ((events & RT_WRITABLE) != 0 && c->state == RT_HTTPCONN_WRITING)
		rt_httpconn_write_on(c);
	if ((events & RT_READABLE) != 0 && c->state != RT_HTTPCONN_CLOSED)
		read_some(c);
}

/* ---- for the handler ----------------------------------------------------------- */

void
rt_httpserver_add(struct rt_httpserver *s, int fd, const char *peer, const char *data, size_t len)
{
	struct rt_httpconn *c = rt_alloc(sizeof(*c));

	c->server = s;
	c->fd = fd;
	c->timeout.fn = on_timeout;
	snprintf(c->peer, sizeof(c->peer), "%s", peer);
	rt_buf_init(&c->in, in_limit(s));
	rt_buf_init(&c->chunked, s->conf->max_payload_bytes);
	rt_buf_init(&c->out, SIZE_MAX / 2); /* replies are of sizes that we choose */
	c->next = s->first;
	if (s->first != NULL)
		s->first->prev = c;
	s->first = c;
	c->watch = rt_watch_new(s->loop, fd, on_events, c);
	if (c->watch == NULL)
	{
		rt_httpconn_close(c);
		return;
	}
	rt_wheel_set(s->wheel, &c->timeout, HEAD_TIMEOUT_MS);
	rt_httpconn_watch(c);
	if (len > 0)
		take_bytes(c, data, len);
}

int
rt_httpconn_take(struct rt_httpconn *c, bool with_head, const char **data, size_t *len)
{
	int fd = c->fd;

	*data = rt_buf_peek(&c->in, len);
	if (!with_head)
	{
		*data += c->head_len;
		*len -= c->head_len;
	}
	detach(c);
	return fd;
}

const char *
rt_httpconn_peer(const struct rt_httpconn *c)
{
	return c->peer;
}

void
rt_httpconn_set_client(struct rt_httpconn *c, const char *client)
{
	snprintf(c->client, sizeof(c->client), "%s", client);
}

const char *
rt_httpconn_client(const struct rt_httpconn *c)
{
	return c->client[0] != '\0' ? c->client : c->peer;
}

void
rt_httpconn_set_owner(struct rt_httpconn *c, void *owner)
{
	c->owner = owner;
}

void *
rt_httpconn_owner(const struct rt_httpconn *c)
{
	return c->owner;
}

void
rt_httpconn_hold(struct rt_httpconn *c)
{
	c->held = true;
	rt_wheel_unset(c->server->wheel, &c->timeout);
	if (c->eof)
		rt_httpconn_close(c);
}

void
rt_httpconn_set_headers(struct rt_httpconn *c, char *headers)
{
	free(c->headers);
	c->headers = headers;
}

uint64_t
rt_httpconn_id(const struct rt_httpconn *c)
{
	return c->id;
}

struct rt_httpconn *
rt_httpserver_find(const struct rt_httpserver *s, uint64_t id)
{
	return rt_map_find(s->requests, &id, sizeof(id));
}

struct rt_httpserver *
rt_httpserver_new(struct rt_loop *l, struct rt_wheel *w, const struct rt_transport_options *conf,
				  struct rt_transport_stats *stats, const struct rt_http_handler *handler)
{
	struct rt_httpserver *s = rt_alloc(sizeof(*s));

	s->loop = l;
	s->wheel = w;
	s->conf = conf;
	s->stats = stats;
	s->handler = *handler;
	s->requests = rt_map_new();
	return s;
}

void
rt_httpserver_drain(struct rt_httpserver *s)
{
	struct rt_httpconn *next;

	s->draining = true;
	for (struct rt_httpconn *c = s->first; c != NULL; c = next)
	{
		next = c->next;
		if (c->state == RT_HTTPCONN_READING_HEAD && rt_buf_len(&c->in) == 0)
			rt_httpconn_close(c);
	}
}

void
rt_httpserver_free(struct rt_httpserver *s)
{
	if (s == NULL)
		return;
	while (s->first != NULL)
	{
		s->first->owner = NULL; /* whoever held the request is gone */
		rt_httpconn_close(s->first);
	}
	rt_map_free(s->requests);
	free(s);
}
