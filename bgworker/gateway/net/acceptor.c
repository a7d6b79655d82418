/* acceptor.c: listens, accepts, and hands connections from one worker to another.
 *
 * A connection counts from here until whoever serves it says that its descriptor is gone (net/network.c).  Above
 * limits.max_connections another one must go for it, or it gets a 503 that is sent without looking at what it wants.
 *
 * Between workers there are SOCK_SEQPACKET pairs: one message is the peer's address, the descriptor, and the bytes
 * that were read from it already.  A worker that does not take it, since its queue is full, loses the connection: the
 * client comes back. */
#include "acceptor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"

#define MAX_LISTENERS 16
#define BACKLOG 4096
#define ACCEPTS_A_TURN 64
#define LEAVING_MAX 64 /* connections beyond the limit, while others end for them */
#define PAUSE_MS 100   /* when there are no descriptors left */
#define PEER_BYTES 46
#define MAX_PASSED_BYTES 131072

struct listener
{
	struct rt_acceptor *acceptor;
	struct rt_watch *watch;
	int fd;
};

struct rt_acceptor
{
	struct rt_loop *loop;
	const struct rt_network_settings *settings;
	struct rt_traffic *traffic;
	struct rt_acceptor_handler handler;
	struct listener listeners[MAX_LISTENERS];
	int nlisteners;
	struct rt_timer *pause;
	int worker_fds[RT_EIO_MAX_WORKERS]; /* -1 where there is none */
	struct rt_watch *passed_watch;
	char passed[PEER_BYTES + MAX_PASSED_BYTES];
};

/* ---- accepting --------------------------------------------------------------------- */

static void
write_peer(const struct sockaddr_storage *address, char *peer)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *) address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) address;

	snprintf(peer, PEER_BYTES, "unknown");
	if (address->ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, peer, PEER_BYTES);
	else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], peer, PEER_BYTES);
	else if (address->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, peer, PEER_BYTES);
}

