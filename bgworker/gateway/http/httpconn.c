/* httpconn.c: connections of HTTP/1.x: reads a request, hands it to the handler, sends the reply, reads the next one.
 *
 * A connection reads into one buffer: the head, and where its length is known the body behind it; a chunked body is
 * put together in a second one.  While a request is being answered at most PIPELINE_BYTES more are read.  Who asks
 * for what, and what is answered, is the handler's business (net/http_router.c).
 *
 *     READING_HEAD ──> READING_BODY ──> ANSWERING ──> WRITING ─┬─> READING_HEAD   keep-alive
 *          │                │               │            ^     └─> LINGERING ──> CLOSED
 *          │                │               │         PACKING    a long body, which is compressed over some turns
 *          └────────────────┴───────────────┴── a reply may come in each of these; CLOSED from any
 *
 * Invariants:
 * - One request at a time.  `id` is not 0 exactly from its head to the beginning of its reply, and then the
 *   connection is in `requests`; so an answer that comes too late finds nothing.
 * - `reply` is empty but in WRITING (and for a moment in READING_BODY, for 100 Continue).
 * - `hold` is this connection's part of the memory that all bodies share, `unsent` of traffic->unsent_bytes; both go
 *   back when the request or the reply ends, whatever ended it.
 * - An owner hears on_abandoned() of each request that ends otherwise than by the owner's answer.
 * - `guest` is among the guests of `address` until a user has used the connection; then it is neither throttled nor
 *   closed for others.
 * - Nothing is freed while it may be on the stack: CLOSED connections go when the turn ends.
 *
 * Each state has a time limit, in one timer that the states share.  A request that is held (a long poll) has none:
 * its owner has; nor has PACKING, which ends by itself. */
#include "httpconn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/buf.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/common/wheel.h"
#include "gzip.h"

#define READ_BYTES 65536     /* at most so much in one read */
#define PIPELINE_BYTES 16384 /* read behind a request that is being answered */
#define UNCOUNTED_BYTES 4096 /* of a request, which are too little to count */
/* Of one turn of the loop, for one connection. */
#define TURN_REQUESTS 8
#define TURN_BYTES 262144
#define TURN_US 1000
#define HEAD_TIMEOUT_MS 10000   /* from the first byte to the end of the head */
#define BODY_TIMEOUT_MS 60000   /* for the whole body */
#define REPLY_TIMEOUT_MS 120000 /* of the application */
#define IDLE_TIMEOUT_MS 65000   /* between two requests; what Keep-Alive announces is below it */
#define WRITE_TIMEOUT_MS 30000  /* for each WRITE_STEP_BYTES, so that byte by byte nobody keeps a reply for ever */
#define WRITE_STEP_BYTES 262144
#define LINGER_TIMEOUT_MS 2000 /* after the last reply, so that it is read before the connection is reset */
#define LINGER_BYTES (4 << 20) /* of what still comes then */
#define PACKING_PAUSE_MS 5     /* while the budget of time for it is used up */
#define GZIP_FROM_BYTES 1000   /* a reply as small as that fits into a packet of a network anyway */
#define ADDRESS_BYTES 46

enum state
{
	READING_HEAD,
	READING_BODY,
	ANSWERING, /* the handler has the request */
	PACKING,   /* the handler has answered; `packing` is there in this state alone */
	WRITING,   /* the reply is not yet all with the kernel */
	LINGERING, /* our side is shut down, what comes is thrown away */
	CLOSED     /* freed when the turn ends */
};

/* A reply whose body is being compressed. */
struct packing
{
	struct rt_gzip *gzip;
	struct rt_http_answer answer; /* its headers are `headers`, its body the copy that gzip has */
	char *headers;                /* the request's and the answer's */
};

