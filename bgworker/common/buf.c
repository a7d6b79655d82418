/* buf.c: see buf.h.  Bytes that were taken leave a gap at the front, which is closed when room is needed; a buffer
 * that is empty and large gives its memory back, so that one large message does not stay with a connection for its
 * life. */
#include "buf.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define FIRST_ROOM 512
#define KEPT_ROOM 4096 /* an empty buffer that is larger than this is freed */

void
rt_buf_init(struct rt_buf *b, size_t limit_bytes)
{
	memset(b, 0, sizeof(*b));
	b->limit_bytes = limit_bytes;
}

void
rt_buf_fini(struct rt_buf *b)
{
	size_t limit_bytes = b->limit_bytes;

	free(b->data);
	rt_buf_init(b, limit_bytes);
}

size_t
rt_buf_len(const struct rt_buf *b)
{
	return b->end - b->begin;
}

char *
rt_buf_peek(const struct rt_buf *b, size_t *len)
{
	*len = b->end - b->begin;
	return b->data == NULL ? NULL : b->data + b->begin;
}

/* Room for len more bytes at the end. */
static void
make_room(struct rt_buf *b, size_t len)
{
	size_t used = b->end - b->begin;
	size_t room = b->room == 0 ? FIRST_ROOM : b->room;

	if (b->room - b->end >= len)
		return;
	if (b->begin > 0)
	{
		memmove(b->data, b->data + b->begin, used);
		b->begin = 0;
		b->end = used;
	}
	while (room - used < len)
		room *= 2;
	if (room > b->room)
	{
		b->data = rt_realloc(b->data, room);
		b->room = room;
	}
}

enum rt_result
rt_buf_put(struct rt_buf *b, const void *data, size_t len)
{
	if (len > b->limit_bytes || rt_buf_len(b) > b->limit_bytes - len)
		return RT_LIMIT;
	if (len == 0)
		return RT_OK;
	make_room(b, len);
	memcpy(b->data + b->end, data, len);
	b->end += len;
	return RT_OK;
}

enum rt_result
rt_buf_put_str(struct rt_buf *b, const char *s)
{
	return rt_buf_put(b, s, strlen(s));
}

void
rt_buf_drop(struct rt_buf *b, size_t len)
{
	size_t used = rt_buf_len(b);

	b->begin += len < used ? len : used;
	if (b->begin < b->end)
		return;
	if (b->room > KEPT_ROOM)
		rt_buf_fini(b);
	else
		b->begin = b->end = 0;
}
