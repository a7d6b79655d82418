/* websocket.h: WebSocket connections (RFC 6455), by libwebsockets on our loop.
 *
 * libwebsockets gets a connection once its request has been read and judged, does the handshake and the frames of
 * what comes in, and close and ping frames.  What goes out are frames that were built already: they are written past
 * its framing as they lie, several in one write. */
#ifndef RT_WEBSOCKET_H
#define RT_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "bgworker/common/result.h"
#include "outq.h"
#include "bgworker/gateway/http/traffic.h"

struct rt_loop;
struct rt_websocket;
struct rt_websocket_server;
struct rt_share;

#define RT_WEBSOCKET_GOING_AWAY 1001
#define RT_WEBSOCKET_NORMAL 1000

/* Called from the loop.  `owner` is what the connection was adopted for. */
struct rt_websocket_handler
{
	void (*on_message)(void *owner, struct rt_websocket *ws, const char *data, size_t len,
					   bool binary);                           /* text is UTF-8 */
	void (*on_writable)(void *owner, struct rt_websocket *ws); /* after a flush said RT_AGAIN */
	void (*on_closed)(void *owner, struct rt_websocket *ws);   /* the peer left; not after rt_websocket_close() */
	void (*on_gone)(void *arg);                                /* a descriptor has been closed, for whatever reason */
	void *arg;                                                 /* of on_gone */
};

/* Read from the request, spans with lengths where the request ends them. */
struct rt_websocket_request
{
	const char *key;      /* Sec-WebSocket-Key, 24 characters */
	const char *protocol; /* the subprotocol to confirm, or NULL */
	size_t protocol_len;
	const char *headers; /* lines for the answer, or NULL */
	const char *rest;    /* bytes that followed the request */
	size_t rest_len;
};

enum rt_result rt_websocket_server_new(struct rt_websocket_server **sp, struct rt_loop *l,
									   const struct rt_traffic_limits *limits, struct rt_traffic *traffic,
									   const struct rt_websocket_handler *handler);
void
rt_websocket_server_free(struct rt_websocket_server *s); /* closes all, runs no callbacks but on_gone; NULL is fine */

/* Takes the descriptor over in any case.  NULL if the handshake failed. */
struct rt_websocket *rt_websocket_adopt(struct rt_websocket_server *s, int fd, const struct rt_websocket_request *r,
										void *owner);
void rt_websocket_set_owner(struct rt_websocket *ws, void *owner);

/* At whose expense messages of more than 1 kB are put together; lent until the connection closes or another is set.
 * Before that they are refused, and those of strangers above RT_SHARE_STRANGER_BODY_BYTES. */
void rt_websocket_set_share(struct rt_websocket *ws, struct rt_share *share);

/* Writes what waits in q, joining frames.  RT_OK: all is written; RT_AGAIN: the rest when on_writable is called;
 * RT_GONE: the peer left, the connection is to be closed. */
enum rt_result rt_websocket_flush(struct rt_websocket *ws, struct rt_outq *q);

void rt_websocket_prefetch(const struct rt_websocket *ws);       /* before a flush that comes soon */
size_t rt_websocket_unsent_bytes(const struct rt_websocket *ws); /* taken from a queue, but not by the kernel yet */

/* Sends a close frame with the code and lets go: no callback comes after this, and ws is not valid any more. */
void rt_websocket_close(struct rt_websocket *ws, int code);

/* The same without goodbye, and without waiting for the peer's: the descriptor is gone within a turn or two. */
void rt_websocket_abort(struct rt_websocket *ws);

#endif
