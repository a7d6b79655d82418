/* httpreply.c: writes the head of a reply and sends it with its body.
 *
 * The kernel gets at once what it takes.  A body that the caller frees is copied only as far as the kernel did not
 * take it; a static one is sent from where it lies.  Only httpconn.c calls this: it decides when there may be a
 * reply, and counts what waits. */
#include "httpreply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define HEAD_BYTES 1024 /* of a line or two; further headers come besides */

void
rt_httpreply_init(struct rt_httpreply *r)
{
	rt_buf_init(&r->out, SIZE_MAX / 2); /* replies are of sizes that we choose */
	r->tail = NULL;
	r->tail_len = 0;
}

void
rt_httpreply_fini(struct rt_httpreply *r)
{
	rt_buf_fini(&r->out);
	r->tail = NULL;
	r->tail_len = 0;
}

const char *
rt_httpreply_reason(int status)
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

void
rt_httpreply_put_continue(struct rt_httpreply *r)
{
	rt_buf_put_str(&r->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

static const char *
connection_header(const struct rt_httpreply_context *x)
{
	if (!x->keep_alive)
		return "Connection: close\r\n";
	return x->old_version ? "Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n" : "Keep-Alive: timeout=60\r\n";
}

static void
put_headers(struct rt_httpreply *r, const char *headers)
{
	if (headers != NULL)
		rt_buf_put_str(&r->out, headers);
}

static bool
has_header(const char *headers, const char *name)
{
	return headers != NULL && strstr(headers, name) != NULL;
}

static void
put_head(struct rt_httpreply *r, const struct rt_http_answer *a, const struct rt_httpreply_context *x)
{
	char line[HEAD_BYTES];
	int n = snprintf(line, sizeof(line), "HTTP/1.1 %d %s\r\nDate: %s\r\n%s", a->status,
					 rt_httpreply_reason(a->status), x->date, connection_header(x));

	rt_buf_put(&r->out, line, (size_t) n);
	if (a->content_type != NULL)
	{
		rt_buf_put_str(&r->out, "Content-Type: ");
		rt_buf_put_str(&r->out, a->content_type);
		rt_buf_put_str(&r->out, "\r\n");
	}
	/* Neither has a body, so neither may have its length (RFC 9110, section 8.6). */
	if (a->status != 204 && a->status != 304)
	{
		n = snprintf(line, sizeof(line), "Content-Length: %zu\r\n", a->len);
		rt_buf_put(&r->out, line, (size_t) n);
	}
	put_headers(r, x->server_headers);
	put_headers(r, x->headers);
	put_headers(r, a->headers);
	if (a->may_gzip)
		put_headers(r, "Vary: Accept-Encoding\r\n");
	if (x->gzip)
		put_headers(r, "Content-Encoding: gzip\r\n");
	/* No cache may store a refusal. */
	if (a->status >= 400 && !has_header(a->headers, "Cache-Control:"))
		put_headers(r, "Cache-Control: no-store\r\n");
	/* No browser may take an answer for anything but what it says it is. */
	rt_buf_put_str(&r->out, "X-Content-Type-Options: nosniff\r\n\r\n");
}

void
rt_httpreply_put(struct rt_httpreply *r, const struct rt_http_answer *a, const struct rt_httpreply_context *x)
{
	put_head(r, a, x);
	r->tail = x->head_only ? NULL : a->body;
	r->tail_len = r->tail == NULL ? 0 : a->len;
}

/* The kernel took n bytes. */
static void
drop(struct rt_httpreply *r, size_t n)
{
	size_t from_out = n < rt_buf_len(&r->out) ? n : rt_buf_len(&r->out);

	rt_buf_drop(&r->out, from_out);
	if (n == from_out)
		return;
	r->tail += n - from_out;
	r->tail_len -= n - from_out;
}

enum rt_result
rt_httpreply_send(struct rt_httpreply *r, int fd, uint64_t *sent)
{
	while (rt_httpreply_left(r) > 0)
	{
		struct iovec parts[2];
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
		ssize_t n;

		parts[0].iov_base = rt_buf_peek(&r->out, &parts[0].iov_len);
		parts[1].iov_base = (void *) r->tail;
		parts[1].iov_len = r->tail_len;
		n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? RT_AGAIN : RT_GONE;
		*sent += (uint64_t) n;
		drop(r, (size_t) n);
	}
	return RT_OK;
}

size_t
rt_httpreply_left(const struct rt_httpreply *r)
{
	return rt_buf_len(&r->out) + r->tail_len;
}

void
rt_httpreply_keep(struct rt_httpreply *r)
{
	rt_buf_put(&r->out, r->tail, r->tail_len);
	r->tail = NULL;
	r->tail_len = 0;
}
