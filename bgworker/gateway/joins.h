/* joins.h: joins that the database has not answered yet.
 *
 * From the moment of the request until its answer, the events of the room are noted for the client, since the
 * database may have made the join before them; and a membership that ends meanwhile cancels the join.  A join
 * that would have to note more than a bound is cancelled too. */
#ifndef RT_JOINS_H
#define RT_JOINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"

struct rt_client;
struct rt_joins;
struct rt_pending_join;
struct rt_rooms;

struct rt_joins *rt_joins_new(void);
void rt_joins_free(struct rt_joins *js); /* NULL is fine */

/* One room; `user` is the client's. */
struct rt_pending_join *rt_joins_begin(struct rt_joins *js, const char *room, const char *user);
/* Ends it.  With `rooms`, and unless it was cancelled, the client is joined there and gets what was noted, with
 * `pos` as the position.  False if it was cancelled. */
bool rt_joins_finish(struct rt_joins *js, struct rt_pending_join *p, struct rt_rooms *rooms, struct rt_client *c,
					 uint64_t pos);

void rt_joins_note(struct rt_joins *js, const char *room, struct rt_frame *f);
void rt_joins_cancel(struct rt_joins *js, const char *room, const char *user); /* user NULL: all of the room */

#endif
