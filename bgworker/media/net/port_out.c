/* port_out.c: what leaves through a port, see port.h. */
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#include "port_impl.h"
#include "tcp.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define BATCH_OUT 64
#define GSO_SEGMENTS 32 /* the kernel allows 64 */
#define GSO_BYTES 60000

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

uint8_t *
rt_port_buffer(struct rt_port *p)
{
	if (p->used == RT_PORT_OUT_BUFFERS)
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
