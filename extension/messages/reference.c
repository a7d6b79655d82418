/* reference.c: checks the foreign keys of an inserted message; see reference.h.  As the server's own triggers do,
 * it sees what has committed by now under READ COMMITTED, and what the transaction sees under the higher levels;
 * either way it locks the row FOR KEY SHARE.
 *
 * Runs in the backend that inserts, in its transaction; raises where a key has no row.  The locks last until the
 * transaction ends.  Allocates in the caller's context. */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "number.h"
#include "reference.h"
#include "room.h"
#include "row.h"

static bool
lock_row(Relation table, TupleTableSlot *slot)
{
	ItemPointerData tid = slot->tts_tid;
	TM_FailureData failure;
	TM_Result result = table_tuple_lock(
		table, &tid, GetActiveSnapshot(), slot, GetCurrentCommandId(false), LockTupleKeyShare, LockWaitBlock,
		IsolationUsesXactSnapshot() ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);

	if (result != TM_Ok && IsolationUsesXactSnapshot())
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("could not serialize access due to concurrent update")));
	return result == TM_Ok;
}

static char *
text_column(Relation table, TupleTableSlot *slot, const char *column)
{
	bool isnull;
	Datum value = slot_getattr(slot, rt_row_column(RelationGetDescr(table), column), &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* *name, unless that is not asked for: the row's, NULL if it has none. */
static bool
is_there(const char *table_name, int nkeys, const Datum *keys, char **name)
{
	Relation table = rt_row_open_table(table_name, RowShareLock);
	struct rt_row row;
	bool found;

	CommandCounterIncrement();
	PushActiveSnapshot(IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : GetLatestSnapshot());
	found = rt_row_find(&row, table, GetActiveSnapshot(), nkeys, keys) && lock_row(table, row.slot);
	if (found && name != NULL)
		*name = text_column(table, row.slot, "name");
	rt_row_done(&row);
	PopActiveSnapshot();
	table_close(table, NoLock);
	return found;
}

static void
refuse(Relation messages, const char *constraint, const char *columns, const char *values, const char *table)
{
	ereport(ERROR, (errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
					errmsg("insert or update on table \"%s\" violates foreign key constraint \"%s\"",
						   RelationGetRelationName(messages), constraint),
					errdetail("Key (%s)=(%s) is not present in table \"%s\".", columns, values, table),
					errtableconstraint(messages, constraint)));
}

void
rt_reference_check_room(Relation messages, int64 room_id)
{
	Datum key = Int64GetDatum(room_id);

	if (!rt_number_is_taken_in(room_id) && !is_there("rooms", 1, &key, NULL))
		refuse(messages, "messages_room_id_fkey", "room_id", psprintf(INT64_FORMAT, room_id), "rooms");
}

/* Seen under this snapshot, without a lock. */
static bool
is_seen(const char *table_name, Snapshot snapshot, const Datum *keys)
{
	Relation table = rt_row_try_open_table(table_name, AccessShareLock);
	struct rt_row row;
	bool found;

	if (table == NULL)
		return false;
	found = rt_row_find(&row, table, snapshot, 2, keys);
	rt_row_done(&row);
	table_close(table, NoLock);
	return found;
}

/* As rt_private.hidden_seq() says it. */
bool
rt_reference_is_hidden(int64 room_id, Datum user_id, int64 seq)
{
	Relation members = rt_row_open_table("room_members", AccessShareLock);
	Datum keys[2] = {Int64GetDatum(room_id), user_id};
	struct rt_row row;
	bool hidden = false;
	bool isnull;

	CommandCounterIncrement();
	PushActiveSnapshot(IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : GetLatestSnapshot());
	if (rt_row_find(&row, members, GetActiveSnapshot(), 2, keys))
		hidden = seq <= DatumGetInt64(
							slot_getattr(row.slot, rt_row_column(RelationGetDescr(members), "first_seq"), &isnull));
	rt_row_done(&row);
	PopActiveSnapshot();
	table_close(members, NoLock);
	return hidden;
}

/* Nothing is locked: a DELETE leaves the place of what is answered (43_deletions.sql).  One snapshot for both tables,
 * or a message that is being deleted might be seen in neither.  A restore may load the places later, so for its rows
 * it is enough that the room has given that number out. */
void
rt_reference_check_reply(Relation messages, int64 room_id, int64 reply_to, const Datum *sender_id, bool restored)
{
	Datum keys[2] = {Int64GetDatum(room_id), Int64GetDatum(reply_to)};
	bool found;

	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	found = is_seen("messages", GetActiveSnapshot(), keys) || is_seen("deleted_messages", GetActiveSnapshot(), keys);
	PopActiveSnapshot();
	if (found && !restored && sender_id != NULL && rt_number_hides(room_id))
		found = !rt_reference_is_hidden(room_id, *sender_id, reply_to);
	if (!found && !(restored && reply_to > 0 && reply_to <= rt_number_last(room_id)))
		ereport(ERROR, (errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
						errmsg("message " INT64_FORMAT " that is answered does not exist in room " INT64_FORMAT,
							   reply_to, room_id),
						errtable(messages)));
}

void
rt_reference_drop_place(int64 room_id, int64 seq)
{
	Datum keys[2] = {Int64GetDatum(room_id), Int64GetDatum(seq)};
	Relation table = rt_row_try_open_table("deleted_messages", RowExclusiveLock);
	struct rt_row row;

	if (table == NULL)
		return;
	if (rt_row_find(&row, table, SnapshotSelf, 2, keys))
		simple_table_tuple_delete(table, &row.slot->tts_tid, GetActiveSnapshot());
	rt_row_done(&row);
	table_close(table, NoLock);
}

char *
rt_reference_check_sender(Relation messages, Datum sender_id)
{
	char *name = NULL;

	if (!is_there("users", 1, &sender_id, &name))
		refuse(messages, "messages_sender_id_fkey", "sender_id", TextDatumGetCString(sender_id), "users");
	return name;
}
