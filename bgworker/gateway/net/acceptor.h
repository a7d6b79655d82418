/* acceptor.h: listening sockets, and connections handed from one worker to another.
 *
 * Workers share the port by SO_REUSEPORT, so any of them may accept a connection.  Every request is looked at before
 * it is served; one that names the session of another worker goes there with its connection and the bytes that were
 * read, and the connection stays there.  With TLS it is the inner end of the connection that goes; see tls.h. */
#ifndef RT_ACCEPTOR_H
#define RT_ACCEPTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "bgworker/common/result.h"
#include "network_settings.h"

struct rt_acceptor;
struct rt_loop;

struct rt_acceptor_handler
{
	bool (*on_full)(void *arg);                             /* makes room for one more; false: it cannot */
	void (*on_accept)(void *arg, int fd, const char *peer); /* owns the descriptor from then on */
	void (*on_passed)(void *arg, int fd, const char *peer, const char *data, size_t len); /* from another worker */
	void *arg;
};

struct rt_acceptor *rt_acceptor_new(struct rt_loop *l, const struct rt_network_settings *settings,
									struct rt_traffic *traffic, const struct rt_acceptor_handler *handler);
enum rt_result rt_acceptor_listen(struct rt_acceptor *a);     /* logs what fails; one address must succeed */
int rt_acceptor_listener(const struct rt_acceptor *a, int i); /* its descriptor; -1 behind the last */
void rt_acceptor_stop(struct rt_acceptor *a);  /* listening; connections still come from other workers */
void rt_acceptor_leave(struct rt_acceptor *a); /* the same, and those are a successor's */
void rt_acceptor_free(struct rt_acceptor *a);  /* NULL is fine */

/* Hands the descriptor over and closes it here.  Not RT_OK: nothing has happened. */
enum rt_result rt_acceptor_pass(struct rt_acceptor *a, int worker, int fd, const char *peer, const char *data,
								size_t len);

#endif
