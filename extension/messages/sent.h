/* sent.h: what AFTER ROW has written of messages, for whoever has inserted them and must answer with the same text.
 */
#ifndef RT_SENT_H
#define RT_SENT_H

#include "postgres.h"

struct rt_sent;

/* Notes the messages of one room from now on, in the caller's memory context, until rt_sent_end(), which must come in
 * any case. */
extern struct rt_sent *rt_sent_begin(int64 room_id);
extern void rt_sent_end(struct rt_sent *sent);

/* For AFTER ROW: MESSAGE of the wire contract.  Copies it, if somebody asks for this room's. */
extern void rt_sent_note(int64 room_id, int64 seq, const char *message, Size len);

/* Lent until the end; NULL: it was not noted. */
extern const char *rt_sent_find(const struct rt_sent *sent, int64 seq, Size *len);

#endif
