/* transport.h: the network side of the gateway in one piece: listeners, TLS, HTTP, Engine.IO, Socket.IO.
 *
 * Call order: new, listen (serves from then on), reload as often as wanted; to end: drain, wait until
 * rt_transport_connections() is 0 or patience ends, free. */
#ifndef RT_TRANSPORT_H
#define RT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "http.h"
#include "bgworker/gateway/socketio/socketio.h"
#include "transport_conf.h"

struct rt_loop;
struct rt_transport;

/* `app` and the callback are called from the loop, never from within these functions. */
enum rt_result rt_transport_new(struct rt_transport **tp, struct rt_loop *l, const struct rt_transport_options *o,
								const struct rt_socketio_app *app, rt_http_cb on_request, void *on_request_arg);
enum rt_result rt_transport_listen(struct rt_transport *t); /* logs the address and the reason when it fails */
enum rt_result rt_transport_reload(struct rt_transport *t, const struct rt_transport_options *o);

/* Stops listening, closes idle connections at once and every session with the reason "server shutting down",
 * a bounded number a turn. */
void rt_transport_drain(struct rt_transport *t);

/* For an end that takes longer: no new sessions from now on; no listening either; the end of n sessions, some of them
 * rather than others by chance. */
void rt_transport_refuse_sessions(struct rt_transport *t);
void rt_transport_stop_listening(struct rt_transport *t);
void rt_transport_end_some(struct rt_transport *t, uint64_t n);

size_t rt_transport_connections(const struct rt_transport *t);
void rt_transport_free(struct rt_transport *t); /* before the loop; may still call on_disconnect; NULL is fine */

struct rt_socketio *rt_transport_socketio(struct rt_transport *t);           /* lent */
struct rt_http *rt_transport_http(struct rt_transport *t);                   /* lent */
const struct rt_transport_stats *rt_transport_stats(struct rt_transport *t); /* lent; gauges as of this call */

#endif
