/* httpconn.c: see httpconn.h.
 *
 * A connection reads into one buffer: the head, and where its length is known the body behind it; a chunked body is
 * put together in a second one.  While a request is being answered at most PIPELINE_BYTES more are read. */
#include "httpconn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "../common/buf.h"
#include "../common/log.h"
#include "../common/loop.h"
#include "../common/map.h"
#include "../common/wheel.h"

#define READ_BYTES 65536
#define PIPELINE_BYTES 65536
#define HEAD_TIMEOUT_MS 10000     /* from the first byte to the end of the head */
#define BODY_TIMEOUT_MS 60000     /* for the whole body */
#define IDLE_TIMEOUT_MS 65000     /* between two requests; what Keep-Alive announces is below it */
#define REPLY_TIMEOUT_MS 120000   /* of the application */
#define WRITE_TIMEOUT_MS 30000    /* without any progress */
#define LINGER_TIMEOUT_MS 2000    /* after the last reply, so that it is read before the connection is reset */
#define LINGER_BYTES (4 << 20)
#define REPLY_HEAD_BYTES 1024     /* besides the further headers */

enum state
{
	READING_HEAD,
	READING_BODY,
	ANSWERING, /* the handler has the request */
	WRITING,   /* the reply is not yet all with the kernel */
	LINGERING, /* our side is shut down, what comes is thrown away */
	CLOSED     /* freed when the turn ends */
};

struct rt_httpconn
{
	struct rt_httpserver *server;
	struct rt_httpconn *next; /* of all connections */
	struct rt_httpconn *prev;
	struct rt_watch *watch;
	int fd;
	enum state state;
	uint64_t id; /* of the current request; 0: none */
	struct rt_wheel_entry timeout;
	struct rt_buf in;
	struct rt_buf chunked; /* decoded body */
	struct rt_http_chunks chunks;
	struct rt_buf out;
	const char *tail; /* static body that follows `out` */
	size_t tail_len;
	size_t head_len;
	size_t body_len; /* with a known length */
	size_t lingered;
	uint32_t replies; /* after which the connection went on */
	void *owner;
	char *headers;
	bool is_chunked;
	bool keep_alive;
	bool old_version; /* HTTP/1.0 */
	bool head_only;
	bool held;
	bool eof;
	bool processing; /* process() is on the stack */
	bool resuming;   /* process() is deferred */
	char peer[46];
};

struct rt_httpserver
{
	struct rt_loop *loop;
	struct rt_wheel *wheel;
	const struct rt_transport_options *conf;
	struct rt_transport_stats *stats;
	struct rt_http_handler handler;
	struct rt_map *requests; /* by id, those that are being answered */
	struct rt_httpconn *first;
	uint64_t last_id;
	bool draining;
	time_t date_at;
	char date[32];
	char scratch[READ_BYTES];
};

static void process(struct rt_httpconn *c);

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

static void
forget_request(struct rt_httpconn *c)
{
	if (c->id != 0)
		rt_map_take(c->server->requests, &c->id, sizeof c->id);
	c->id = 0;
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

	c->state = CLOSED;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		s->first = c->next;
	rt_wheel_unset(s->wheel, &c->timeout);
	rt_watch_free(c->watch);
	c->watch = NULL;
	forget_request(c);
	rt_loop_defer(s->loop, free_conn, c);
}

