/* port.c: see port.h.  The engine's hub owns it; packets come from the loop's turn, and all calls from within it.
 *
 *   recvmmsg() ──> handler.on_packet() for each ──> rt_port_queue() ──> rt_port_flush() ──> sendmmsg()
 *
 * What must stay true:
 * - An outlet is in the list of dirty ones while, and only while, packets of it are queued; who frees an outlet calls
 *   rt_port_forget() first.
 * - Packets of one outlet leave in the order in which they were queued.
 * - Queued packets lie in out[0 .. used - 1]; the lent buffer is out[used].
 *
 * Limits: BATCHES_A_TURN batches a socket and turn; OUT_BUFFERS packets, then a flush; MAX_TCP connections, and of
 * one address MAX_STRANGERS that have not proved whose they are: the oldest stranger makes room for the next
 * connection; a kernel that takes no more drops the rest of the batch. */
#include "port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/log.h"
#include "tcp.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define BATCHES_A_TURN 16 /* then the rest of the loop has its turn */
#define SOCKET_BUFFER (4 * 1024 * 1024)
#define MAX_TCP 4096
#define MAX_STRANGERS 64 /* connections of one address that have not proved whose they are */
#define TCP_SILENT_MS 30000
#define TCP_STRANGER_MS 10000
#define SWEEP_MS 5000

#define BATCH_OUT 64
#define GSO_SEGMENTS 32 /* the kernel allows 64 */
#define GSO_BYTES 60000

#define MAX_SOCKETS 8
#define BATCH_IN 64
#define OUT_BUFFERS 1024

_Static_assert(RT_PORT_BUFFER == RT_TCP_BUFFER, "packets of both kinds are handed up in buffers of one size");

struct port_socket
{
	struct rt_port *port;
	int fd;
	int listener; /* TCP, -1: none */
	struct rt_watch *watch, *listen_watch;
	char address[INET6_ADDRSTRLEN];
};

/* For recvmmsg(), prepared once. */
struct batch_in
{
	struct mmsghdr msgs[BATCH_IN];
	struct iovec iov[BATCH_IN];
	struct rt_tuple from[BATCH_IN];
};

struct queued
{
	uint16_t len;
	int next; /* 1 + index */
};

struct rt_port
{
	struct rt_loop *loop;
	struct rt_port_handler handler;
	struct port_socket sockets[MAX_SOCKETS];
	int nsockets;
	struct rt_tcp *tcp;
	uint32_t next_tcp_id;
	struct rt_timer *sweep;
	struct rt_port_stats stats;
	bool no_gso;
	struct rt_outlet *dirty;
	int used; /* out buffers */
	struct queued packets[OUT_BUFFERS];
	uint8_t (*out)[RT_PORT_BUFFER];
	uint8_t (*in)[RT_PORT_BUFFER];
	struct batch_in batch;
};

/* ---- in ---- */

static void
prepare_batch(struct batch_in *b, uint8_t (*buffers)[RT_PORT_BUFFER])
{
	for (int i = 0; i < BATCH_IN; i++)
	{
		b->iov[i] = (struct iovec){buffers[i], RT_PORT_BUFFER};
		b->msgs[i].msg_hdr.msg_iov = &b->iov[i];
		b->msgs[i].msg_hdr.msg_iovlen = 1;
		b->msgs[i].msg_hdr.msg_name = &b->from[i].addr;
		b->msgs[i].msg_hdr.msg_namelen = sizeof(b->from[i].addr);
	}
}

