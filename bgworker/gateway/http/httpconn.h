/* httpconn.h: HTTP/1.x connections: requests in, replies out, one at a time and in order.
 *
 * Knows no path.  libwebsockets has an HTTP server too; it is not used, since in 4.1 it does not see a peer leave
 * while a long poll is held, takes no chunked bodies, and hands on only a rewritten path and query. */
#ifndef RT_HTTPCONN_H
#define RT_HTTPCONN_H

#include <stdbool.h>
#include <stddef.h>

#include "bgworker/common/result.h"
#include "http.h"
#include "httpreply.h"
#include "share.h"
#include "traffic.h"

struct rt_httpconn;
struct rt_httpconn_server;
struct rt_loop;
struct rt_wheel;

enum rt_http_verdict
{
	RT_HTTP_READ_BODY, /* go on: on_request follows when the body is there */
	RT_HTTP_ANSWERED,  /* rt_httpconn_reply() was called; the body is not wanted */
	RT_HTTP_TAKEN      /* rt_httpconn_take() was called */
};

/* Called from the loop.  Spans are lent for the time of the call. */
struct rt_httpconn_handler
{
	/* Before anything else: who asks, by rt_httpconn_set_client(). */
	void (*on_client)(void *arg, struct rt_httpconn *c, const struct rt_http_head *h);
	enum rt_http_verdict (*on_head)(void *arg, struct rt_httpconn *c, const struct rt_http_head *h);
	void (*on_request)(void *arg, struct rt_httpconn *c, const struct rt_http_head *h, const char *body, size_t len);
	/* The peer left, was too slow, or sent too much or no HTTP, before its request was answered; only where an owner
	 * was set. */
	void (*on_abandoned)(void *arg, struct rt_httpconn *c);
	/* The connection begins with these bytes instead of a request; the handler takes it.  NULL: nothing of that kind.
	 */
	const char *other_hello;
	void (*on_other)(void *arg, struct rt_httpconn *c);
	void *arg;
	void (*on_gone)(void *gone_arg); /* a descriptor has been closed */
	void *gone_arg;
};

struct rt_httpconn_server *rt_httpconn_server_new(struct rt_loop *l, struct rt_wheel *w,
												  const struct rt_traffic_limits *limits, struct rt_traffic *traffic,
												  struct rt_shares *shares,
												  const struct rt_httpconn_handler *handler);
/* Headers of every reply; lent until they are set anew. */
void rt_httpconn_server_set_headers(struct rt_httpconn_server *s, const char *headers);
/* What was set; for a reply that somebody else writes. */
const char *rt_httpconn_always(const struct rt_httpconn *c);
/* Closes idle connections, the others after their reply. */
void rt_httpconn_server_drain(struct rt_httpconn_server *s);
void rt_httpconn_server_free(struct rt_httpconn_server *s); /* closes all; NULL is fine */

/* Serves a connection; `data` are bytes that were read from it already.  Takes the descriptor over. */
void rt_httpconn_server_add(struct rt_httpconn_server *s, int fd, const char *peer, const char *data, size_t len);

/* The same for a request that another gateway has passed on: its reply is the connection's last. */
void rt_httpconn_server_add_passed(struct rt_httpconn_server *s, int fd, const char *peer, const char *data,
								   size_t len);
bool rt_httpconn_was_passed(const struct rt_httpconn *c);

/* Answers the request.  HEAD gets no body. */
void rt_httpconn_reply(struct rt_httpconn *c, const struct rt_http_answer *a);

const char *rt_httpconn_peer(const struct rt_httpconn *c); /* the address at the other end of the connection */

/* The request is a user's: it has their share of memory, and its time is not its address's.  Without it a body may
 * have RT_SHARE_STRANGER_BODY_BYTES.  A connection that has had such a request is no stranger's any more. */
void rt_httpconn_admit(struct rt_httpconn *c, struct rt_share *user);
struct rt_share *rt_httpconn_address_share(const struct rt_httpconn *c); /* lent */

/* Who asks, which behind a proxy is somebody else with each request; the peer until it is set.  Copied. */
void rt_httpconn_set_client(struct rt_httpconn *c, const char *client);
const char *rt_httpconn_client(const struct rt_httpconn *c);

/* What the owner of the request keeps with it, until the reply. */
void rt_httpconn_set_owner(struct rt_httpconn *c, void *owner);
void *rt_httpconn_owner(const struct rt_httpconn *c);

/* A request that is held for long: the peer's end of stream means that it has left. Others may still read. */
void rt_httpconn_hold(struct rt_httpconn *c);

/* Headers that every reply to this request gets, e.g. CORS; freed with the request. */
void rt_httpconn_set_headers(struct rt_httpconn *c, char *headers);

/* The number of this request, for answers that come later; never reused. */
uint64_t rt_httpconn_id(const struct rt_httpconn *c);
struct rt_httpconn *rt_httpconn_server_find(const struct rt_httpconn_server *s, uint64_t id); /* NULL: it is gone */

/* Only within on_head and on_other: gives the descriptor away, with the bytes that were read behind the head, or from
 * the head's beginning on.  The bytes are lent until the caller returns from on_head. */
int rt_httpconn_take(struct rt_httpconn *c, bool with_head, const char **data, size_t *len);

#endif
