/* tcp.c: see tcp.h.  port.c owns the connections, and is called back from the loop's turn.
 *
 *   RFC 4571 section 2:  | LENGTH (2 bytes) | packet of LENGTH bytes | LENGTH | ...
 *
 * What must stay true: a packet is written whole or not at all, because the peer finds the next one by its length; so
 * one that is begun is kept until it is out, however slow the peer.  What does not fit into RT_TCP_MAX_WAITING is
 * dropped before its first byte, as a network would. */
#include "tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "bgworker/media/rtp/rtp.h"

#define FRAME_MAX 1500
#define FRAMES_A_TURN 128 /* then the rest of the loop has its turn */

struct rt_tcp
{
	struct rt_loop *loop;
	struct rt_watch *watch;
	int fd;
	struct rt_tuple tuple;
	rt_tcp_packet_cb on_packet;
	rt_tcp_closed_cb on_closed;
	void *arg;
	bool closed, known;
	uint64_t heard_ms;
	struct rt_tcp *next;
	size_t in_len;
	uint8_t in[2 + FRAME_MAX];
	uint8_t *out; /* what waits: [out_off, out_len) */
	size_t out_off, out_len, out_room;
	/* When what waits was no longer than this: what is older than that has left. */
	uint64_t kept, written; /* bytes that have passed through `out` */
	uint64_t mark, mark_ms;
};

static void
on_gone(void *arg)
{
	struct rt_tcp *t = arg;

	t->on_closed(t->arg, t);
}

void
rt_tcp_close(struct rt_tcp *t)
{
	if (t->closed)
		return;
	t->closed = true;
	rt_watch_set(t->watch, 0);
	rt_loop_defer(t->loop, on_gone, t);
}

/* Hands up each whole packet of the buffer, and returns how many frames there were; an empty one is no packet (RFC
 * 4571 section 2). */
static int
take_packets(struct rt_tcp *t)
{
	uint8_t packet[RT_TCP_BUFFER];
	size_t at = 0;
	int frames = 0;

	while (t->in_len - at >= 2 && !t->closed)
	{
		size_t n = rt_bytes_get16(t->in + at);

		if (n > FRAME_MAX)
		{
			rt_log(RT_LOG_DEBUG, "tcp", "frame of %zu bytes", n);
			rt_tcp_close(t);
			break;
		}
		if (t->in_len - at < 2 + n)
			break;
		memcpy(packet, t->in + at + 2, n);
		at += 2 + n;
		frames++;
		if (n > 0)
			t->on_packet(t->arg, t, packet, n);
	}
	t->in_len -= at;
	memmove(t->in, t->in + at, t->in_len);
	return frames;
}

