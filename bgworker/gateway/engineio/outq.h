/* outq.h: frames that wait for one socket.  Bounded in bytes: a client that reads too slowly is cut off, never
 * buffered for.
 *
 * There is one for each connected client, so it lies in the client's struct and takes no memory of its own until
 * more than RT_OUTQ_INLINE frames wait. */
#ifndef RT_OUTQ_H
#define RT_OUTQ_H

#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "frame.h"

#define RT_OUTQ_INLINE 2
#define RT_OUTQ_FRAME_BYTES 32 /* what a waiting frame costs besides its bytes, so that tiny ones count too */

/* All zero is an empty queue.  For others than outq.c: read-only. */
struct rt_outq
{
	struct rt_frame **more; /* ring of `room` slots; NULL: the inline ones are in use */
	uint32_t head;
	uint32_t count;
	uint32_t room;
	size_t bytes;
	struct rt_frame *few[RT_OUTQ_INLINE];
};

void rt_outq_fini(struct rt_outq *q); /* empty afterwards */

/* Adds a reference.  RT_LIMIT if the queue would hold more than limit_bytes; a single frame always fits. */
enum rt_result rt_outq_push(struct rt_outq *q, struct rt_frame *f, size_t limit_bytes);
struct rt_frame *rt_outq_peek(const struct rt_outq *q, uint32_t i); /* the i-th, lent until popped; NULL: no more */
void rt_outq_pop(struct rt_outq *q);                                /* the first, which must be there */

#endif
