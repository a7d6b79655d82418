/* reference.h: the foreign keys of an inserted message, to its room, its sender and what it answers.
 *
 * The constraints are declared as any other, and their triggers do the rest of the work: changing a message's room or
 * sender, deleting a room or a user.  For INSERT alone they are disabled (40_messages.sql) and this is called
 * instead: the row of the room is locked already, for its number, the sender is found without SPI, which takes a
 * third of the time, and most messages answer none.  What is refused, and how, is the same. */
#ifndef RT_REFERENCE_H
#define RT_REFERENCE_H

#include "postgres.h"
#include "utils/rel.h"

/* Raises foreign_key_violation unless the row is there.  It cannot be deleted then until the transaction ends. */
extern void rt_reference_check_room(Relation messages, int64 room_id);
extern void rt_reference_check_reply(Relation messages, int64 room_id, int64 reply_to);

/* Gives back the sender's name, palloc'd. */
extern char *rt_reference_check_sender(Relation messages, Datum sender_id);

#endif