static void
close_conn(struct rt_httpconn *c)
{
	struct rt_httpserver *s = c->server;
	bool abandoned = c->owner != NULL;

	if (c->state == CLOSED)
		return;
	if (abandoned)
	{
		c->state = WRITING; /* a reply from the callback would be too late */
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
	return RT_HTTP_MAX_HEAD + PIPELINE_BYTES + s->conf->max_payload_bytes + READ_BYTES;
}

static void
watch_for(struct rt_httpconn *c)
{
	size_t limit = RT_HTTP_MAX_HEAD + PIPELINE_BYTES;
	int events = 0;

	if (c->state == READING_BODY)
		limit += c->server->conf->max_payload_bytes;
	if (!c->eof && rt_buf_len(&c->in) < limit)
		events |= RT_READABLE;
	if (c->state == WRITING)
		events |= RT_WRITABLE;
	rt_watch_set(c->watch, events);
}

/* Sends our end of stream and waits a little for the peer's: a reset would take the reply away from it. */
static void
linger(struct rt_httpconn *c)
{
	if (c->eof || shutdown(c->fd, SHUT_WR) != 0)
	{
		close_conn(c);
		return;
	}
	c->state = LINGERING;
	rt_buf_fini(&c->in);
	rt_wheel_set(c->server->wheel, &c->timeout, LINGER_TIMEOUT_MS);
	watch_for(c);
}

static void
on_timeout(struct rt_wheel_entry *e)
{
	struct rt_httpconn *c = conn_of(e);

	if (c->state == READING_HEAD && rt_buf_len(&c->in) == 0)
	{
		close_conn(c);
		return;
	}
	if (c->state == READING_HEAD || c->state == READING_BODY)
	{
		c->server->stats->http_bad_requests++;
		rt_httpconn_reply(c, &(struct rt_http_reply){.status = 408, .close = true});
		return;
	}
	if (c->state == ANSWERING)
		rt_log(RT_LOG_ERROR, "http", "a request was not answered in time");
	close_conn(c);
}

/* ---- replies ------------------------------------------------------------------ */

static const char *
reason_of(int status)
{
	static const struct
	{
		int status;
		const char *reason;
	} reasons[] = {{200, "OK"},
	               {201, "Created"},
	               {204, "No Content"},
	               {304, "Not Modified"},
	               {400, "Bad Request"},
	               {401, "Unauthorized"},
	               {403, "Forbidden"},
	               {404, "Not Found"},
	               {405, "Method Not Allowed"},
	               {408, "Request Timeout"},
	               {409, "Conflict"},
	               {410, "Gone"},
	               {413, "Content Too Large"},
	               {429, "Too Many Requests"},
	               {431, "Request Header Fields Too Large"},
	               {500, "Internal Server Error"},
	               {501, "Not Implemented"},
	               {503, "Service Unavailable"},
	               {505, "HTTP Version Not Supported"}};

	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

static const char *
date_of(struct rt_httpserver *s)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now != s->date_at)
	{
		gmtime_r(&now, &tm);
		strftime(s->date, sizeof s->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		s->date_at = now;
	}
	return s->date;
}

static void
put_head(struct rt_httpconn *c, const struct rt_http_reply *r)
{
	char line[REPLY_HEAD_BYTES];
	const char *connection = "";
	int n;

	if (!c->keep_alive)
		connection = "Connection: close\r\n";
	else if (c->old_version)
		connection = "Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n";
	else
		connection = "Keep-Alive: timeout=60\r\n";
	n = snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s", r->status, reason_of(r->status),
	             date_of(c->server), connection);
	rt_buf_put(&c->out, line, (size_t) n);
	if (r->content_type != NULL)
	{
		rt_buf_put_str(&c->out, "Content-Type: ");
		rt_buf_put_str(&c->out, r->content_type);
		rt_buf_put_str(&c->out, "\r\n");
	}
	if (r->status != 204 && r->status != 304)
	{
		n = snprintf(line, sizeof line, "Content-Length: %zu\r\n", r->len);
		rt_buf_put(&c->out, line, (size_t) n);
	}
	if (c->headers != NULL)
		rt_buf_put_str(&c->out, c->headers);
	if (r->headers != NULL)
		rt_buf_put_str(&c->out, r->headers);
	rt_buf_put_str(&c->out, "\r\n");
}

/* Hands the kernel what it takes of `out` and `tail`. */
static enum rt_result
send_out(struct rt_httpconn *c)
{
	for (;;)
	{
		struct iovec parts[2];
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
		size_t out_len;
		ssize_t n;

		parts[0].iov_base = rt_buf_peek(&c->out, &out_len);
		parts[0].iov_len = out_len;
		parts[1].iov_base = (void *) c->tail;
		parts[1].iov_len = c->tail_len;
		if (out_len + c->tail_len == 0)
			return RT_OK;
		n = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? RT_AGAIN : RT_GONE;
		c->server->stats->bytes_out += (uint64_t) n;
		if ((size_t) n <= out_len)
			rt_buf_drop(&c->out, (size_t) n);
		else
		{
			rt_buf_drop(&c->out, out_len);
			c->tail += (size_t) n - out_len;
			c->tail_len -= (size_t) n - out_len;
		}
	}
}

