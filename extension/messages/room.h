/* room.h: last_seq and newest_at of rt.rooms, read and written past the executor: no trigger, rule or check of
 * rt.rooms is asked.
 */
#ifndef RT_ROOM_H
#define RT_ROOM_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "storage/itemptr.h"

#define RT_ERRCODE_NOT_FOUND MAKE_SQLSTATE('R', 'T', '4', '0', '4')

/* What a transaction knows of a room's row that it has written. */
struct rt_room_row
{
	ItemPointerData place; /* of the version that it has written last; invalid: none yet */
	bool has_left;         /* the column, as rt_room_take_seq() has read it */
	TimestampTz newest;    /* newest_at, as in order.h, as rt_room_take_seq() has read it */
};

/* All raise RT404 if there is no such room.  row->place is where the row is looked for first, and where it was
 * written. */

/* Raises last_seq by one, and returns it; newest_at is written as it is with a message of this time, which is set if
 * it is -infinity.  The row stays locked until the transaction ends. */
extern int64 rt_room_take_seq(int64 room_id, TimestampTz *created_at, struct rt_room_row *row);

/* For a room whose row the transaction has locked. */
extern void rt_room_set(int64 room_id, int64 last_seq, TimestampTz newest, struct rt_room_row *row);

/* Its times do not rise with the numbers.  The row stays locked until the transaction ends. */
extern void rt_room_lose_order(int64 room_id, struct rt_room_row *row);

/* Gives back last_seq; newest may be NULL. */
extern int64 rt_room_read(int64 room_id, TimestampTz *newest);

/* What decides who may send to a room. */
struct rt_room_rules
{
	bool archived;
	bool direct;
	bool admins_only;
};

/* Locks the room's row as FOR NO KEY UPDATE does, and reads its newest version.  False: there is no such room. */
extern bool rt_room_lock(int64 room_id, struct rt_room_rules *rules);

#endif