struct rt_httpconn
{
	struct rt_httpconn_server *server;
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
	struct rt_httpreply reply;
	struct packing *packing;
	size_t head_len;
	size_t body_len;           /* with a known length */
	struct rt_share_hold hold; /* of the memory that bodies share */
	struct rt_share_guest guest;
	struct rt_share *address; /* of the client */
	struct rt_share *user;    /* of the current request; NULL: a stranger's */
	size_t unsent;            /* among unsent_bytes */
	size_t write_goal;        /* so little is to be left of the reply when its time is over */
	size_t lingered;
	uint32_t replies; /* after which the connection went on */
	void *owner;
	char *headers;
	enum rt_http_coding coding; /* of the current reply's body, if it is text of ours */
	bool is_chunked;
	bool keep_alive;
	bool passed;      /* by another gateway */
	bool old_version; /* HTTP/1.0 */
	bool head_only;
	bool held;
	bool eof;
	bool processing;                /* process() is on the stack */
	bool resuming;                  /* process() is deferred */
	struct rt_wheel_entry throttle; /* set: nothing is processed, the address has used up its time */
	char peer[ADDRESS_BYTES];
	char client[ADDRESS_BYTES]; /* of the current request; empty: the peer */
};

struct rt_httpconn_server
{
	struct rt_loop *loop;
	struct rt_wheel *wheel;
	const struct rt_traffic_limits *limits;
	struct rt_traffic *traffic;
	struct rt_shares *shares;
	struct rt_gzip_pool *gzip;
	struct rt_httpconn_handler handler;
	struct rt_map *requests; /* by id, those that are being answered */
	struct rt_httpconn *first;
	const char *headers; /* of every reply */
	uint64_t last_id;
	bool draining;
	time_t date_at;
	char date[32]; /* of date_at, as replies have it */
	char scratch[READ_BYTES];
};

static void process(struct rt_httpconn *c);
static enum rt_result hold_input(struct rt_httpconn *c);

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
	rt_httpreply_fini(&c->reply);
	free(c->headers);
	free(c);
}

static void
forget_request(struct rt_httpconn *c)
{
	if (c->id != 0)
		rt_map_take(c->server->requests, &c->id, sizeof(c->id));
	c->id = 0;
	rt_share_release(&c->hold);
	rt_share_drop(c->user);
	c->user = NULL;
	c->owner = NULL;
	c->held = false;
	free(c->headers);
	c->headers = NULL;
}

static void
forget_reply(struct rt_httpconn *c)
{
	c->server->traffic->unsent_bytes -= c->unsent;
	c->unsent = 0;
}

static void
free_packing(struct packing *p)
{
	if (p == NULL)
		return;
	rt_gzip_free(p->gzip);
	free(p->headers);
	free(p);
}

/* Lets go of everything but the memory; the descriptor is the caller's. */
static void
detach(struct rt_httpconn *c)
{
	struct rt_httpconn_server *s = c->server;

	c->state = CLOSED;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		s->first = c->next;
	rt_wheel_unset(s->wheel, &c->timeout);
	rt_wheel_unset(s->wheel, &c->throttle);
	rt_watch_free(c->watch);
	c->watch = NULL;
	forget_request(c);
	rt_share_leave(&c->guest);
	rt_share_drop(c->address);
	c->address = NULL;
	free_packing(c->packing);
	c->packing = NULL;
	forget_reply(c);
	rt_loop_defer(s->loop, free_conn, c);
}

static void
close_conn(struct rt_httpconn *c)
{
	struct rt_httpconn_server *s = c->server;
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
in_limit(const struct rt_httpconn_server *s)
{
	return RT_HTTP_MAX_HEAD + PIPELINE_BYTES + s->limits->max_payload_bytes + READ_BYTES;
}

/* How much more may be read before something of it is done with. */
static size_t
in_room(const struct rt_httpconn *c)
{
	size_t limit = RT_HTTP_MAX_HEAD + PIPELINE_BYTES;
	size_t len = rt_buf_len(&c->in);

	if (c->state == LINGERING)
		return READ_BYTES;
	if (c->state == READING_BODY)
		limit += c->server->limits->max_payload_bytes;
	return len < limit ? limit - len : 0;
}

/* Asks the loop for what the state needs. */
static void
watch(struct rt_httpconn *c)
{
	int events = 0;

	if (!c->eof && in_room(c) > 0 && !rt_wheel_is_set(&c->throttle))
		events |= RT_READABLE;
	if (c->state == WRITING)
		events |= RT_WRITABLE;
	rt_watch_set(c->watch, events);
}

/* ---- replies ------------------------------------------------------------------ */

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
	watch(c);
}

static const char *
date_of(struct rt_httpconn_server *s)
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
resume(void *arg)
{
	struct rt_httpconn *c = arg;

	c->resuming = false;
	if (c->state == READING_HEAD)
		process(c);
}

