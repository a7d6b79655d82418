/* httpreply.c: replies of HTTP connections; see httpconn.h.
 *
 * The kernel gets at once what it takes; the rest waits in the connection, but for static bodies, which are sent from
 * where they lie. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "bgworker/common/log.h"
#include "httpconn_impl.h"

#define IDLE_TIMEOUT_MS 65000  /* between two requests; what Keep-Alive announces is below it */
#define WRITE_TIMEOUT_MS 30000 /* for each WRITE_STEP_BYTES, so that byte by byte nobody keeps a reply for ever */
#define WRITE_STEP_BYTES 262144
#define LINGER_TIMEOUT_MS 2000 /* after the last reply, so that it is read before the connection is reset */
#define REPLY_HEAD_BYTES 1024  /* besides the further headers */

/* Sends our end of stream and waits a little for the peer's: a reset would take the reply away from it. */
static void
linger(struct rt_httpconn *c)
{
	if (c->eof || shutdown(c->fd, SHUT_WR) != 0)
	{
		rt_httpconn_close(c);
		return;
	}
	c->state = RT_HTTPCONN_LINGERING;
	rt_buf_fini(&c->in);
	rt_wheel_set(c->server->wheel, &c->timeout, LINGER_TIMEOUT_MS);
	rt_httpconn_watch(c);
}

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

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
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
		strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
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
	n = snprintf(line, sizeof(line), "HTTP/1.1 %d %s\r\nDate: %s\r\n%s", r->status, reason_of(r->status),
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
		n = snprintf(line, sizeof(line), "Content-Length: %zu\r\n", r->len);
		rt_buf_put(&c->out, line, (size_t) n);
	}
	if (c->headers != NULL)
		rt_buf_put_str(&c->out, c->headers);
	if (r->headers != NULL)
		rt_buf_put_str(&c->out, r->headers);
	rt_buf_put_str(&c->out, "\r\n");
}

/* Hands the kernel what it takes of `out` and `tail`. */
enum rt_result
rt_httpconn_send_out(struct rt_httpconn *c)
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
	if (c->state == RT_HTTPCONN_READING_HEAD)
		rt_httpconn_process(c);
}

void
rt_httpconn_forget_reply(struct rt_httpconn *c)
{
	c->server->stats->unsent_bytes -= c->unsent;
	c->unsent = 0;
}

/* The reply is with the kernel: on to the next request. */
static void
finish_reply(struct rt_httpconn *c)
{
	rt_httpconn_forget_reply(c);
	if (!c->keep_alive)
	{
		linger(c);
		return;
	}
	c->state = RT_HTTPCONN_READING_HEAD;
	c->replies++;
	rt_wheel_set(c->server->wheel, &c->timeout, IDLE_TIMEOUT_MS);
	rt_httpconn_watch(c);
	/* What the peer has sent already is taken up when the caller, who may be the application, is done. */
	if (!c->processing && !c->resuming && (rt_buf_len(&c->in) > 0 || c->eof))
	{
		c->resuming = true;
		rt_loop_defer(c->server->loop, resume, c);
	}
}

static void
await_reader(struct rt_httpconn *c)
{
	size_t left = rt_buf_len(&c->out) + c->tail_len;

	if (left <= c->write_goal)
	{
		c->write_goal = left > WRITE_STEP_BYTES ? left - WRITE_STEP_BYTES : 0;
		rt_wheel_set(c->server->wheel, &c->timeout, WRITE_TIMEOUT_MS);
	}
	rt_httpconn_watch(c);
}

void
rt_httpconn_write_on(struct rt_httpconn *c)
{
	enum rt_result rc = rt_httpconn_send_out(c);

	if (rc == RT_OK)
		finish_reply(c);
	else if (rc == RT_AGAIN)
		await_reader(c);
	else
		rt_httpconn_close(c);
}

/* What the kernel did not take of a body that the caller frees. */
static void
keep_tail(struct rt_httpconn *c)
{
	struct rt_transport_stats *stats = c->server->stats;

	if (stats->unsent_bytes + c->tail_len > RT_MAX_UNSENT_BYTES)
	{
		stats->cut_off++;
		rt_log(RT_LOG_DEBUG, "http", "peer=%s: cut off: too much waits for slow readers", c->peer);
		rt_httpconn_close(c);
		return;
	}
	rt_buf_put(&c->out, c->tail, c->tail_len);
	c->unsent = c->tail_len;
	stats->unsent_bytes += c->unsent;
	c->tail_len = 0;
}

/* The request's bytes are done with.  What is left of a body that was not read would be taken for a request, so then
 * the connection must end. */
static void
drop_request(struct rt_httpconn *c)
{
	bool unread = c->state != RT_HTTPCONN_ANSWERING && (c->is_chunked || c->body_len > 0);

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
	if (c->state == RT_HTTPCONN_CLOSED || c->state == RT_HTTPCONN_WRITING || c->state == RT_HTTPCONN_LINGERING)
		return;
	drop_request(c);
	if (r->close || c->eof || c->server->draining || is_crowded(c->server))
		c->keep_alive = false;
	put_head(c, r);
	c->tail = c->head_only ? NULL : r->body;
	c->tail_len = c->head_only || r->body == NULL ? 0 : r->len;
	c->state = RT_HTTPCONN_WRITING;
	c->write_goal = SIZE_MAX;
	rt_httpconn_forget_request(c);
	rt_httpconn_write_on(c);
	if (c->state == RT_HTTPCONN_WRITING && !r->body_is_static && c->tail_len > 0)
		keep_tail(c);
}

void
rt_httpconn_refuse(struct rt_httpconn *c, int status)
{
	char body[128];
	int n;

	c->server->stats->http_bad_requests++;
	rt_log(RT_LOG_DEBUG, "http", "peer=%s: bad request, %d", c->peer, status);
	n = snprintf(body, sizeof(body), "{\"success\":false,\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}",
				 status == 413   ? "too_large"
				 : status == 503 ? "unavailable"
								 : "bad_request",
				 reason_of(status));
	rt_httpconn_reply(
		c, &(struct rt_http_reply){
			   .status = status, .content_type = "application/json", .body = body, .len = (size_t) n, .close = true});
}
