/* order.h: whether created_at rises with seq in a room, as rt.rooms.newest_at says it.
 *
 * A newest_at is the highest created_at of a room's messages; RT_ORDER_NONE (-infinity, or null beside a last_seq of
 * 0): there is none; RT_ORDER_LOST (infinity): times do not rise, and that stays so; RT_ORDER_UNKNOWN (null beside
 * messages): the row is from a dump of 1.1.  The search relies on it (search_walk.c). */
#ifndef RT_ORDER_H
#define RT_ORDER_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/rel.h"

#define RT_ORDER_NONE DT_NOBEGIN
#define RT_ORDER_LOST DT_NOEND
#define RT_ORDER_UNKNOWN (DT_NOEND - 1)

/* What it is after another message. */
extern TimestampTz rt_order_add(TimestampTz newest, TimestampTz created_at);

/* The time of a message that is sent now.  Read when the room is locked. */
extern TimestampTz rt_order_now(TimestampTz newest);

/* Whether a message that brings its number along fits between those with the numbers around it, the running
 * statement's own included. */
extern bool rt_order_fits(Relation messages, int64 room_id, int64 seq, TimestampTz created_at);

#endif
