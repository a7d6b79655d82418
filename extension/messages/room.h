/* room.h: last_seq of rt.rooms, read and written past the executor: no trigger, rule or check of rt.rooms is asked.
 */
#ifndef RT_ROOM_H
#define RT_ROOM_H

#include "postgres.h"

#define RT_ERRCODE_NOT_FOUND MAKE_SQLSTATE('R', 'T', '4', '0', '4')

/* All raise RT404 if there is no such room. */

/* Raises last_seq by one, and returns it.  The row stays locked until the transaction ends.  *has_left: its column.
 */
extern int64 rt_room_take_seq(int64 room_id, bool *has_left);

/* For a room whose row the transaction has locked. */
extern void rt_room_set_last_seq(int64 room_id, int64 last_seq);

extern int64 rt_room_last_seq(int64 room_id);

#endif
