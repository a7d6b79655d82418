/* room.c: reads and writes last_seq of rt.rooms; see room.h.  What happens to a row is what UPDATE would do under
 * each isolation level: READ COMMITTED goes on with the newest version, the higher levels fail if that is not the
 * one they see.
 *
 * Runs in the backend that writes, in its transaction, and may raise.  The row is locked until that ends, as by
 * UPDATE, and so is the table (RowExclusiveLock).  Snapshots are popped again before it returns; after an error
 * the abort does that. */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "room.h"
#include "row.h"

/* The room's row as the transaction sees it, its own changes included.  A snapshot stays pushed whatever the result.
 */
static bool
look_for_room(struct rt_row *row, Relation rooms, int64 room_id)
{
	Datum key = Int64GetDatum(room_id);

	CommandCounterIncrement();
	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
	if (rt_row_find(row, rooms, GetActiveSnapshot(), 1, &key))
		return true;
	if (IsolationUsesXactSnapshot())
		return false;
	/* It may have been made since the statement began. */
	rt_row_done(row);
	PopActiveSnapshot();
	PushActiveSnapshot(GetLatestSnapshot());
	return rt_row_find(row, rooms, GetActiveSnapshot(), 1, &key);
}

static void
find_room(struct rt_row *row, Relation rooms, int64 room_id)
{
	if (!look_for_room(row, rooms, room_id))
		ereport(ERROR, (errcode(RT_ERRCODE_NOT_FOUND), errmsg("room not found"),
						errdetail("There is no room " INT64_FORMAT ".", room_id)));
}

static void
leave_room(struct rt_row *row)
{
	rt_row_done(row);
	PopActiveSnapshot();
}

static int64
last_seq_of(TupleTableSlot *slot, AttrNumber column)
{
	bool isnull;

	return DatumGetInt64(slot_getattr(slot, column, &isnull));
}

/* Writes the version in slot anew with this last_seq, and with the time where a message is sent.  A table of 1.1 has
 * no column for that. */
static TM_Result
update_row(Relation rooms, TupleTableSlot *slot, AttrNumber column, int64 last_seq, bool take, ItemPointer place)
{
	TupleDesc desc = RelationGetDescr(rooms);
	TupleTableSlot *changed = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
	int columns[2] = {column, SPI_fnumber(desc, "last_at")};
	int n = take && columns[1] > 0 ? 2 : 1;
	Datum values[2] = {Int64GetDatum(last_seq), TimestampTzGetDatum(n == 2 ? GetCurrentTimestamp() : 0)};
	bool nulls[2] = {false, false};
	bool should_free;
	HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
	TM_FailureData failure;
	LockTupleMode mode;
	TM_Result result;
	rt_row_indexes which;

	ExecStoreHeapTuple(heap_modify_tuple_by_cols(tuple, desc, n, columns, values, nulls), changed, true);
	result = table_tuple_update(rooms, &slot->tts_tid, changed, GetCurrentCommandId(true), GetActiveSnapshot(),
								InvalidSnapshot, true, &failure, &mode, &which);
	if (result == TM_Ok)
	{
		rt_row_add_to_indexes(rooms, &changed, 1, which);
		*place = changed->tts_tid;
	}
	ExecDropSingleTupleTableSlot(changed);
	return result;
}

/* Somebody has changed the row: locks and fetches its newest version. */
static void
fetch_newest(Relation rooms, TupleTableSlot *slot)
{
	ItemPointerData tid = slot->tts_tid;
	TM_FailureData failure;
	TM_Result result;

	if (IsolationUsesXactSnapshot())
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("could not serialize access due to concurrent update")));
	result = table_tuple_lock(rooms, &tid, GetActiveSnapshot(), slot, GetCurrentCommandId(false),
							  LockTupleNoKeyExclusive, LockWaitBlock, TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
	if (result == TM_Deleted)
		ereport(ERROR, (errcode(RT_ERRCODE_NOT_FOUND), errmsg("room not found")));
	if (result != TM_Ok)
		elog(ERROR, "could not lock a room: %d", result);
}

/* False where the tables are still those of 1.1, which have no such column. */
static bool
has_left_of(Relation rooms, TupleTableSlot *slot)
{
	int column = SPI_fnumber(RelationGetDescr(rooms), "has_left");
	bool isnull = true;
	Datum value = column <= 0 ? (Datum) 0 : slot_getattr(slot, column, &isnull);

	return !isnull && DatumGetBool(value);
}

/* The version that this transaction has written last, if it still is the newest: a transaction that writes to a room
 * again and again would otherwise walk through all its former versions each time.  It is locked, so nobody else can
 * have written a newer one. */
