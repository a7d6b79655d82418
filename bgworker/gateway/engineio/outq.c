/* outq.c: a queue of frames, in a ring that grows.
 *
 * Each place holds one reference to its frame.  `bytes` is the sum of cost_of() over what is in it, at all times, so
 * that the limit holds for what the queue keeps alive and not for what it has ever carried.  The ring is `few` until
 * it is full, then `more`, four times as large each time; an empty queue is back in `few`, so a burst leaves no
 * memory behind.  What happens when the limit is hit is the caller's to decide: eio_session.c cuts the client off. */
#include "outq.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"

static struct rt_frame **
slots_of(const struct rt_outq *q, uint32_t *room)
{
	if (q->more != NULL)
	{
		*room = q->room;
		return q->more;
	}
	*room = RT_OUTQ_INLINE;
	return (struct rt_frame **) q->few;
}

static size_t
cost_of(const struct rt_frame *f)
{
	size_t len;

	rt_frame_wire(f, &len);
	return len + RT_OUTQ_FRAME_BYTES;
}

static void
grow(struct rt_outq *q)
{
	uint32_t old_room;
	struct rt_frame **old = slots_of(q, &old_room);
	uint32_t room = old_room * 4;
	struct rt_frame **slots = rt_alloc(room * sizeof(*slots));

	for (uint32_t i = 0; i < q->count; i++)
		slots[i] = old[(q->head + i) % old_room];
	free(q->more);
	q->more = slots;
	q->room = room;
	q->head = 0;
}

void
rt_outq_fini(struct rt_outq *q)
{
	while (q->count > 0)
		rt_outq_pop(q);
	free(q->more);
	memset(q, 0, sizeof(*q));
}

enum rt_result
rt_outq_push(struct rt_outq *q, struct rt_frame *f, size_t limit_bytes)
{
	size_t cost = cost_of(f);
	uint32_t room;
	struct rt_frame **slots;

	if (q->count > 0 && q->bytes + cost > limit_bytes)
		return RT_LIMIT;
	slots = slots_of(q, &room);
	if (q->count == room)
	{
		grow(q);
		slots = slots_of(q, &room);
	}
	slots[(q->head + q->count) % room] = rt_frame_ref(f);
	q->count++;
	q->bytes += cost;
	return RT_OK;
}

struct rt_frame *
rt_outq_peek(const struct rt_outq *q, uint32_t i)
{
	uint32_t room;
	struct rt_frame **slots = slots_of(q, &room);

	return i < q->count ? slots[(q->head + i) % room] : NULL;
}

void
rt_outq_pop(struct rt_outq *q)
{
	uint32_t room;
	struct rt_frame **slots = slots_of(q, &room);
	struct rt_frame *f;

	assert(q->count > 0);
	f = slots[q->head];
	q->head = (q->head + 1) % room;
	q->count--;
	q->bytes -= cost_of(f);
	rt_frame_unref(f);
	if (q->count > 0)
		return;
	q->head = 0;
	free(q->more);
	q->more = NULL;
	q->room = 0;
}
