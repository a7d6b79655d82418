/* message_json.h: a row of rt.messages as clients see it: MESSAGE of the wire contract, and the payload of
 * new-chat-message around it. */
#ifndef RT_MESSAGE_JSON_H
#define RT_MESSAGE_JSON_H

#include "postgres.h"
#include "access/htup.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"

/* Where the columns of rt.messages are. */
struct rt_message_columns
{
	AttrNumber room_id;
	AttrNumber seq;
	AttrNumber sender_id;
	AttrNumber content;
	AttrNumber message_type;
	AttrNumber metadata;
	AttrNumber reply_to;
	AttrNumber client_id;
	AttrNumber created_at;
	AttrNumber edited_at;
	AttrNumber deleted_at;
};

/* Looked up by name, once for each form of the row; lent. */
extern const struct rt_message_columns *rt_message_columns(TupleDesc desc);

/* Where MESSAGE stands in a payload. */
struct rt_message_place
{
	int start;
	int len;
};

/* user_name: the sender's, or NULL. */
extern struct rt_message_place rt_message_payload(StringInfo out, HeapTuple row, TupleDesc desc,
												  const char *user_name);

#endif
