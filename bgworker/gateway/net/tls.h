/* tls.h: ends TLS in front of everything else.
 *
 * Each TLS connection gets a pair of local sockets: tls.c moves bytes between the peer and one end, and the other end
 * is served, or passed to another worker, like any plain connection.  So there is one way of doing HTTP and
 * websockets, and long-polling finds its worker with TLS too; the price is one more copy. */
#ifndef RT_TLS_H
#define RT_TLS_H

#include "bgworker/common/result.h"

struct rt_loop;
struct rt_tls;
struct rt_network_settings;
struct rt_wheel;

/* By tls_cert, tls_key and tls_min_version.  Log why they fail; a reload that fails leaves all as it is. */
enum rt_result rt_tls_new(struct rt_tls **tp, struct rt_loop *l, struct rt_wheel *w,
						  const struct rt_network_settings *o);
enum rt_result rt_tls_reload(struct rt_tls *t, const struct rt_network_settings *o); /* for new connections */
void rt_tls_free(struct rt_tls *t);                                                  /* closes all; NULL is fine */

/* Takes the descriptor over.  The inner end, non-blocking; -1 if there is none, then the descriptor was closed. */
int rt_tls_wrap(struct rt_tls *t, int fd);

#endif
