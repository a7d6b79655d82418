/* upgrade.h: websockets of Engine.IO: a session that begins on one, and one on polling that moves to one. */
#ifndef RT_UPGRADE_H
#define RT_UPGRADE_H

#include "eio_session.h"
#include "websocket.h"

/* A request for a websocket, at its head.  s NULL: for a new session. */
enum rt_http_verdict rt_upgrade_begin(struct rt_eio_sessions *set, struct rt_websocket_server *server,
									  struct rt_eio_session *s, struct rt_httpconn *c, const struct rt_http_head *h,
									  const char *query);

/* For rt_websocket_server_new(); the owner is the session. */
void rt_upgrade_on_message(void *owner, struct rt_websocket *ws, const char *data, size_t len, bool binary);
void rt_upgrade_on_writable(void *owner, struct rt_websocket *ws);
void rt_upgrade_on_closed(void *owner, struct rt_websocket *ws);

#endif
