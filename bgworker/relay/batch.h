/* batch.h: what the relay writes in one transaction: events with their positions, as rows of rt.events and as
 * notifications.  A batch whose transaction failed is written again, as it is. */
#ifndef RT_BATCH_H
#define RT_BATCH_H

#include "postgres.h"
#include "utils/timestamp.h"

struct rt_batch;

/* Texts are lent for the time of the call. */
struct rt_batch_event
{
	const char *name;
	const char *route;   /* NULL: the room's */
	const char *payload; /* from its brace on */
	int64 room_id;       /* 0: none */
	int64 seq;           /* 0: none */
	TimestampTz at;
	bool logged;
	bool message; /* a new message: the log refers to its row */
};

extern struct rt_batch *rt_batch_new(MemoryContext parent);

/* Empties it; the next logged event gets the position after last_pos. */
extern void rt_batch_reset(struct rt_batch *b, int64 last_pos);

extern void rt_batch_add(struct rt_batch *b, const struct rt_batch_event *e);

/* The messages from to to of a room, as far as the batch takes them; returns the first one that it did not
 * take.  Inside a transaction.  Numbers without a row are passed over. */
extern int64 rt_batch_add_range(struct rt_batch *b, int64 room_id, int64 from, int64 to, TimestampTz at);

extern bool rt_batch_is_full(const struct rt_batch *b);
extern int rt_batch_count(const struct rt_batch *b);
extern int64 rt_batch_last_pos(const struct rt_batch *b);

/* Memory that lives until rt_batch_reset(). */
extern MemoryContext rt_batch_context(const struct rt_batch *b);

/* Inside a transaction. */
extern void rt_batch_log(struct rt_batch *b);
extern void rt_batch_notify(struct rt_batch *b);

#endif
