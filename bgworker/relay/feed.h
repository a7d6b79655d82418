/* feed.h: where the relay's events come from: the ring, and after a start or a full ring first the tables. */
#ifndef RT_FEED_H
#define RT_FEED_H

#include "postgres.h"
#include "utils/timestamp.h"

#include "extension/server/rt_shmem.h"
#include "batch.h"

struct rt_feed;

/* Begins with a rescan. */
extern struct rt_feed *rt_feed_new(MemoryContext parent, rt_database *db);

/* Before all else: drops what the ring has, up to the first record that is not decided. */
extern void rt_feed_discard(struct rt_feed *f);

/* Whether a fill would give something, or get further.  Cheap, needs no transaction; gives the ring's aborted
 * records back. */
extern bool rt_feed_has_work(struct rt_feed *f);

/* Until when to wait at most, if the last look has found no work: a record may be about to be passed. */
extern long rt_feed_look_again_ms(const struct rt_feed *f, long timeout_ms);

/* Adds to the empty batch what it has room for, inside a transaction. */
extern void rt_feed_fill(struct rt_feed *f, struct rt_batch *b);

/* What was filled in last has been committed, or has not been and must come again. */
extern void rt_feed_keep(struct rt_feed *f);
extern void rt_feed_undo(struct rt_feed *f);

/* No event has been left out that a rescan has not found.  To be asked after a snapshot was taken: all that
 * had ended by then is in the ring before *head, or in the log. */
extern bool rt_feed_is_complete(struct rt_feed *f, uint64 *head);

/* Position in the ring up to which everything is in the batches filled so far. */
extern uint64 rt_feed_position(const struct rt_feed *f);

/* When the oldest event of the last fill was left; 0: it had none from the ring. */
extern TimestampTz rt_feed_oldest(const struct rt_feed *f);

/* Messages that the last fill has from a rescan. */
extern int rt_feed_rescued(const struct rt_feed *f);

#endif