/* Packets of full size fill the buffer one by one; of the smallest it holds 500. */
static void
read_some(struct rt_tcp *t)
{
	for (int frames = 0; frames < FRAMES_A_TURN && !t->closed;)
	{
		ssize_t n = recv(t->fd, t->in + t->in_len, sizeof(t->in) - t->in_len, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
		{
			rt_tcp_close(t);
			return;
		}
		t->in_len += (size_t) n;
		frames += 1 + take_packets(t);
	}
}

static void
note_written(struct rt_tcp *t, size_t n)
{
	t->written += n;
	if (t->written < t->mark)
		return;
	t->mark = t->kept;
	t->mark_ms = rt_loop_now_ms(t->loop);
}

static void
write_some(struct rt_tcp *t)
{
	while (t->out_off < t->out_len)
	{
		ssize_t n = send(t->fd, t->out + t->out_off, t->out_len - t->out_off, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
		{
			rt_tcp_close(t);
			return;
		}
		t->out_off += (size_t) n;
		note_written(t, (size_t) n);
	}
	t->out_off = t->out_len = 0;
	rt_watch_set(t->watch, RT_READABLE);
}

static void
on_event(void *arg, int events)
{
	struct rt_tcp *t = arg;

	rt_activity_begin(RT_ACTIVITY_TCP_PACKETS);
	if (events & RT_WRITABLE)
		write_some(t);
	if (events & RT_READABLE && !t->closed)
		read_some(t);
}

struct rt_tcp *
rt_tcp_new(struct rt_loop *l, int fd, const struct rt_tuple *peer, rt_tcp_packet_cb on_packet,
		   rt_tcp_closed_cb on_closed, void *arg)
{
	struct rt_tcp *t = rt_alloc(sizeof(*t));

	t->loop = l;
	t->fd = fd;
	t->tuple = *peer;
	t->tuple.tcp = t;
	t->on_packet = on_packet;
	t->on_closed = on_closed;
	t->arg = arg;
	t->heard_ms = rt_loop_now_ms(l);
	t->watch = rt_watch_new(l, fd, on_event, t);
	rt_watch_set(t->watch, RT_READABLE);
	return t;
}

void
rt_tcp_free(struct rt_tcp *t)
{
	rt_watch_free(t->watch);
	close(t->fd);
	free(t->out);
	free(t);
}

const struct rt_tuple *
rt_tcp_tuple(const struct rt_tcp *t)
{
	return &t->tuple;
}

static void
keep(struct rt_tcp *t, const uint8_t *data, size_t len)
{
	if (t->out_len + len > t->out_room)
	{
		memmove(t->out, t->out + t->out_off, t->out_len - t->out_off);
		t->out_len -= t->out_off;
		t->out_off = 0;
	}
	memcpy(t->out + t->out_len, data, len);
	t->out_len += len;
	t->kept += len;
}

/* The oldest byte has waited for about so long: at least half of that, at most twice. */
static uint64_t
waited_ms(const struct rt_tcp *t)
{
	return t->out_len == t->out_off ? 0 : rt_loop_now_ms(t->loop) - t->mark_ms;
}

bool
rt_tcp_send(struct rt_tcp *t, const uint8_t *data, size_t len)
{
	uint8_t head[2];
	struct iovec iov[2] = {{head, 2}, {(void *) (uintptr_t) data, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n = 0;

	if (t->closed || t->out_len - t->out_off + 2 + len > RT_TCP_MAX_WAITING)
		return false;
	if (len > RT_TCP_SMALL && waited_ms(t) > RT_TCP_MAX_WAIT_MS)
		return false;
	rt_bytes_put16(head, (uint16_t) len);
	if (t->out_len == t->out_off)
		n = sendmsg(t->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
	{
		rt_tcp_close(t);
		return false;
	}
	if (n < 0)
		n = 0;
	if ((size_t) n == 2 + len)
		return true;
	if (t->out == NULL)
	{
		t->out_room = RT_TCP_MAX_WAITING;
		t->out = rt_alloc(t->out_room);
	}
	if (t->out_len == t->out_off)
	{
		t->mark = t->kept + 2 + len - (size_t) n;
		t->mark_ms = rt_loop_now_ms(t->loop);
	}
	if (n < 2)
		keep(t, head + n, 2 - (size_t) n);
	keep(t, data + (n > 2 ? n - 2 : 0), len - (size_t) (n > 2 ? n - 2 : 0));
	rt_watch_set(t->watch, RT_READABLE | RT_WRITABLE);
	return true;
}

struct rt_tcp *
rt_tcp_next(const struct rt_tcp *t)
{
	return t->next;
}

void
rt_tcp_link(struct rt_tcp **head, struct rt_tcp *t)
{
	t->next = *head;
	*head = t;
}

void
rt_tcp_unlink(struct rt_tcp **head, struct rt_tcp *t)
{
	while (*head != NULL && *head != t)
		head = &(*head)->next;
	if (*head != NULL)
		*head = t->next;
}

uint64_t
rt_tcp_heard_ms(const struct rt_tcp *t)
{
	return t->heard_ms;
}

void
rt_tcp_note_heard(struct rt_tcp *t)
{
	t->heard_ms = rt_loop_now_ms(t->loop);
	t->known = true;
}

bool
rt_tcp_is_stranger(const struct rt_tcp *t)
{
	return !t->known && !t->closed;
}
