/* message_check.h: what a message must be like.
 *
 * The form of its columns could be CHECK constraints, which PostgreSQL reads and plans anew for each statement: 8 %
 * of what an INSERT costs.  So the triggers check it, as they check the size, and rt.import_messages() does. */
#ifndef RT_MESSAGE_CHECK_H
#define RT_MESSAGE_CHECK_H

#include "postgres.h"
#include "access/htup.h"
#include "access/tupdesc.h"

#include "message_json.h"

/* Raises check_violation. */
extern void rt_message_check_form(HeapTuple row, TupleDesc desc, const struct rt_message_columns *c);

/* Raises RT400 for an empty message, RT413 for one above rt.max_message_size. */
extern void rt_message_check_size(HeapTuple row, TupleDesc desc, const struct rt_message_columns *c);

#endif
