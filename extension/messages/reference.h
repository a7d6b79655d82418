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

/* What is answered must be a message of the room, which may have been deleted, and not one that is hidden from the
 * sender; *sender_id: NULL if there is none; restored: the row has brought its number along. */
extern void rt_reference_check_reply(Relation messages, int64 room_id, int64 reply_to, const Datum *sender_id,
									 bool restored);

/* For a room whose history is 'joined': whether the member has joined after this message. */
extern bool rt_reference_is_hidden(int64 room_id, Datum user_id, int64 seq);

/* A message with a number of its own has come, perhaps one that was deleted before. */
extern void rt_reference_drop_place(int64 room_id, int64 seq);

/* Gives back the sender's name, palloc'd. */
extern char *rt_reference_check_sender(Relation messages, Datum sender_id);

#endif
