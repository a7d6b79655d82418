/* joins.h: joins that the database has not answered yet.
 *
 * From the moment of the request until its answer, the events of the room are noted for the client, since the
 * database may have made the join before them.  A membership that ends meanwhile cancels the join, unless the
 * database had seen that end already and the user is a member again.  A join that would have to note more than a
 * bound is cancelled too. */
#ifndef RT_JOINS_H
#define RT_JOINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/gateway/engineio/frame.h"

struct rt_client;
struct rt_joins;
struct rt_pending_join;
struct rt_rooms;
struct rt_snapshot;

struct rt_joins *rt_joins_new(void);
void rt_joins_free(struct rt_joins *js); /* NULL is fine */

/* One room; `user` is the client's. */
struct rt_pending_join *rt_joins_begin(struct rt_joins *js, const char *room, const char *user);
/* With `rooms`, and unless it was cancelled, the client is joined there.  `seen` is what the database had seen when
 * it answered.  False if it was cancelled.  The client is told the outcome, then rt_joins_deliver() is due, in the
 * same turn. */
bool rt_joins_finish(struct rt_joins *js, struct rt_pending_join *p, struct rt_rooms *rooms, struct rt_client *c,
					 struct rt_snapshot *seen);
/* Ends it.  The client gets what was noted, with `pos` as the position; NULL: it has left. */
void rt_joins_deliver(struct rt_pending_join *p, struct rt_client *c, uint64_t pos);

void rt_joins_note(struct rt_joins *js, const char *room, struct rt_frame *f);
/* The membership of user (NULL: everybody's) was ended by transaction xid (0: not known). */
void rt_joins_end_membership(struct rt_joins *js, const char *room, const char *user, uint64_t xid);

#endif
