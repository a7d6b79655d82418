/* room.h: last_seq and newest_at of rt.rooms, read and written past the executor: no trigger, rule or check of
 * rt.rooms is asked.
 */
#ifndef RT_ROOM_H
#define RT_ROOM_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "storage/itemptr.h"

#define RT_ERRCODE_NOT_FOUND MAKE_SQLSTATE('R', 'T', '4', '0', '4')

/* What a transaction knows of a room's row; zeroed: nothing.  The functions that write keep it up to date. */
struct rt_room_row
{
	ItemPointerData place;     /* of the version that it has written last; invalid: none yet */
	int written;               /* versions that it has written; 0 in a table of 1.1, whose functions ask it alone */
	bool has_left;             /* the column, as it was read last */
	bool hides;                /* history is 'joined', as it was read last */
	bool behind;               /* the row is to say otherwise than it does: rt_room_catch_up() */
	int64 stored;              /* last_seq, as it was written last, */
	int64 last;                /* and as it is to be */
	TimestampTz stored_newest; /* newest_at, as in order.h, as it was written last, */
	TimestampTz newest;        /* and as it is to be */
	TimestampTz last_at;       /* behind: as it is to be */
};

/* All raise RT404 if there is no such room, but where it says otherwise.  row->place is where the row is looked for
 * first, and where it was written.  Where the row is behind, what it says counts only if others have changed it. */

/* Raises last_seq by one, and returns it; newest_at is written as it is with a message of this time, which is set if
 * it is -infinity, and row->newest is as it is without.  The row stays locked until the transaction ends. */
extern int64 rt_room_take_seq(int64 room_id, TimestampTz *created_at, struct rt_room_row *row);

/* Writes last and newest.  For a room whose row the transaction has locked. */
extern void rt_room_set(int64 room_id, struct rt_room_row *row);

/* Its times do not rise with the numbers.  The row stays locked until the transaction ends. */
extern void rt_room_lose_order(int64 room_id, struct rt_room_row *row);

/* For a row that is behind.  Where the transaction has deleted it, there is nothing to do. */
extern void rt_room_catch_up(int64 room_id, struct rt_room_row *row);

/* Whether the row is as the transaction has written it; then *has_left is set, which may be NULL. */
extern bool rt_room_is_unchanged(int64 room_id, const struct rt_room_row *row, bool *has_left);

/* Gives back last_seq; row and newest may be NULL. */
extern int64 rt_room_read(int64 room_id, const struct rt_room_row *row, TimestampTz *newest);

/* What decides who may send to a room, and answer what. */
struct rt_room_rules
{
	bool archived;
	bool direct;
	bool admins_only;
	bool hides; /* history is 'joined' */
};

/* Locks the room's row as FOR NO KEY UPDATE does, and reads its newest version.  False: there is no such room. */
extern bool rt_room_lock(int64 room_id, struct rt_room_rules *rules);

#endif