static void
go_on_later(struct rt_httpconn *c)
{
	if (c->resuming)
		return;
	c->resuming = true;
	rt_loop_defer(c->server->loop, resume, c);
}

/* The reply is with the kernel: on to the next request. */
static void
finish_reply(struct rt_httpconn *c)
{
	forget_reply(c);
	if (!c->keep_alive)
	{
		linger(c);
		return;
	}
	c->state = READING_HEAD;
	c->replies++;
	(void) hold_input(c); /* what is read already stays, and counts again */
	rt_wheel_set(c->server->wheel, &c->timeout, IDLE_TIMEOUT_MS);
	watch(c);
	/* What the peer has sent already is taken up when the caller, who may be the application, is done. */
	if (!c->processing && (rt_buf_len(&c->in) > 0 || c->eof))
		go_on_later(c);
}

static void
await_reader(struct rt_httpconn *c)
{
	size_t left = rt_httpreply_left(&c->reply);

	if (left <= c->write_goal)
	{
		c->write_goal = left > WRITE_STEP_BYTES ? left - WRITE_STEP_BYTES : 0;
		rt_wheel_set(c->server->wheel, &c->timeout, WRITE_TIMEOUT_MS);
	}
	watch(c);
}

static void
write_on(struct rt_httpconn *c)
{
	enum rt_result rc = rt_httpreply_send(&c->reply, c->fd, &c->server->traffic->bytes_out);

	if (rc == RT_OK)
		finish_reply(c);
	else if (rc == RT_AGAIN)
		await_reader(c);
	else
		close_conn(c);
}

/* What the kernel did not take of a body that the caller frees. */
static void
keep_tail(struct rt_httpconn *c)
{
	struct rt_traffic *traffic = c->server->traffic;

	if (traffic->unsent_bytes + c->reply.tail_len > RT_TRAFFIC_MAX_UNSENT_BYTES)
	{
		traffic->cut_off++;
		rt_log(RT_LOG_DEBUG, "http", "peer=%s: cut off: too much waits for slow readers", c->peer);
		close_conn(c);
		return;
	}
	c->unsent = c->reply.tail_len;
	traffic->unsent_bytes += c->unsent;
	rt_httpreply_keep(&c->reply);
}

/* The request's bytes are done with.  What is left of a body that was not read would be taken for a request, so then
 * the connection must end (RFC 9112, section 9.3). */
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
is_crowded(const struct rt_httpconn_server *s)
{
	return s->traffic->connections * 10 > (uint64_t) s->limits->max_connections * 9;
}

/* Tells the owner of a request that it ends here and not by the owner's answer. */
static void
abandon(struct rt_httpconn *c)
{
	if (c->owner != NULL)
		c->server->handler.on_abandoned(c->server->handler.arg, c);
	c->owner = NULL;
}

static void
begin_reply(struct rt_httpconn *c, const struct rt_http_answer *a, bool gzip)
{
	struct rt_httpreply_context x = {.date = date_of(c->server),
									 .server_headers = c->server->headers,
									 .headers = c->headers,
									 .gzip = gzip,
									 .keep_alive = c->keep_alive,
									 .old_version = c->old_version,
									 .head_only = c->head_only};

	rt_httpreply_put(&c->reply, a, &x);
	c->state = WRITING;
	c->write_goal = SIZE_MAX;
	forget_request(c);
	write_on(c);
	if (c->state == WRITING && !a->body_is_static && c->reply.tail_len > 0)
		keep_tail(c);
}

/* Whether to try: what does not become smaller goes as it is, unless the client takes nothing else. */
static bool
is_gzip_wanted(const struct rt_httpconn *c, const struct rt_http_answer *a)
{
	if (!a->may_gzip || a->len == 0 || c->coding == RT_HTTP_IDENTITY)
		return false;
	if (c->coding == RT_HTTP_GZIP_ONLY)
		return true;
	return a->len > RT_GZIP_STEP_BYTES ||
		   (a->len > GZIP_FROM_BYTES && rt_gzip_may_begin(c->server->gzip, rt_clock_us()));
}

static void
begin_packed_reply(struct rt_httpconn *c, const struct rt_http_answer *a, struct rt_buf *out)
{
	struct rt_http_answer packed = *a;

	packed.body = rt_buf_peek(out, &packed.len);
	packed.body_is_static = false;
	if (packed.len < a->len || c->coding == RT_HTTP_GZIP_ONLY)
		begin_reply(c, &packed, true);
	else
		begin_reply(c, a, false);
}

