/* network.h: the network side of the gateway in one piece: listeners, TLS, HTTP, Engine.IO, Socket.IO.
 *
 * Call order: new, listen (serves from then on), reload as often as wanted; to end: drain, wait until
 * rt_network_connections() is 0 or patience ends, free. */
#ifndef RT_NETWORK_H
#define RT_NETWORK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "bgworker/gateway/socketio/socket.h"
#include "network_settings.h"
#include "http_router.h"

struct rt_db;
struct rt_loop;
struct rt_network;

/* `app` and the callback are called from the loop, never from within these functions. */
enum rt_result rt_network_new(struct rt_network **tp, struct rt_loop *l, const struct rt_network_settings *o,
							  const struct rt_socket_app *app, const struct rt_http_router_app *http);
enum rt_result rt_network_listen(struct rt_network *t); /* logs the address and the reason when it fails */
enum rt_result rt_network_reload(struct rt_network *t, const struct rt_network_settings *o);

/* Stops listening, closes idle connections at once and every session with the reason "server shutting down",
 * a bounded number a turn. */
void rt_network_drain(struct rt_network *t);

/* For an end that takes longer: no new sessions from now on; no listening either; the end of n sessions, some of them
 * rather than others by chance. */
void rt_network_refuse_sessions(struct rt_network *t);
void rt_network_stop_listening(struct rt_network *t);
void rt_network_end_some(struct rt_network *t, uint64_t n);

/* Gateways of other hosts: where they may find us, lent; and the secret by which we know each other. */
const json_t *rt_network_addresses(const struct rt_network *t);
void rt_network_set_secret(struct rt_network *t, struct rt_db *db, const char *hex);

size_t rt_network_connections(const struct rt_network *t);
void rt_network_free(struct rt_network *t); /* before the loop; may still call on_disconnect; NULL is fine */

struct rt_sockets *rt_network_sockets(struct rt_network *t);       /* lent */
struct rt_http_router *rt_network_router(struct rt_network *t);    /* lent */
const struct rt_traffic *rt_network_traffic(struct rt_network *t); /* lent; gauges as of this call */

#endif
