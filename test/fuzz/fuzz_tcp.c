/* fuzz_tcp.c: bytes of a connection with RFC 4571 framing, cut into pieces; every frame is handed up as it was sent.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "bgworker/media/rtp/rtp.h"
#include "bgworker/media/net/tcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What should come up, and how far it has. */
struct expected
{
	const uint8_t *data;
	size_t size, at;
	bool closed;
};

static void
skip_empty(struct expected *e)
{
	while (e->at + 2 <= e->size && rt_bytes_get16(e->data + e->at) == 0)
		e->at += 2;
}

static void
on_packet(void *arg, struct rt_tcp *t, uint8_t *data, size_t len)
{
	struct expected *e = arg;

	(void) t;
	skip_empty(e);
	assert(e->at + 2 + len <= e->size && rt_bytes_get16(e->data + e->at) == len);
	assert(memcmp(e->data + e->at + 2, data, len) == 0);
	e->at += 2 + len;
}

static void
on_closed(void *arg, struct rt_tcp *t)
{
	struct expected *e = arg;

	assert(!e->closed);
	e->closed = true;
	rt_tcp_free(t);
}

/* The first byte tells the size of the pieces. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rt_tuple peer = {.tcp_id = 1};
	struct expected e = {data + 1, size ? size - 1 : 0, 0, false};
	size_t piece = size ? 1 + data[0] * 8u : 1, frame = 0;
	struct rt_loop *loop;
	int fds[2];

	if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0 || rt_loop_new(&loop) != RT_OK)
		return 0;
	rt_tcp_new(loop, fds[0], &peer, on_packet, on_closed, &e);
	for (size_t at = 0; at < e.size && !e.closed; at += piece)
	{
		if (write(fds[1], e.data + at, e.size - at < piece ? e.size - at : piece) < 0)
			break;
		uv_run(rt_loop_uv(loop), UV_RUN_NOWAIT);
	}
	close(fds[1]);
	for (int i = 0; i < 100 && !e.closed; i++)
		uv_run(rt_loop_uv(loop), UV_RUN_NOWAIT);
	assert(e.closed);
	/* all whole frames came up to the first that is too long, but for the empty ones */
	while (frame + 2 <= e.size && rt_bytes_get16(e.data + frame) <= RT_RTP_MAX_PACKET &&
		   frame + 2 + rt_bytes_get16(e.data + frame) <= e.size)
		frame += 2u + rt_bytes_get16(e.data + frame);
	skip_empty(&e);
	assert(e.at == frame);
	rt_loop_free(loop);
	return 0;
}