static void
resume(void *arg)
{
	struct rt_httpconn *c = arg;

	c->resuming = false;
	if (c->state == READING_HEAD)
		process(c);
}

/* The reply is with the kernel: on to the next request. */
static void
finish_reply(struct rt_httpconn *c)
{
	if (!c->keep_alive)
	{
		linger(c);
		return;
	}
	c->state = READING_HEAD;
	c->replies++;
	rt_wheel_set(c->server->wheel, &c->timeout, IDLE_TIMEOUT_MS);
	watch_for(c);
	/* What the peer has sent already is taken up when the caller, who may be the application, is done. */
	if (!c->processing && !c->resuming && (rt_buf_len(&c->in) > 0 || c->eof))
	{
		c->resuming = true;
		rt_loop_defer(c->server->loop, resume, c);
	}
}

static void
write_on(struct rt_httpconn *c)
{
	enum rt_result rc = send_out(c);

	if (rc == RT_OK)
		finish_reply(c);
	else if (rc == RT_AGAIN)
	{
		rt_wheel_set(c->server->wheel, &c->timeout, WRITE_TIMEOUT_MS);
		watch_for(c);
	}
	else
		close_conn(c);
}

/* The request's bytes are done with.  What is left of a body that was not read would be taken for a request, so then
 * the connection must end. */
static void
drop_request(struct rt_httpconn *c)
{
	bool unread = c->state != ANSWERING && (c->is_chunked || c->body_len > 0);

	if (unread)
		c->keep_alive = false;
	else if (c->is_chunked)
		rt_buf_drop(&c->in, c->head_len);
	else
		rt_buf_drop(&c->in, c->head_len + c->body_len);
	rt_buf_fini(&c->chunked);
}

/* Near the limit connections are not kept for their own sake. */
static bool
is_crowded(const struct rt_httpserver *s)
{
	return s->stats->connections * 10 > (uint64_t) s->conf->max_connections * 9;
}

void
rt_httpconn_reply(struct rt_httpconn *c, const struct rt_http_reply *r)
{
	if (c->state == CLOSED || c->state == WRITING || c->state == LINGERING)
		return;
	drop_request(c);
	if (r->close || c->eof || c->server->draining || is_crowded(c->server))
		c->keep_alive = false;
	put_head(c, r);
	c->tail = c->head_only ? NULL : r->body;
	c->tail_len = c->head_only || r->body == NULL ? 0 : r->len;
	c->state = WRITING;
	forget_request(c);
	write_on(c);
	if (c->state == WRITING && !r->body_is_static && c->tail_len > 0)
	{
		rt_buf_put(&c->out, c->tail, c->tail_len);
		c->tail_len = 0;
	}
}

/* ---- requests ----------------------------------------------------------------- */

static void
refuse(struct rt_httpconn *c, int status)
{
	char body[128];
	int n;

	c->server->stats->http_bad_requests++;
	rt_log(RT_LOG_DEBUG, "http", "peer=%s: bad request, %d", c->peer, status);
	n = snprintf(body, sizeof body, "{\"success\":false,\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}",
	             status == 413 ? "too_large" : "bad_request", reason_of(status));
	rt_httpconn_reply(c, &(struct rt_http_reply){.status = status,
	                                             .content_type = "application/json",
	                                             .body = body,
	                                             .len = (size_t) n,
	                                             .close = true});
}

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
		refuse(c, 400);
		return;
	}
	if (c->is_chunked)
		body = rt_buf_peek(&c->chunked, &body_len);
	c->state = ANSWERING;
	rt_wheel_set(s->wheel, &c->timeout, REPLY_TIMEOUT_MS);
	s->handler.on_request(s->handler.arg, c, &head, body, body_len);
}

