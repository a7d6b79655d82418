/* tls.h: ends TLS in front of everything else.
 *
 * Each TLS connection gets a pair of local sockets: tls.c moves bytes between the peer and one end, and the other end
 * is served, or passed to another worker, like any plain connection.  So there is one way of doing HTTP and
 * websockets, and long-polling finds its worker with TLS too; the price is one more copy. */
#ifndef RT_TLS_H
#define RT_TLS_H

#include <stdbool.h>
#include <stddef.h>

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

/* A peer that begins with RT_TLS_HELLO instead of a handshake: takes the descriptor, on which that has been read.
 */
void rt_tls_on_hello(struct rt_tls *t, void (*on_hello)(void *arg, int fd), void *arg);

/* ---- between gateways: by a secret, without certificates ------------------------------- */

#define RT_TLS_SECRET_BYTES 32

/* is_ours: whether we answer for that number. */
struct rt_tls *rt_tls_of_secret(struct rt_loop *l, struct rt_wheel *w, const unsigned char *secret,
								bool (*is_ours)(void *arg, int number), void *arg);
void rt_tls_set_secret(struct rt_tls *t, const unsigned char *secret); /* for new connections */

/* A connection of another gateway begins so, instead of with a request or a TLS handshake. */
#define RT_TLS_HELLO "RTPEER1\n"
#define RT_TLS_HELLO_LEN 8

struct rt_tls_guest
{
	bool connects; /* we are the client, and want the gateway of this number */
	int number;
	/* Both have the secret: what the inner end is, which is then ours; -1: there is none.  line: the first that the
	 * client has sent; NULL if we are it. */
	int (*on_open)(void *arg, const char *line);
	void (*on_end)(void *arg, bool opened); /* last, once */
	void *arg;
};

/* Takes the descriptor over, and copies what is sent first. */
void rt_tls_invite(struct rt_tls *t, int fd, const struct rt_tls_guest *guest, const void *first, size_t len);

#endif
