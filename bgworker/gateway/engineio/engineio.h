/* engineio.h: the Engine.IO v4 server: sessions over long-polling and WebSocket, the handshake, the upgrade from one
 * to the other, heartbeats.  Knows of a packet's content no more than that it is a message.
 *
 * Errors of requests are the reference implementation's: HTTP 400 with {"code":n,"message":"…"}. */
#ifndef RT_ENGINEIO_H
#define RT_ENGINEIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "frame.h"
#include "bgworker/gateway/http/httpconn.h"
#include "bgworker/gateway/net/transport_conf.h"

struct rt_eio;
struct rt_loop;
struct rt_eio_session;
struct rt_wheel;

/* Called from the loop, never from within the functions of rt_eio_session. */
struct rt_eio_handler
{
	void *(*on_open)(void *arg, struct rt_eio_session *s); /* returns what the others get as owner */
	void (*on_message)(void *owner, const char *data, size_t len, bool binary); /* without the packet type */
	void (*on_close)(void *owner, const char *reason); /* the session is not valid after it */
	struct rt_eio_session *(*on_full)(void *arg);      /* the one that may end for a new one; NULL: none */
	void *arg;
};

enum rt_result rt_eio_new(struct rt_eio **ep, struct rt_loop *l, struct rt_wheel *w,
						  const struct rt_transport_options *conf, struct rt_transport_stats *stats,
						  const struct rt_eio_handler *handler, void (*on_descriptor_gone)(void *arg),
						  void *gone_arg);
void rt_eio_drain(struct rt_eio *e);                /* closes all sessions, a bounded number a turn */
void rt_eio_refuse_sessions(struct rt_eio *e);      /* new ones, with 503 */
void rt_eio_end_some(struct rt_eio *e, uint64_t n); /* what is queued for them goes out first */
void rt_eio_free(struct rt_eio *e);                 /* NULL is fine */

/* ---- requests to the path of Engine.IO, as httpconn.h has them; query is NUL-terminated ---- */

enum rt_http_verdict rt_eio_on_head(struct rt_eio *e, struct rt_httpconn *c, const struct rt_http_head *h,
									const char *query);
void rt_eio_on_request(struct rt_eio *e, struct rt_httpconn *c, const struct rt_http_head *h, const char *query,
					   const char *body, size_t len);
void rt_eio_on_abandoned(struct rt_httpconn *c);

/* The worker whose session this query names; -1 if it names none, or a malformed one. */
int rt_eio_worker_of(const char *query);

/* ---- sessions ---- */

/* Queues a message packet and writes when the turn ends.  A queue that is full cuts the session off. */
void rt_eio_session_send(struct rt_eio_session *s, struct rt_frame *f);
void rt_eio_session_close(struct rt_eio_session *s, const char *reason);           /* when the turn ends */
void rt_eio_session_close_when_sent(struct rt_eio_session *s, const char *reason); /* what is queued goes out first */

/* What the log calls the session: the Socket.IO id, which rt.stat_connections has too.  Ours must stay secret. */
void rt_eio_session_set_name(struct rt_eio_session *s, const char *name); /* lent until the session ends */

const char *rt_eio_session_peer(const struct rt_eio_session *s);
const char *rt_eio_session_bearer(const struct rt_eio_session *s); /* of the handshake's Authorization; or NULL */
const char *rt_eio_session_query_token(const struct rt_eio_session *s); /* of the handshake's ?token=; or NULL */
bool rt_eio_session_is_websocket(const struct rt_eio_session *s);
size_t rt_eio_session_queued_bytes(const struct rt_eio_session *s);
int64_t rt_eio_session_latency_us(const struct rt_eio_session *s); /* -1: not known yet */
uint64_t rt_eio_queued_bytes(const struct rt_eio *e);              /* of all sessions; walks them */

#endif