static void
begin_request(struct rt_httpconn *c, const struct rt_http_head *h, size_t head_len)
{
	struct rt_httpserver *s = c->server;

	s->stats->http_requests++;
	c->head_len = head_len;
	c->body_len = (size_t) h->content_length;
	c->is_chunked = h->chunked;
	memset(&c->chunks, 0, sizeof c->chunks);
	c->in.limit_bytes = in_limit(s);
	c->keep_alive = h->keep_alive;
	c->old_version = h->minor == 0;
	c->head_only = h->method_len == 4 && memcmp(h->method, "HEAD", 4) == 0;
	c->id = ++s->last_id;
	rt_map_put(s->requests, &c->id, sizeof c->id, c);
	if (s->handler.on_head(s->handler.arg, c, h) != RT_HTTP_READ_BODY || c->state != READING_HEAD)
		return;
	c->state = READING_BODY;
	rt_wheel_set(s->wheel, &c->timeout, BODY_TIMEOUT_MS);
	if (h->expect_continue && rt_buf_len(&c->in) == head_len)
		rt_buf_put_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	if (rt_buf_len(&c->out) > 0 && send_out(c) == RT_GONE)
		close_conn(c);
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
			close_conn(c);
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
		refuse(c, status);
	else if (c->eof)
		close_conn(c);
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
		refuse(c, 413);
	else if (rc != RT_AGAIN)
		refuse(c, 400);
}

static void
read_body(struct rt_httpconn *c)
{
	if (c->is_chunked)
		read_chunks(c);
	else if (rt_buf_len(&c->in) >= c->head_len + c->body_len)
		dispatch(c);
	if (c->state == READING_BODY && c->eof)
		close_conn(c);
}

/* Goes on as long as what has been read suffices. */
static void
process(struct rt_httpconn *c)
{
	enum state before;
	uint32_t replies;

	if (c->processing)
		return;
	c->processing = true;
	do
	{
		before = c->state;
		replies = c->replies;
		if (c->state == READING_HEAD)
			read_head(c);
		else if (c->state == READING_BODY)
			read_body(c);
	} while ((c->state == READING_HEAD || c->state == READING_BODY) && (c->state != before || c->replies != replies));
	c->processing = false;
	if (c->state != CLOSED)
		watch_for(c);
}

/* ---- bytes -------------------------------------------------------------------- */

static void
take_bytes(struct rt_httpconn *c, const char *data, size_t len)
{
	if (c->state == LINGERING)
	{
		c->lingered += len;
		if (c->lingered > LINGER_BYTES)
			close_conn(c);
		return;
	}
	c->server->stats->bytes_in += len;
	if (c->state == READING_HEAD && rt_buf_len(&c->in) == 0)
		rt_wheel_set(c->server->wheel, &c->timeout, HEAD_TIMEOUT_MS);
	if (rt_buf_put(&c->in, data, len) != RT_OK)
		close_conn(c);
	else
		process(c);
}

static void
take_end(struct rt_httpconn *c)
{
	c->eof = true;
	if (c->state == LINGERING || (c->state == ANSWERING && c->held))
		close_conn(c);
	else
	{
		watch_for(c);
		process(c);
	}
}

static void
read_some(struct rt_httpconn *c)
{
	struct rt_httpserver *s = c->server;
	ssize_t n = recv(c->fd, s->scratch, sizeof s->scratch, MSG_DONTWAIT);

	if (n > 0)
		take_bytes(c, s->scratch, (size_t) n);
	else if (n == 0)
		take_end(c);
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		close_conn(c);
}

static void
on_events(void *arg, int events)
{
	struct rt_httpconn *c = arg;

	if ((events & RT_WRITABLE) != 0 && c->state == WRITING)
		write_on(c);
	if ((events & RT_READABLE) != 0 && c->state != CLOSED)
		read_some(c);
}

/* ---- for the handler ----------------------------------------------------------- */

void
rt_httpserver_add(struct rt_httpserver *s, int fd, const char *peer, const char *data, size_t len)
{
	struct rt_httpconn *c = rt_alloc(sizeof *c);

	c->server = s;
	c->fd = fd;
	c->timeout.fn = on_timeout;
	snprintf(c->peer, sizeof c->peer, "%s", peer);
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
		close_conn(c);
		return;
	}
	rt_wheel_set(s->wheel, &c->timeout, HEAD_TIMEOUT_MS);
	watch_for(c);
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
		close_conn(c);
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
	return rt_map_find(s->requests, &id, sizeof id);
}

struct rt_httpserver *
rt_httpserver_new(struct rt_loop *l, struct rt_wheel *w, const struct rt_transport_options *conf,
                  struct rt_transport_stats *stats, const struct rt_http_handler *handler)
{
	struct rt_httpserver *s = rt_alloc(sizeof *s);

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
		if (c->state == READING_HEAD && rt_buf_len(&c->in) == 0)
			close_conn(c);
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
		close_conn(s->first);
	}
	rt_map_free(s->requests);
	free(s);
}
