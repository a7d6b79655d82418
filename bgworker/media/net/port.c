#include "port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgworker/common/clock.h"
#include "bgworker/common/log.h"
#include "port_impl.h"
#include "tcp.h"

#define BATCHES_A_TURN 16 /* then the rest of the loop has its turn */
#define SOCKET_BUFFER (4 * 1024 * 1024)
#define MAX_TCP 4096
#define TCP_SILENT_MS 30000
#define TCP_STRANGER_MS 10000
#define SWEEP_MS 5000

/* ---- in ---- */

static void
prepare_batch(struct rt_port_batch *b, uint8_t (*buffers)[RT_PORT_BUFFER])
{
	for (int i = 0; i < RT_PORT_BATCH_IN; i++)
	{
		b->iov[i] = (struct iovec){buffers[i], RT_PORT_BUFFER};
		b->msgs[i].msg_hdr.msg_iov = &b->iov[i];
		b->msgs[i].msg_hdr.msg_iovlen = 1;
		b->msgs[i].msg_hdr.msg_name = &b->from[i].addr;
		b->msgs[i].msg_hdr.msg_namelen = sizeof(b->from[i].addr);
	}
}

static int
read_batch(struct rt_port *p, struct rt_port_socket *s)
{
	struct mmsghdr *msgs = p->batch.msgs;
	struct rt_tuple *from = p->batch.from;
	uint64_t now;
	int n;

	n = recvmmsg(s->fd, msgs, RT_PORT_BATCH_IN, MSG_DONTWAIT, NULL);
	if (n <= 0)
		return 0;
	now = rt_clock_us();
	for (int i = 0; i < n; i++)
	{
		p->stats.packets_in++;
		p->stats.bytes_in += msgs[i].msg_len;
		msgs[i].msg_hdr.msg_namelen = sizeof(from[i].addr); /* the kernel has written the peer's */
		if (msgs[i].msg_hdr.msg_flags & MSG_TRUNC)
			continue;
		from[i].socket = (uint8_t) (s - p->sockets);
		p->handler.on_packet(p->handler.arg, &from[i], p->in[i], msgs[i].msg_len, now);
	}
	rt_port_flush(p);
	return n;
}

static void
on_readable(void *arg, int events)
{
	struct rt_port_socket *s = arg;

	(void) events;
	for (int i = 0; i < BATCHES_A_TURN; i++)
		if (read_batch(s->port, s) < RT_PORT_BATCH_IN)
			return;
}

static void
on_tcp_packet(void *arg, struct rt_tcp *t, uint8_t *data, size_t len)
{
	struct rt_port *p = arg;

	p->stats.packets_in++;
	p->stats.bytes_in += len;
	p->handler.on_packet(p->handler.arg, rt_tcp_tuple(t), data, len, rt_clock_us());
	if (p->handler.is_peer(p->handler.arg, rt_tcp_tuple(t)))
		rt_tcp_note_heard(t);
	rt_port_flush(p);
}

static void
on_tcp_closed(void *arg, struct rt_tcp *t)
{
	struct rt_port *p = arg;

	rt_port_flush(p);
	p->handler.on_tcp_closed(p->handler.arg, rt_tcp_tuple(t));
	rt_tcp_unlink(&p->tcp, t);
	rt_tcp_free(t);
	p->stats.tcp_connections--;
}

static void
watch_listeners(struct rt_port *p, int events)
{
	for (int i = 0; i < p->nsockets; i++)
		if (p->sockets[i].listen_watch != NULL)
			rt_watch_set(p->sockets[i].listen_watch, events);
}

/* Connections that say nothing of a peer's: a client of ours checks its consent every few seconds. */
static void
on_sweep(void *arg)
{
	struct rt_port *p = arg;
	uint64_t now = rt_loop_now_ms(p->loop);

	for (struct rt_tcp *t = p->tcp; t != NULL; t = rt_tcp_next(t))
	{
		bool known = p->handler.is_peer(p->handler.arg, rt_tcp_tuple(t));

		if (now - rt_tcp_heard_ms(t) > (known ? TCP_SILENT_MS : TCP_STRANGER_MS))
			rt_tcp_close(t);
	}
	watch_listeners(p, RT_READABLE);
	rt_timer_start(p->sweep, SWEEP_MS);
}

/* Out of descriptors: who connects waits until the next sweep, instead of waking us for nothing. */
static void
pause_accepting(struct rt_port *p)
{
	rt_log(RT_LOG_WARNING, "port", "cannot accept TCP connections for now: %s", strerror(errno));
	watch_listeners(p, 0);
}

