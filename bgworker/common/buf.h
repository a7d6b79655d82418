/* buf.h: bytes that wait to be read or written: put at the end, taken from the front.  Bounded: what would go
 * over the limit is refused whole. */
#ifndef RT_BUF_H
#define RT_BUF_H

#include <stddef.h>

#include "result.h"

/* All zero but for the limit is an empty buffer.  For others than buf.c: read-only. */
struct rt_buf
{
	char *data;
	size_t begin;
	size_t end;
	size_t room;
	size_t limit_bytes;
};

void rt_buf_init(struct rt_buf *b, size_t limit_bytes);
void rt_buf_fini(struct rt_buf *b); /* empty afterwards, the limit stays */

size_t rt_buf_len(const struct rt_buf *b);
char *rt_buf_peek(const struct rt_buf *b, size_t *len);                    /* lent until the next put or drop */
enum rt_result rt_buf_put(struct rt_buf *b, const void *data, size_t len); /* RT_LIMIT: nothing was put */
enum rt_result rt_buf_put_str(struct rt_buf *b, const char *s);
void rt_buf_drop(struct rt_buf *b, size_t len); /* at most all; an empty buffer gives much memory back */

#endif