/* A step in each turn, so that others' packets come in between. */
static void
pack_on(void *arg)
{
	struct rt_httpconn *c = arg;
	struct packing *p = c->packing;
	enum rt_result rc;

	if (c->state != PACKING)
		return;
	if (!rt_gzip_may_step(p->gzip, rt_clock_us()))
	{
		rt_wheel_set(c->server->wheel, &c->timeout, PACKING_PAUSE_MS);
		return;
	}
	rc = rt_gzip_step(p->gzip);
	if (rc == RT_AGAIN)
	{
		rt_loop_defer(c->server->loop, pack_on, c);
		return;
	}
	c->packing = NULL;
	forget_reply(c);
	p->answer.body = rt_buf_peek(rt_gzip_body(p->gzip), &p->answer.len);
	if (rc == RT_OK)
		begin_packed_reply(c, &p->answer, rt_gzip_out(p->gzip));
	else
		begin_reply(c, &p->answer, false);
	free_packing(p);
}

static char *
join_headers(const char *first, const char *second)
{
	size_t size = (first == NULL ? 0 : strlen(first)) + (second == NULL ? 0 : strlen(second)) + 1;
	char *all = rt_alloc(size);

	snprintf(all, size, "%s%s", first == NULL ? "" : first, second == NULL ? "" : second);
	return all;
}

/* RT_LIMIT: there is no place for one more. */
static enum rt_result
begin_packing(struct rt_httpconn *c, const struct rt_http_answer *a)
{
	struct rt_traffic *traffic = c->server->traffic;
	struct rt_gzip *gzip = NULL;

	if (traffic->unsent_bytes + a->len <= RT_TRAFFIC_MAX_UNSENT_BYTES)
		gzip = rt_gzip_new(c->server->gzip, a->body, a->len);
	if (gzip == NULL)
		return RT_LIMIT;
	c->packing = rt_alloc(sizeof(*c->packing));
	c->packing->gzip = gzip;
	c->packing->headers = join_headers(c->headers, a->headers);
	c->packing->answer = *a;
	c->packing->answer.headers = c->packing->headers;
	c->unsent = a->len;
	traffic->unsent_bytes += a->len;
	c->state = PACKING;
	forget_request(c);
	rt_wheel_unset(c->server->wheel, &c->timeout);
	watch(c);
	rt_loop_defer(c->server->loop, pack_on, c);
	return RT_OK;
}

static enum rt_result
reply_at_once(struct rt_httpconn *c, const struct rt_http_answer *a)
{
	struct rt_buf out;
	enum rt_result rc;

	rt_buf_init(&out, SIZE_MAX / 2); /* about as much as the body at the most */
	rc = rt_gzip_at_once(c->server->gzip, a->body, a->len, &out);
	if (rc == RT_OK)
		begin_packed_reply(c, a, &out);
	rt_buf_fini(&out);
	return rc;
}

void
rt_httpconn_reply(struct rt_httpconn *c, const struct rt_http_answer *a)
{
	if (c->state == CLOSED || c->state == PACKING || c->state == WRITING || c->state == LINGERING)
		return;
	drop_request(c);
	if (a->close || c->eof || c->server->draining || is_crowded(c->server))
		c->keep_alive = false;
	if (is_gzip_wanted(c, a) && (a->len <= RT_GZIP_STEP_BYTES ? reply_at_once(c, a) : begin_packing(c, a)) == RT_OK)
		return;
	begin_reply(c, a, false);
}

/* Answers what is no request, with an error object; the connection ends. */
static void
refuse(struct rt_httpconn *c, int status)
{
	char body[128];
	int n;

	abandon(c);
	c->server->traffic->http_bad_requests++;
	rt_log(RT_LOG_DEBUG, "http", "peer=%s: bad request, %d", c->peer, status);
	n = snprintf(body, sizeof(body), "{\"success\":false,\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}",
				 status == 413   ? "too_large"
				 : status == 503 ? "unavailable"
								 : "bad_request",
				 rt_httpreply_reason(status));
	rt_httpconn_reply(
		c, &(struct rt_http_answer){
			   .status = status, .content_type = "application/json", .body = body, .len = (size_t) n, .close = true});
}

