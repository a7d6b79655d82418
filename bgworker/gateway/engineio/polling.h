/* polling.h: Engine.IO's long-polling: the GET that waits for packets, the POST that brings some. */
#ifndef RT_POLLING_H
#define RT_POLLING_H

#include "eio_session.h"

/* What struct rt_eio_poller asks for. */
void rt_polling_flush(struct rt_eio_session *s);
void rt_polling_end(struct rt_eio_session *s, bool by_client);

/* A GET, which waits until there is something for it. */
void rt_polling_get(struct rt_eio_session *s, struct rt_httpconn *c);

/* A POST: its head, then its body. */
enum rt_http_verdict rt_polling_begin_post(struct rt_eio_session *s, struct rt_httpconn *c);
void rt_polling_post(struct rt_eio_session *s, struct rt_httpconn *c, const struct rt_http_head *h, const char *body,
					 size_t len);

/* The client left before its request was answered: the session ends. */
void rt_polling_abandon(struct rt_eio_session *s, struct rt_httpconn *c);

#endif
