/* number.h: the numbers of messages in their rooms, 1, 2, 3, ..., in commit order and without a hole.
 *
 * The first row of a statement takes the next number from rt.rooms, whose row lock is then held until the
 * transaction ends; the rows after it count on in memory.  Whether a row really came in (ON CONFLICT DO NOTHING, a
 * trigger that returns null) is known only afterwards: a number that was not used is given to the next row, and what
 * is left over at the end of the statement goes back. */
#ifndef RT_NUMBER_H
#define RT_NUMBER_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/rel.h"

/* For a row that is about to be inserted.  Raises RT404 if there is no such room.  A created_at of -infinity is set
 * to the time when the room was locked. */
extern int64 rt_number_take(Relation messages, int64 room_id, TimestampTz *created_at);

/* For a row that will certainly come in, and will not be confirmed. */
extern int64 rt_number_take_used(int64 room_id, TimestampTz created_at);

/* For a row that brings its number along, as a restored one does: raises unless the room has got that far. */
extern void rt_number_check(Relation messages, int64 room_id, int64 seq, TimestampTz created_at);

/* The row was inserted.  False: it had brought its number along.  *late: after one of a higher number. */
extern bool rt_number_confirm(int64 room_id, int64 seq, bool *late);

/* Whether somebody has left the room, a direct one, by what its row said when its number was taken; true once. */
extern bool rt_number_take_has_left(int64 room_id);

/* Whether members do not see what was before they joined, by what its row said when its number was taken. */
extern bool rt_number_hides(int64 room_id);

/* The last number of the room, as a statement of the transaction sees it.  Raises RT404 if there is no such room. */
extern int64 rt_number_last(int64 room_id);

/* Whether the transaction has taken a number in the room, and so holds the lock of its row. */
extern bool rt_number_is_taken_in(int64 room_id);

/* The statement has ended: rt.rooms gets the numbers and times as they are, or will get them before the commit. */
extern void rt_number_settle(Relation messages);

/* For _PG_init. */
extern void rt_number_install(void);

#endif