static void
on_timeout(struct rt_wheel_entry *e)
{
	struct rt_httpconn *c = conn_of(e);

	if (c->state == PACKING)
	{
		pack_on(c);
		return;
	}
	if (c->state == READING_HEAD && rt_buf_len(&c->in) == 0)
	{
		close_conn(c);
		return;
	}
	if (c->state == READING_HEAD || c->state == READING_BODY)
	{
		c->server->traffic->http_bad_requests++;
		abandon(c);
		rt_httpconn_reply(c, &(struct rt_http_answer){.status = 408, .close = true});
		return;
	}
	if (c->state == ANSWERING)
		rt_log(RT_LOG_ERROR, "http", "a request was not answered in time");
	close_conn(c);
}

/* ---- requests ----------------------------------------------------------------- */

/* The head once more: its spans moved with the buffer as the body came. */
static void
dispatch(struct rt_httpconn *c)
{
	struct rt_httpconn_server *s = c->server;
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
	rt_activity_begin(RT_ACTIVITY_REQUEST);
	rt_wheel_set(s->wheel, &c->timeout, REPLY_TIMEOUT_MS);
	s->handler.on_request(s->handler.arg, c, &head, body, body_len);
}

static struct rt_share *
share_of(const struct rt_httpconn *c)
{
	return c->user != NULL ? c->user : c->address;
}

static size_t
max_body(const struct rt_httpconn *c)
{
	size_t most = c->server->limits->max_payload_bytes;

	return c->user == NULL && most > RT_SHARE_STRANGER_BODY_BYTES ? RT_SHARE_STRANGER_BODY_BYTES : most;
}

/* What has come takes its part of what all may hold together as it comes: by what they announce, a few hundred heads
 * would take it all. */
static enum rt_result
hold_input(struct rt_httpconn *c)
{
	size_t len = rt_buf_len(&c->in) + rt_buf_len(&c->chunked);

	if (len <= UNCOUNTED_BYTES || len <= c->hold.bytes)
		return RT_OK;
	if (rt_share_hold(&c->hold, share_of(c), len) == RT_OK)
		return RT_OK;
	c->server->traffic->over_share++;
	return RT_LIMIT;
}

static void
on_evicted(struct rt_share_hold *h)
{
	struct rt_httpconn *c = (struct rt_httpconn *) ((char *) h - offsetof(struct rt_httpconn, hold));

	rt_share_release(h);
	refuse(c, 503);
}

/* The address has had its time: what it asks waits, and so do the bytes that it sends.  True: it must. */
static bool
throttle(struct rt_httpconn *c)
{
	uint32_t wait_ms = c->guest.share == NULL ? 0 : rt_share_wait_ms(c->address, rt_clock_us());

	if (wait_ms == 0)
		return false;
	c->server->traffic->throttled++;
	rt_wheel_set(c->server->wheel, &c->throttle, wait_ms);
	watch(c);
	return true;
}

static void
on_throttle_over(struct rt_wheel_entry *e)
{
	struct rt_httpconn *c = (struct rt_httpconn *) ((char *) e - offsetof(struct rt_httpconn, throttle));

	watch(c);
	process(c);
}