static void
refuse_full(struct rt_acceptor *a, int fd)
{
	static const char reply[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n"
								"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
								"Retry-After: 5\r\n\r\n";

	a->traffic->refused_full++;
	/* A fresh socket takes so much at once; if not, the client sees a plain end. */
	(void) !send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static bool
has_place(struct rt_acceptor *a)
{
	uint64_t most = (uint64_t) a->settings->limits.max_connections;

	if (a->traffic->connections < most)
		return true;
	/* The one that goes may need a turn or two for it. */
	return a->traffic->connections < most + LEAVING_MAX && a->handler.on_full(a->handler.arg);
}

/* Out of descriptors or memory: the queue of connections waits a little, instead of waking us for nothing. */
static void
pause_accepting(struct rt_acceptor *a)
{
	rt_log(RT_LOG_WARNING, "accept", "cannot accept connections for now: %s", strerror(errno));
	for (int i = 0; i < a->nlisteners; i++)
		rt_watch_set(a->listeners[i].watch, 0);
	rt_timer_start(a->pause, PAUSE_MS);
}

static void
on_pause_over(void *arg)
{
	struct rt_acceptor *a = arg;

	for (int i = 0; i < a->nlisteners; i++)
		rt_watch_set(a->listeners[i].watch, RT_READABLE);
}

static void
on_acceptable(void *arg, int events)
{
	struct listener *listener = arg;
	struct rt_acceptor *a = listener->acceptor;

	(void) events;
	rt_activity_begin(RT_ACTIVITY_CONNECTION);
	for (int n = 0; n < ACCEPTS_A_TURN; n++)
	{
		struct sockaddr_storage address = {0};
		socklen_t len = sizeof(address);
		char peer[PEER_BYTES];
		int fd = accept4(listener->fd, (struct sockaddr *) &address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		int on = 1;

		if (fd < 0)
		{
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				pause_accepting(a);
			return; /* the queue is empty, or the connection is gone again */
		}
		if (!has_place(a))
		{
			refuse_full(a, fd);
			continue;
		}
		a->traffic->accepted++;
		a->traffic->connections++;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		write_peer(&address, peer);
		a->handler.on_accept(a->handler.arg, fd, peer);
	}
}

/* ---- listening ---------------------------------------------------------------------- */

static int
open_listener(struct rt_acceptor *a, const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->settings->workers > 1)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	on = errno;
	close(fd);
	errno = on;
	return -1;
}

static void
add_listener(struct rt_acceptor *a, int fd)
{
	struct listener *listener = &a->listeners[a->nlisteners];

	listener->acceptor = a;
	listener->fd = fd;
	listener->watch = rt_watch_new(a->loop, fd, on_acceptable, listener);
	if (listener->watch == NULL)
	{
		close(fd);
		return;
	}
	rt_watch_set(listener->watch, RT_READABLE);
	a->nlisteners++;
}

/* `address` NULL: all.  Names are looked up here, at the start, when nobody waits yet. */
static void
listen_on(struct rt_acceptor *a, const char *address)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *list = NULL;
	const char *shown = address == NULL ? "*" : address;
	char port[12];
	int rc;

	snprintf(port, sizeof(port), "%d", a->settings->port);
	rc = getaddrinfo(address, port, &hints, &list);
	if (rc != 0)
	{
		rt_log(RT_LOG_ERROR, "accept", "cannot listen on \"%s\": %s", shown, gai_strerror(rc));
		return;
	}
	for (struct addrinfo *ai = list; ai != NULL && a->nlisteners < MAX_LISTENERS; ai = ai->ai_next)
	{
		int fd = open_listener(a, ai);

		if (fd >= 0)
			add_listener(a, fd);
		else if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
			rt_log(RT_LOG_ERROR, "accept", "cannot listen on \"%s\", port %d: %s", shown, a->settings->port,
				   strerror(errno));
	}
	freeaddrinfo(list);
}

enum rt_result
rt_acceptor_listen(struct rt_acceptor *a)
{
	char *addresses = rt_strdup(a->settings->listen_addresses);
	char *rest = NULL;

	for (char *one = strtok_r(addresses, ", ", &rest); one != NULL; one = strtok_r(NULL, ", ", &rest))
		listen_on(a, strcmp(one, "*") == 0 ? NULL : one);
	free(addresses);
	if (a->nlisteners > 0)
		return RT_OK;
	rt_log(RT_LOG_ERROR, "accept", "there is no address to listen on");
	return RT_INTERNAL;
}

int
rt_acceptor_listener(const struct rt_acceptor *a, int i)
{
	return i < a->nlisteners ? a->listeners[i].fd : -1;
}

void
rt_acceptor_stop(struct rt_acceptor *a)
{
	rt_timer_stop(a->pause);
	while (a->nlisteners > 0)
	{
		struct listener *listener = &a->listeners[--a->nlisteners];

		rt_watch_free(listener->watch);
		close(listener->fd);
	}
}

void
rt_acceptor_leave(struct rt_acceptor *a)
{
	/* What the kernel has accepted for us would be reset. */
	for (int i = 0; i < a->nlisteners; i++)
		on_acceptable(&a->listeners[i], RT_READABLE);
	rt_acceptor_stop(a);
	if (a->passed_watch != NULL)
		rt_watch_set(a->passed_watch, 0);
}

/* ---- between workers ------------------------------------------------------------------- */

enum rt_result
rt_acceptor_pass(struct rt_acceptor *a, int worker, int fd, const char *peer, const char *data, size_t len)
{
	char peer_bytes[PEER_BYTES] = {0};
	struct iovec parts[2] = {{peer_bytes, sizeof(peer_bytes)}, {(void *) data, len}};
	union
	{
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct msghdr message = {
		.msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	if (worker < 0 || worker >= RT_EIO_MAX_WORKERS || a->worker_fds[worker] < 0 || len > MAX_PASSED_BYTES)
		return RT_LIMIT;
	snprintf(peer_bytes, sizeof(peer_bytes), "%s", peer);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(a->worker_fds[worker], &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
	{
		rt_log(RT_LOG_DEBUG, "accept", "worker %d takes no connection: %s", worker, strerror(errno));
		return RT_AGAIN;
	}
	close(fd);
	a->traffic->passed_on++;
	a->traffic->connections--;
	return RT_OK;
}

static int
passed_descriptor(struct msghdr *message)
{
	int fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(fd)))
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void
on_passed(void *arg, int events)
{
	struct rt_acceptor *a = arg;
	struct iovec part = {a->passed, sizeof(a->passed)};
	union
	{
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(a->worker_fds[a->settings->eio.worker], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd;

	(void) events;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
	{
		rt_watch_set(a->passed_watch, 0); /* nobody is left at the other end */
		return;
	}
	fd = n < 0 ? -1 : passed_descriptor(&message);
	if (fd < 0)
		return;
	if (n < PEER_BYTES || !has_place(a))
	{
		refuse_full(a, fd);
		return;
	}
	a->passed[PEER_BYTES - 1] = '\0';
	a->traffic->connections++;
	a->handler.on_passed(a->handler.arg, fd, a->passed, a->passed + PEER_BYTES, (size_t) n - PEER_BYTES);
}

/* ---- start and end ------------------------------------------------------------------------ */

struct rt_acceptor *
rt_acceptor_new(struct rt_loop *l, const struct rt_network_settings *settings, struct rt_traffic *traffic,
				const struct rt_acceptor_handler *handler)
{
	struct rt_acceptor *a = rt_alloc(sizeof(*a));

	a->loop = l;
	a->settings = settings;
	a->traffic = traffic;
	a->handler = *handler;
	a->pause = rt_timer_new(l, on_pause_over, a);
	for (int i = 0; i < RT_EIO_MAX_WORKERS; i++)
		a->worker_fds[i] = i < settings->nsocket_fds ? settings->socket_fds[i] : -1;
	if (settings->eio.worker < RT_EIO_MAX_WORKERS && a->worker_fds[settings->eio.worker] >= 0)
	{
		a->passed_watch = rt_watch_new(l, a->worker_fds[settings->eio.worker], on_passed, a);
		if (a->passed_watch != NULL)
			rt_watch_set(a->passed_watch, RT_READABLE);
	}
	return a;
}

void
rt_acceptor_free(struct rt_acceptor *a)
{
	if (a == NULL)
		return;
	rt_acceptor_stop(a);
	rt_watch_free(a->passed_watch);
	rt_timer_free(a->pause);
	free(a);
}
