/* engineio.h: the Engine.IO v4 server: sessions over long-polling and WebSocket, the handshake, the upgrade from one
 * to the other, heartbeats.  Knows of a packet's content no more than that it is a message.
 *
 * Errors of requests are the reference implementation's: HTTP 400 with {"code":n,"message":"…"}.  What can be done
 * with a session is in eio_session.h. */
#ifndef RT_ENGINEIO_H
#define RT_ENGINEIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "bgworker/gateway/http/httpconn.h"
#include "bgworker/gateway/http/traffic.h"
#include "eio_session.h"

struct rt_engineio;
struct rt_loop;
struct rt_wheel;

enum rt_result rt_engineio_new(struct rt_engineio **ep, struct rt_loop *l, struct rt_wheel *w,
							   const struct rt_traffic_limits *limits, const struct rt_eio_settings *settings,
							   struct rt_traffic *traffic, struct rt_shares *shares,
							   const struct rt_eio_handler *handler, void (*on_descriptor_gone)(void *arg),
							   void *gone_arg);
void rt_engineio_drain(struct rt_engineio *e);                /* closes all sessions, a bounded number a turn */
void rt_engineio_refuse_sessions(struct rt_engineio *e);      /* new ones, with 503 */
void rt_engineio_end_some(struct rt_engineio *e, uint64_t n); /* what is queued for them goes out first */
void rt_engineio_free(struct rt_engineio *e);                 /* NULL is fine */

/* Requests to the path of Engine.IO, as httpconn.h has them; query is NUL-terminated. */
enum rt_http_verdict rt_engineio_on_head(struct rt_engineio *e, struct rt_httpconn *c, const struct rt_http_head *h,
										 const char *query);
void rt_engineio_on_request(struct rt_engineio *e, struct rt_httpconn *c, const struct rt_http_head *h,
							const char *query, const char *body, size_t len);
void rt_engineio_on_abandoned(struct rt_httpconn *c);

/* The number of the gateway whose session this query names; -1 if it names none, or a malformed one. */
int rt_engineio_number_of(const char *query);

uint64_t rt_engineio_queued_bytes(const struct rt_engineio *e); /* of all sessions; walks them */

#endif