static void
begin_request(struct rt_httpconn *c, const struct rt_http_head *h, size_t head_len)
{
	struct rt_httpconn_server *s = c->server;

	s->handler.on_client(s->handler.arg, c, h);
	if (throttle(c))
		return;
	s->traffic->http_requests++;
	c->head_len = head_len;
	c->body_len = (size_t) h->content_length;
	c->is_chunked = h->chunked;
	memset(&c->chunks, 0, sizeof(c->chunks));
	c->in.limit_bytes = in_limit(s);
	c->keep_alive = h->keep_alive && !c->passed;
	c->old_version = h->minor == 0;
	c->head_only = h->method_len == 4 && memcmp(h->method, "HEAD", 4) == 0;
	c->coding = rt_http_accepted_coding(h);
	c->id = ++s->last_id;
	rt_map_put(s->requests, &c->id, sizeof(c->id), c);
	if (s->handler.on_head(s->handler.arg, c, h) != RT_HTTP_READ_BODY || c->state != READING_HEAD)
		return;
	c->state = READING_BODY;
	if (c->body_len > max_body(c))
	{
		refuse(c, 413);
		return;
	}
	rt_wheel_set(s->wheel, &c->timeout, BODY_TIMEOUT_MS);
	if (h->expect_continue && rt_buf_len(&c->in) == head_len)
		rt_httpreply_put_continue(&c->reply);
	if (rt_httpreply_send(&c->reply, c->fd, &s->traffic->bytes_out) == RT_GONE)
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

	c->chunked.limit_bytes = max_body(c);
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

/* One connection has so much of a turn; the others come in between.  A reply that the kernel has taken counts for
 * what it is: work that somebody else waits for. */
static bool
has_turn(const struct rt_httpconn *c, int requests, uint64_t began_us, uint64_t bytes_before)
{
	return requests < TURN_REQUESTS && c->server->traffic->bytes_out - bytes_before < TURN_BYTES &&
		   rt_clock_us() - began_us < TURN_US;
}

/* Goes on as long as what has been read suffices, and the turn lasts. */
static void
process_turn(struct rt_httpconn *c)
{
	uint64_t began_us = rt_clock_us();
	bool was_guest = c->guest.share != NULL;
	uint64_t computed_us = was_guest ? rt_clock_cpu_us() : 0;
	uint64_t bytes_before = c->server->traffic->bytes_out;
	struct rt_share *address = rt_share_ref(c->address);
	uint32_t first = c->replies;
	enum state before;
	uint32_t replies;

	do
	{
		before = c->state;
		replies = c->replies;
		if (c->state == READING_HEAD)
			read_head(c);
		else if (c->state == READING_BODY)
			read_body(c);
		/* The turn ends between two requests only: one that has come whole is not left lying. */
		if (c->state == READING_HEAD && !has_turn(c, (int) (c->replies - first), began_us, bytes_before))
			break;
	} while ((c->state == READING_HEAD || c->state == READING_BODY) && (c->state != before || c->replies != replies));
	/* A connection that was taken, or closed, is no guest any more, and was one.  What is learned of the client
	 * meanwhile counts: behind a proxy it is told by the request. */
	if (was_guest && (c->guest.share != NULL || c->state == CLOSED))
		rt_share_charge(c->guest.share != NULL ? c->address : address, rt_clock_us(),
						rt_clock_cpu_us() - computed_us);
	rt_share_drop(address);
	if (c->state == READING_HEAD && c->replies != first && rt_buf_len(&c->in) > 0)
		go_on_later(c);
}

static void
process(struct rt_httpconn *c)
{
	if (c->processing || rt_wheel_is_set(&c->throttle))
		return;
	if (c->state == READING_HEAD && rt_buf_len(&c->in) > 0 && throttle(c))
		return;
	c->processing = true;
	process_turn(c);
	c->processing = false;
	if (c->state != CLOSED)
		watch(c);
}

/* ---- bytes -------------------------------------------------------------------- */

static bool
is_other(const struct rt_httpconn *c, const char *data, size_t len)
{
	const char *hello = c->server->handler.other_hello;

	return hello != NULL && c->state == READING_HEAD && c->replies == 0 && !c->passed && rt_buf_len(&c->in) == 0 &&
		   len == strlen(hello) && memcmp(data, hello, len) == 0;
}

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
	c->server->traffic->bytes_in += len;
	if (is_other(c, data, len))
	{
		c->server->handler.on_other(c->server->handler.arg, c);
		return;
	}
	if (c->state == READING_HEAD && rt_buf_len(&c->in) == 0)
		rt_wheel_set(c->server->wheel, &c->timeout, HEAD_TIMEOUT_MS);
	if (rt_buf_put(&c->in, data, len) != RT_OK)
		close_conn(c);
	else if (hold_input(c) != RT_OK)
		refuse(c, 503);
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
		watch(c);
		process(c);
	}
}

static void
read_some(struct rt_httpconn *c)
{
	struct rt_httpconn_server *s = c->server;
	size_t room = in_room(c);
	ssize_t n;

	if (room == 0)
		return;
	n = recv(c->fd, s->scratch, room < sizeof(s->scratch) ? room : sizeof(s->scratch), MSG_DONTWAIT);

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

	rt_activity_begin(RT_ACTIVITY_HTTP);
	if ((events & RT_WRITABLE) != 0 && c->state == WRITING)
		write_on(c);
	if ((events & RT_READABLE) != 0 && c->state != CLOSED)
		read_some(c);
}

