/* socketio_server.h: starts and ends what socketio.h gives to the application. */
#ifndef RT_SOCKETIO_SERVER_H
#define RT_SOCKETIO_SERVER_H

#include "bgworker/gateway/engineio/engineio.h"
#include "socketio.h"
#include "bgworker/gateway/net/transport_conf.h"

struct rt_loop;
struct rt_wheel;

enum rt_result rt_socketio_new(struct rt_socketio **siop, struct rt_loop *l, struct rt_wheel *w,
							   const struct rt_transport_options *conf, struct rt_transport_stats *stats,
							   const struct rt_socketio_app *app, void (*on_descriptor_gone)(void *arg),
							   void *gone_arg);
void rt_socketio_free(struct rt_socketio *sio);             /* ends all sockets; NULL is fine */
struct rt_eio *rt_socketio_engine(struct rt_socketio *sio); /* lent */

#endif