static bool
change_at_place(Relation rooms, AttrNumber column, bool take, int64 *last_seq, struct rt_room_row *r)
{
	TupleTableSlot *slot;
	bool done = false;

	if (!ItemPointerIsValid(&r->place))
		return false;
	CommandCounterIncrement();
	slot = table_slot_create(rooms, NULL);
	if (table_tuple_fetch_row_version(rooms, &r->place, SnapshotSelf, slot))
	{
		int64 value = take ? last_seq_of(slot, column) + 1 : *last_seq;

		done = update_row(rooms, slot, column, value, take, &r->place) == TM_Ok;
		if (done)
		{
			*last_seq = value;
			r->has_left = take && has_left_of(rooms, slot);
		}
	}
	ExecDropSingleTupleTableSlot(slot);
	return done;
}

static int64
change_found(Relation rooms, AttrNumber column, int64 room_id, bool take, int64 last_seq, struct rt_room_row *r)
{
	struct rt_row row;
	TM_Result result;

	find_room(&row, rooms, room_id);
	do
	{
		if (take)
			last_seq = last_seq_of(row.slot, column) + 1;
		result = update_row(rooms, row.slot, column, last_seq, take, &r->place);
		if (result == TM_Updated || result == TM_Deleted)
			fetch_newest(rooms, row.slot);
		else if (result != TM_Ok)
			elog(ERROR, "could not update a room: %d", result);
	} while (result != TM_Ok);
	r->has_left = take && has_left_of(rooms, row.slot);
	leave_room(&row);
	return last_seq;
}

/* Sets last_seq, or raises it by one; returns it. */
static int64
change(int64 room_id, bool take, int64 last_seq, struct rt_room_row *r)
{
	Relation rooms = rt_row_open_table("rooms", RowExclusiveLock);
	AttrNumber column = rt_row_column(RelationGetDescr(rooms), "last_seq");

	if (!change_at_place(rooms, column, take, &last_seq, r))
		last_seq = change_found(rooms, column, room_id, take, last_seq, r);
	table_close(rooms, NoLock);
	return last_seq;
}

int64
rt_room_take_seq(int64 room_id, struct rt_room_row *row)
{
	return change(room_id, true, 0, row);
}

void
rt_room_set_last_seq(int64 room_id, int64 last_seq, struct rt_room_row *row)
{
	(void) change(room_id, false, last_seq, row);
}

int64
rt_room_last_seq(int64 room_id)
{
	Relation rooms = rt_row_open_table("rooms", AccessShareLock);
	AttrNumber column = rt_row_column(RelationGetDescr(rooms), "last_seq");
	struct rt_row row;
	int64 last_seq;

	find_room(&row, rooms, room_id);
	last_seq = last_seq_of(row.slot, column);
	leave_room(&row);
	table_close(rooms, NoLock);
	return last_seq;
}

static bool
bool_column(Relation rooms, TupleTableSlot *slot, const char *name)
{
	bool isnull;

	return DatumGetBool(slot_getattr(slot, rt_row_column(RelationGetDescr(rooms), name), &isnull));
}

static bool
text_column_is(Relation rooms, TupleTableSlot *slot, const char *name, const char *text)
{
	bool isnull;
	const struct varlena *value =
		PG_DETOAST_DATUM_PACKED(slot_getattr(slot, rt_row_column(RelationGetDescr(rooms), name), &isnull));

	return VARSIZE_ANY_EXHDR(value) == strlen(text) && memcmp(VARDATA_ANY(value), text, strlen(text)) == 0;
}

bool
rt_room_lock(int64 room_id, struct rt_room_rules *rules)
{
	Relation rooms = rt_row_open_table("rooms", RowShareLock);
	struct rt_row row;
	bool found = look_for_room(&row, rooms, room_id);

	if (found)
	{
		ItemPointerData tid = row.slot->tts_tid;
		TM_FailureData failure;
		TM_Result result = table_tuple_lock(
			rooms, &tid, GetActiveSnapshot(), row.slot, GetCurrentCommandId(false), LockTupleNoKeyExclusive,
			LockWaitBlock, IsolationUsesXactSnapshot() ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);

		if (result != TM_Ok && IsolationUsesXactSnapshot())
			ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
							errmsg("could not serialize access due to concurrent update")));
		found = result == TM_Ok;
	}
	if (found)
	{
		rules->archived = bool_column(rooms, row.slot, "archived");
		rules->direct = text_column_is(rooms, row.slot, "kind", "direct");
		rules->admins_only = text_column_is(rooms, row.slot, "who_may_post", "admins");
	}
	leave_room(&row);
	table_close(rooms, NoLock);
	return found;
}