/* A stranger's connection makes room, unless somebody would miss it: a request that is being answered is a promise.
 */
static bool
end_guest(struct rt_share_guest *g)
{
	struct rt_httpconn *c = (struct rt_httpconn *) ((char *) g - offsetof(struct rt_httpconn, guest));

	if (c->state == ANSWERING || c->state == PACKING || c->processing)
		return false;
	close_conn(c);
	return true;
}

/* ---- for the handler ----------------------------------------------------------- */

static void
add(struct rt_httpconn_server *s, int fd, const char *peer, const char *data, size_t len, bool passed)
{
	struct rt_httpconn *c = rt_alloc(sizeof(*c));

	c->server = s;
	c->fd = fd;
	c->passed = passed;
	c->timeout.fn = on_timeout;
	c->throttle.fn = on_throttle_over;
	c->hold.evict = on_evicted;
	c->address = rt_share_of_address(s->shares, peer);
	c->guest.end = end_guest;
	rt_share_enter(&c->guest, c->address);
	snprintf(c->peer, sizeof(c->peer), "%s", peer);
	rt_buf_init(&c->in, in_limit(s));
	rt_buf_init(&c->chunked, s->limits->max_payload_bytes);
	rt_httpreply_init(&c->reply);
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
	watch(c);
	if (len > 0)
		take_bytes(c, data, len);
}

void
rt_httpconn_server_add(struct rt_httpconn_server *s, int fd, const char *peer, const char *data, size_t len)
{
	add(s, fd, peer, data, len, false);
}

void
rt_httpconn_server_add_passed(struct rt_httpconn_server *s, int fd, const char *peer, const char *data, size_t len)
{
	add(s, fd, peer, data, len, true);
}

bool
rt_httpconn_was_passed(const struct rt_httpconn *c)
{
	return c->passed;
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
	struct rt_share *address;

	if (strcmp(client, rt_httpconn_client(c)) == 0)
		return;
	snprintf(c->client, sizeof(c->client), "%s", client);
	address = rt_share_of_address(c->server->shares, client);
	rt_share_drop(c->address);
	c->address = address;
	if (c->guest.share != NULL)
		rt_share_enter(&c->guest, address);
}

void
rt_httpconn_admit(struct rt_httpconn *c, struct rt_share *user)
{
	rt_share_ref(user);
	rt_share_drop(c->user);
	c->user = user;
	rt_share_leave(&c->guest);
}

struct rt_share *
rt_httpconn_address_share(const struct rt_httpconn *c)
{
	return c->address;
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
		close_conn(c);
}

void
rt_httpconn_set_headers(struct rt_httpconn *c, char *headers)
{
	free(c->headers);
	c->headers = headers;
}

const char *
rt_httpconn_always(const struct rt_httpconn *c)
{
	return c->server->headers;
}

uint64_t
rt_httpconn_id(const struct rt_httpconn *c)
{
	return c->id;
}

struct rt_httpconn *
rt_httpconn_server_find(const struct rt_httpconn_server *s, uint64_t id)
{
	return rt_map_find(s->requests, &id, sizeof(id));
}

struct rt_httpconn_server *
rt_httpconn_server_new(struct rt_loop *l, struct rt_wheel *w, const struct rt_traffic_limits *limits,
					   struct rt_traffic *traffic, struct rt_shares *shares,
					   const struct rt_httpconn_handler *handler)
{
	struct rt_httpconn_server *s = rt_alloc(sizeof(*s));

	s->loop = l;
	s->wheel = w;
	s->limits = limits;
	s->traffic = traffic;
	s->shares = shares;
	s->handler = *handler;
	s->requests = rt_map_new();
	s->gzip = rt_gzip_pool_new();
	return s;
}

void
rt_httpconn_server_set_headers(struct rt_httpconn_server *s, const char *headers)
{
	s->headers = headers;
}

void
rt_httpconn_server_drain(struct rt_httpconn_server *s)
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
rt_httpconn_server_free(struct rt_httpconn_server *s)
{
	if (s == NULL)
		return;
	while (s->first != NULL)
	{
		s->first->owner = NULL; /* whoever held the request is gone */
		close_conn(s->first);
	}
	rt_map_free(s->requests);
	rt_gzip_pool_free(s->gzip);
	free(s);
}