static int
read_batch(struct rt_port *p, struct port_socket *s)
{
	struct mmsghdr *msgs = p->batch.msgs;
	struct rt_tuple *from = p->batch.from;
	uint64_t now;
	int n;

	n = recvmmsg(s->fd, msgs, BATCH_IN, MSG_DONTWAIT, NULL);
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
	struct port_socket *s = arg;

	(void) events;
	rt_activity_begin(RT_ACTIVITY_PACKETS);
	for (int i = 0; i < BATCHES_A_TURN; i++)
		if (read_batch(s->port, s) < BATCH_IN)
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

/* Whoever connects and says nothing must not keep others out.  False: nobody can go. */
static bool
make_room(struct rt_port *p, const struct rt_tuple *peer)
{
	struct rt_tcp *oldest = NULL, *oldest_here = NULL;
	int here = 0;

	for (struct rt_tcp *t = p->tcp; t != NULL; t = rt_tcp_next(t)) /* the newest comes first */
	{
		if (!rt_tcp_is_stranger(t))
			continue;
		oldest = t;
		if (!rt_tuple_same_host(rt_tcp_tuple(t), peer))
			continue;
		oldest_here = t;
		here++;
	}
	if (here >= MAX_STRANGERS)
		rt_tcp_close(oldest_here);
	else if (p->stats.tcp_connections >= MAX_TCP && oldest != NULL)
		rt_tcp_close(oldest);
	else
		return p->stats.tcp_connections < MAX_TCP;
	return true;
}

static void
on_accept(void *arg, int events)
{
	struct port_socket *s = arg;
	struct rt_port *p = s->port;

	(void) events;
	rt_activity_begin(RT_ACTIVITY_CONNECTION);
	for (int i = 0; i < 64; i++)
	{
		struct rt_tuple peer;
		socklen_t len = sizeof(peer.addr);
		int fd, one = 1, unsent = RT_TCP_KERNEL_UNSENT;

		memset(&peer, 0, sizeof(peer));
		fd = accept4(s->listener, &peer.addr.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
			pause_accepting(p);
		if (fd < 0)
			return;
		if (!make_room(p, &peer))
		{
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
		if (++p->next_tcp_id == 0)
			p->next_tcp_id = 1;
		peer.tcp_id = p->next_tcp_id;
		rt_tcp_link(&p->tcp, rt_tcp_new(p->loop, fd, &peer, on_tcp_packet, on_tcp_closed, p));
		p->stats.tcp_connections++;
	}
}

/* ---- out ---- */

void
rt_port_send(struct rt_port *p, const struct rt_tuple *to, const uint8_t *data, size_t len)
{
	bool sent = to->tcp != NULL ? rt_tcp_send(to->tcp, data, len)
								: sendto(p->sockets[to->socket].fd, data, len, MSG_DONTWAIT, &to->addr.any,
										 rt_tuple_addr_len(to)) == (ssize_t) len;

	p->stats.sends++;
	if (!sent)
	{
		p->stats.dropped++;
		return;
	}
	p->stats.packets_out++;
	p->stats.bytes_out += len;
}

void
rt_port_hang_up(struct rt_port *p, const struct rt_tuple *to)
{
	(void) p;
	if (to->tcp != NULL)
		rt_tcp_close(to->tcp);
}

uint8_t *
rt_port_buffer(struct rt_port *p)
{
	if (p->used == OUT_BUFFERS)
		rt_port_flush(p);
	return p->out[p->used];
}

void
rt_port_queue(struct rt_port *p, struct rt_outlet *o, size_t len)
{
	int i = ++p->used;

	p->packets[i - 1].len = (uint16_t) len;
	p->packets[i - 1].next = 0;
	if (o->first)
		p->packets[o->last - 1].next = i;
	else
	{
		o->first = i;
		o->next_dirty = p->dirty;
		p->dirty = o;
	}
	o->last = i;
}

/* Messages that are ready for one sendmmsg(). */
struct send_batch
{
	struct rt_port *port;
	int n, socket, niov;
	struct mmsghdr msgs[BATCH_OUT];
	struct iovec iov[BATCH_OUT * 4];
	union
	{
		char space[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control[BATCH_OUT];
	int count[BATCH_OUT]; /* packets in the message */
};

static void
count_sent(struct send_batch *b, int from, int to, bool sent)
{
	struct rt_port_stats *s = &b->port->stats;

	for (int i = from; i < to; i++)
	{
		if (!sent)
		{
			s->dropped += (uint64_t) b->count[i];
			continue;
		}
		s->packets_out += (uint64_t) b->count[i];
		for (size_t k = 0; k < b->msgs[i].msg_hdr.msg_iovlen; k++)
			s->bytes_out += b->msgs[i].msg_hdr.msg_iov[k].iov_len;
	}
}

static void
send_now(struct send_batch *b)
{
	int done = 0;

	while (done < b->n)
	{
		int n = sendmmsg(b->port->sockets[b->socket].fd, b->msgs + done, (unsigned) (b->n - done), MSG_DONTWAIT);

		b->port->stats.sends++;
		if (n > 0)
		{
			count_sent(b, done, done + n, true);
			done += n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
			break;
		if (n < 0 && errno == EIO && b->msgs[done].msg_hdr.msg_controllen)
			b->port->no_gso = true;           /* a device without checksum offload: from now on one by one */
		count_sent(b, done, done + 1, false); /* this peer cannot be reached; the others can */
		done++;
	}
	count_sent(b, done, b->n, false);
	b->n = b->niov = 0;
}

/* Appends one message of `count` packets that begin at index i: all of one size, but for a shorter last one. */
static void
add_message(struct send_batch *b, struct rt_outlet *o, int i, int count)
{
	struct rt_port *p = b->port;
	struct msghdr *m;
	uint16_t size = p->packets[i - 1].len;

	if (b->n == BATCH_OUT || b->niov + count > (int) (sizeof(b->iov) / sizeof(*b->iov)) ||
		(b->n && b->socket != o->tuple.socket))
		send_now(b);
	b->socket = o->tuple.socket;
	m = &b->msgs[b->n].msg_hdr;
	memset(m, 0, sizeof(*m));
	m->msg_name = &o->tuple.addr;
	m->msg_namelen = rt_tuple_addr_len(&o->tuple);
	m->msg_iov = &b->iov[b->niov];
	m->msg_iovlen = (size_t) count;
	b->count[b->n] = count;
	for (int k = 0; k < count; k++, i = p->packets[i - 1].next)
		b->iov[b->niov++] = (struct iovec){p->out[i - 1], p->packets[i - 1].len};
	if (count > 1)
	{
		struct cmsghdr *c = &b->control[b->n].align;

		m->msg_control = c;
		m->msg_controllen = sizeof(b->control[b->n].space);
		c->cmsg_level = IPPROTO_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(size));
		memcpy(CMSG_DATA(c), &size, sizeof(size));
	}
	b->n++;
}

/* How many packets from i on may go as one message. */
static int
run_length(const struct rt_port *p, int i)
{
	uint16_t size = p->packets[i - 1].len;
	int n = 1;

	if (p->no_gso)
		return 1;
	while ((i = p->packets[i - 1].next) && n < GSO_SEGMENTS && (n + 1) * size <= GSO_BYTES)
	{
		if (p->packets[i - 1].len > size)
			break;
		n++;
		if (p->packets[i - 1].len < size)
			break;
	}
	return n;
}

static void
flush_outlet(struct send_batch *b, struct rt_outlet *o)
{
	struct rt_port *p = b->port;

	for (int i = o->first; i;)
	{
		int n = 1;

		if (o->tuple.tcp != NULL)
			rt_port_send(p, &o->tuple, p->out[i - 1], p->packets[i - 1].len);
		else
		{
			n = run_length(p, i);
			add_message(b, o, i, n);
		}
		while (n-- > 0)
			i = p->packets[i - 1].next;
	}
	o->first = o->last = 0;
}

void
rt_port_flush(struct rt_port *p)
{
	static struct send_batch b; /* large; one loop, one thread */

	b.port = p;
	b.n = b.niov = 0;
	while (p->dirty != NULL)
	{
		struct rt_outlet *o = p->dirty;

		p->dirty = o->next_dirty;
		o->next_dirty = NULL;
		flush_outlet(&b, o);
	}
	if (b.n)
		send_now(&b);
	p->used = 0;
}

void
rt_port_forget(struct rt_port *p, struct rt_outlet *o)
{
	for (struct rt_outlet **at = &p->dirty; *at != NULL; at = &(*at)->next_dirty)
		if (*at == o)
		{
			*at = o->next_dirty;
			break;
		}
	o->first = o->last = 0;
	o->next_dirty = NULL;
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
	struct port_socket *s = &p->sockets[p->nsockets];

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
	for (ai = list; ai != NULL && p->nsockets < MAX_SOCKETS; ai = ai->ai_next)
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
	p->out = rt_alloc_resident(OUT_BUFFERS * sizeof(*p->out));
	p->in = rt_alloc_resident(BATCH_IN * sizeof(*p->in));
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
rt_port_totals(const struct rt_port *p)
{
	return &p->stats;
}