static void
on_accept(void *arg, int events)
{
	struct rt_port_socket *s = arg;
	struct rt_port *p = s->port;

	(void) events;
	for (int i = 0; i < 64; i++)
	{
		struct rt_tuple peer;
		socklen_t len = sizeof(peer.addr);
		int fd, one = 1;

		memset(&peer, 0, sizeof(peer));
		fd = accept4(s->listener, &peer.addr.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
			pause_accepting(p);
		if (fd < 0)
			return;
		if (p->stats.tcp_connections >= MAX_TCP)
		{
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (++p->next_tcp_id == 0)
			p->next_tcp_id = 1;
		peer.tcp_id = p->next_tcp_id;
		rt_tcp_link(&p->tcp, rt_tcp_new(p->loop, fd, &peer, on_tcp_packet, on_tcp_closed, p));
		p->stats.tcp_connections++;
	}
}

/* ---- life ---- */

static int
bind_socket(const struct addrinfo *ai, int type)
{
	int one = 1, size = SOCKET_BUFFER, fd = socket(ai->ai_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	else
	{
		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
			setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || (type == SOCK_STREAM && listen(fd, 128) != 0))
	{
		close(fd);
		return -1;
	}
	return fd;
}

static bool
open_socket(struct rt_port *p, const struct addrinfo *ai)
{
	struct rt_port_socket *s = &p->sockets[p->nsockets];

	getnameinfo(ai->ai_addr, ai->ai_addrlen, s->address, sizeof(s->address), NULL, 0, NI_NUMERICHOST);
	s->port = p;
	s->fd = bind_socket(ai, SOCK_DGRAM);
	if (s->fd < 0)
	{
		rt_log(RT_LOG_ERROR, "port", "cannot bind UDP on %s: %s", s->address, strerror(errno));
		return false;
	}
	s->listener = bind_socket(ai, SOCK_STREAM);
	if (s->listener < 0)
		rt_log(RT_LOG_WARNING, "port", "cannot listen for TCP on %s: %s", s->address, strerror(errno));
	s->watch = rt_watch_new(p->loop, s->fd, on_readable, s);
	rt_watch_set(s->watch, RT_READABLE);
	if (s->listener >= 0)
	{
		s->listen_watch = rt_watch_new(p->loop, s->listener, on_accept, s);
		rt_watch_set(s->listen_watch, RT_READABLE);
	}
	p->nsockets++;
	return true;
}

/* One element of rt.listen_addresses: a host name or address, or '*' for all of both families. */
static void
open_host(struct rt_port *p, const char *host, const char *service)
{
	struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM}, *list, *ai;
	int rc = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, service, &hints, &list);

	if (rc != 0)
	{
		rt_log(RT_LOG_ERROR, "port", "cannot resolve \"%s\": %s", host, gai_strerror(rc));
		return;
	}
	for (ai = list; ai != NULL && p->nsockets < RT_PORT_SOCKETS; ai = ai->ai_next)
		open_socket(p, ai);
	freeaddrinfo(list);
}

enum rt_result
rt_port_new(struct rt_port **pp, struct rt_loop *l, const char *addresses, int port,
			const struct rt_port_handler *handler)
{
	struct rt_port *p = rt_alloc(sizeof(*p));
	char *list = rt_strdup(addresses), *save = NULL, service[8];

	p->loop = l;
	p->handler = *handler;
	p->out = rt_alloc_resident(RT_PORT_OUT_BUFFERS * sizeof(*p->out));
	p->in = rt_alloc_resident(RT_PORT_BATCH_IN * sizeof(*p->in));
	prepare_batch(&p->batch, p->in);
	snprintf(service, sizeof(service), "%d", port);
	for (char *host = strtok_r(list, ", ", &save); host != NULL; host = strtok_r(NULL, ", ", &save))
		open_host(p, host, service);
	free(list);
	if (p->nsockets == 0)
	{
		rt_port_free(p);
		return RT_INTERNAL;
	}
	p->sweep = rt_timer_new(l, on_sweep, p);
	rt_timer_start(p->sweep, SWEEP_MS);
	*pp = p;
	return RT_OK;
}

void
rt_port_free(struct rt_port *p)
{
	if (p == NULL)
		return;
	rt_timer_free(p->sweep);
	while (p->tcp != NULL)
	{
		struct rt_tcp *t = p->tcp;

		rt_tcp_unlink(&p->tcp, t);
		rt_tcp_free(t);
	}
	for (int i = 0; i < p->nsockets; i++)
	{
		rt_watch_free(p->sockets[i].watch);
		rt_watch_free(p->sockets[i].listen_watch);
		close(p->sockets[i].fd);
		if (p->sockets[i].listener >= 0)
			close(p->sockets[i].listener);
	}
	free(p->in);
	free(p->out);
	free(p);
}

const char *
rt_port_address(const struct rt_port *p, int i)
{
	return i < p->nsockets ? p->sockets[i].address : NULL;
}

const struct rt_port_stats *
rt_port_stats(const struct rt_port *p)
{
	return &p->stats;
}
