/* pending.h: the events that an open transaction has emitted so far, encoded as the body of a ring record, with what
 * each open subtransaction would take along if it aborted.  Bounded: above collapse_at messages become ranges, above
 * limit events are no longer kept and the whole is `overflowed`. */
#ifndef RT_PENDING_H
#define RT_PENDING_H

#include "postgres.h"

#include "ring.h"

struct rt_pending;

/* In the current memory context; there is no free but the context's end. */
extern struct rt_pending *rt_pending_new(Size collapse_at, Size limit);

/* Lengths, flags and ids are taken from head; head->len is computed.  The texts may be NULL where their
 * length is 0.  level is the transaction's nesting level. */
extern void rt_pending_add(struct rt_pending *p, const struct rt_ring_event *head, const char *name,
						   const char *route, const char *payload, int level);

extern void rt_pending_subcommit(struct rt_pending *p, int level); /* does not raise */
extern void rt_pending_subabort(struct rt_pending *p, int level);  /* does not raise */

/* Puts the messages of each room in the order of their numbers; other events stay where they are. */
extern void rt_pending_sort(struct rt_pending *p);

extern bool rt_pending_overflowed(const struct rt_pending *p);
extern const char *rt_pending_body(const struct rt_pending *p, Size *len);

#endif
