/* room.c: reads and writes last_seq and newest_at of rt.rooms; see room.h.  What happens to a row is what UPDATE
 * would do under each isolation level: READ COMMITTED goes on with the newest version, the higher levels fail if that
 * is not the one they see.
 *
 * Runs in the backend that writes, in its transaction, and may raise.  The row is locked until that ends, as by
 * UPDATE, and so is the table (RowExclusiveLock).  Snapshots are popped again before it returns; after an error
 * the abort does that. */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "order.h"
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
last_seq_of(Relation rooms, TupleTableSlot *slot)
{
	bool isnull;

	return DatumGetInt64(slot_getattr(slot, rt_row_column(RelationGetDescr(rooms), "last_seq"), &isnull));
}

/* A table of 1.1 has no such column. */
static TimestampTz
newest_of(Relation rooms, TupleTableSlot *slot)
{
	int column = SPI_fnumber(RelationGetDescr(rooms), "newest_at");
	bool isnull = true;
	Datum value = column > 0 ? slot_getattr(slot, column, &isnull) : (Datum) 0;

	if (!isnull)
		return DatumGetTimestampTz(value);
	return last_seq_of(rooms, slot) > 0 ? RT_ORDER_UNKNOWN : RT_ORDER_NONE;
}

/* As the columns say it, or as they are to: where somebody else has changed them, that counts. */
static int64
true_last_seq(Relation rooms, TupleTableSlot *slot, const struct rt_room_row *r)
{
	int64 last_seq = last_seq_of(rooms, slot);

	return r != NULL && r->behind && last_seq == r->stored ? r->last : last_seq;
}

static TimestampTz
true_newest(Relation rooms, TupleTableSlot *slot, const struct rt_room_row *r)
{
	TimestampTz newest = newest_of(rooms, slot);

	return r != NULL && r->behind && newest == r->stored_newest ? r->newest : newest;
}

/* What is to be written, and what was there. */
struct change
{
	enum
	{
		TAKE,      /* a message gets the next number */
		SET,       /* last_seq and newest are given */
		CATCH_UP,  /* as the row is to be */
		LOSE_ORDER /* newest_at alone */
	} kind;
	int64 last_seq;
	TimestampTz newest;
	TimestampTz created_at; /* TAKE: -infinity is replaced */
	TimestampTz last_at;    /* 0: it stays as it is */
	TimestampTz newest_before;
	bool has_left;
	bool hides;
	bool is_current; /* the table is not one of 1.1 */
};

/* Under READ COMMITTED the version in slot may turn out not to be the newest: then this is called again. */
static void
decide(Relation rooms, TupleTableSlot *slot, struct change *c, const struct rt_room_row *r, bool given)
{
	c->last_at = r->behind ? r->last_at : 0;
	if (c->kind == SET)
		return;
	c->newest_before = true_newest(rooms, slot, r);
	c->last_seq = true_last_seq(rooms, slot, r);
	c->newest = c->kind == LOSE_ORDER ? RT_ORDER_LOST : c->newest_before;
	if (c->kind != TAKE)
		return;
	if (!given)
		c->created_at = rt_order_now(c->newest_before);
	c->last_seq++;
	c->newest = rt_order_add(c->newest_before, c->created_at);
	c->last_at = GetCurrentTimestamp();
}

/* Writes the version in slot anew, with the time where a message is sent.  A table of 1.1 has no columns for the
 * times. */
static TM_Result
update_row(Relation rooms, TupleTableSlot *slot, struct change *c, ItemPointer place)
{
	TupleDesc desc = RelationGetDescr(rooms);
	TupleTableSlot *changed = MakeSingleTupleTableSlot(desc, &TTSOpsHeapTuple);
	int last_at = c->last_at != 0 ? SPI_fnumber(desc, "last_at") : 0;
	int newest_at = SPI_fnumber(desc, "newest_at");
	int columns[3] = {rt_row_column(desc, "last_seq")};
	Datum values[3] = {Int64GetDatum(c->last_seq)};
	bool nulls[3] = {false, false, false};
	int n = 1;
	bool should_free;
	HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, &should_free);
	TM_FailureData failure;
	LockTupleMode mode;
	TM_Result result;
	rt_row_indexes which;

	if (last_at > 0)
	{
		columns[n] = last_at;
		values[n++] = TimestampTzGetDatum(c->last_at);
	}
	if (newest_at > 0 && c->newest != RT_ORDER_UNKNOWN)
	{
		columns[n] = newest_at;
		values[n++] = TimestampTzGetDatum(c->newest);
	}
	ExecStoreHeapTuple(heap_modify_tuple_by_cols(tuple, desc, n, columns, values, nulls), changed, true);
	c->is_current = newest_at > 0;
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

static bool
text_column_is(Relation rooms, TupleTableSlot *slot, const char *name, const char *text)
{
	bool isnull;
	const struct varlena *value =
		PG_DETOAST_DATUM_PACKED(slot_getattr(slot, rt_row_column(RelationGetDescr(rooms), name), &isnull));

	return VARSIZE_ANY_EXHDR(value) == strlen(text) && memcmp(VARDATA_ANY(value), text, strlen(text)) == 0;
}

/* Of a table that has the column: not one of 1.1. */
static bool
hides_of(Relation rooms, TupleTableSlot *slot)
{
	return text_column_is(rooms, slot, "history", "joined");
}

/* The version that this transaction has written last, if it still is the newest.  It is locked, so nobody else can
 * have written a newer one.  Another row may lie at its place where the table was emptied, or written anew. */
static bool
fetch_at_place(Relation rooms, TupleTableSlot *slot, int64 room_id, const struct rt_room_row *r)
{
	ItemPointerData place = r->place;
	bool isnull;

	if (!ItemPointerIsValid(&place) || ItemPointerGetBlockNumber(&place) >= RelationGetNumberOfBlocks(rooms) ||
		!table_tuple_fetch_row_version(rooms, &place, SnapshotSelf, slot))
		return false;
	return DatumGetInt64(slot_getattr(slot, rt_row_column(RelationGetDescr(rooms), "id"), &isnull)) == room_id;
}

/* A transaction that writes to a room again and again would otherwise walk through all its former versions each
 * time. */
static bool
change_at_place(Relation rooms, int64 room_id, struct change *c, struct rt_room_row *r)
{
	bool given = c->created_at != RT_ORDER_NONE;
	TupleTableSlot *slot;
	bool done = false;

	if (!ItemPointerIsValid(&r->place))
		return false;
	CommandCounterIncrement();
	slot = table_slot_create(rooms, NULL);
	if (fetch_at_place(rooms, slot, room_id, r))
	{
		decide(rooms, slot, c, r, given);
		done = update_row(rooms, slot, c, &r->place) == TM_Ok;
		c->has_left = has_left_of(rooms, slot);
		c->hides = c->is_current && hides_of(rooms, slot);
	}
	if (!done && !given)
		c->created_at = RT_ORDER_NONE;
	ExecDropSingleTupleTableSlot(slot);
	return done;
}

/* False: there is no such room, of which CATCH_UP makes nothing. */
static bool
change_found(Relation rooms, int64 room_id, struct change *c, struct rt_room_row *r)
{
	bool given = c->created_at != RT_ORDER_NONE;
	struct rt_row row;
	TM_Result result;

	if (c->kind != CATCH_UP)
		find_room(&row, rooms, room_id);
	else if (!look_for_room(&row, rooms, room_id))
	{
		leave_room(&row);
		return false;
	}
	do
	{
		decide(rooms, row.slot, c, r, given);
		result = update_row(rooms, row.slot, c, &r->place);
		if (result == TM_Updated || result == TM_Deleted)
			fetch_newest(rooms, row.slot);
		else if (result != TM_Ok)
			elog(ERROR, "could not update a room: %d", result);
	} while (result != TM_Ok);
	c->has_left = has_left_of(rooms, row.slot);
	c->hides = c->is_current && hides_of(rooms, row.slot);
	leave_room(&row);
	return true;
}

/* Leaves in r what is now in the row. */
static void
change(Relation rooms, int64 room_id, struct change *c, struct rt_room_row *r)
{
	if (!change_at_place(rooms, room_id, c, r) && !change_found(rooms, room_id, c, r))
		return;
	if (c->kind == TAKE)
		r->has_left = c->has_left;
	r->hides = c->hides;
	if (c->is_current)
		r->written++;
	r->behind = false;
	r->stored = c->last_seq;
	r->last = c->last_seq;
	r->stored_newest = c->newest;
	r->newest = c->kind == TAKE ? c->newest_before : c->newest;
}

static void
open_and_change(int64 room_id, struct change *c, struct rt_room_row *r)
{
	Relation rooms = rt_row_open_table("rooms", RowExclusiveLock);

	change(rooms, room_id, c, r);
	table_close(rooms, NoLock);
}

int64
rt_room_take_seq(int64 room_id, TimestampTz *created_at, struct rt_room_row *row)
{
	struct change c = {.kind = TAKE, .created_at = *created_at};

	open_and_change(room_id, &c, row);
	*created_at = c.created_at;
	return c.last_seq;
}

void
rt_room_set(int64 room_id, struct rt_room_row *row)
{
	struct change c = {.kind = SET, .last_seq = row->last, .newest = row->newest};

	open_and_change(room_id, &c, row);
}

void
rt_room_lose_order(int64 room_id, struct rt_room_row *row)
{
	struct change c = {.kind = LOSE_ORDER};

	open_and_change(room_id, &c, row);
}

/* Called as the transaction commits, which may have dropped the table. */
void
rt_room_catch_up(int64 room_id, struct rt_room_row *row)
{
	struct change c = {.kind = CATCH_UP};
	Oid schema = get_namespace_oid("rt", true);
	Oid table = OidIsValid(schema) ? get_relname_relid("rooms", schema) : InvalidOid;
	Relation rooms;

	if (!OidIsValid(table))
		return;
	rooms = table_open(table, RowExclusiveLock);
	PushActiveSnapshot(GetTransactionSnapshot());
	change(rooms, room_id, &c, row);
	PopActiveSnapshot();
	table_close(rooms, NoLock);
}

bool
rt_room_is_unchanged(int64 room_id, const struct rt_room_row *row, bool *has_left)
{
	Relation rooms = rt_row_open_table("rooms", RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(rooms, NULL);
	bool unchanged = fetch_at_place(rooms, slot, room_id, row);

	if (unchanged && has_left != NULL)
		*has_left = has_left_of(rooms, slot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rooms, NoLock);
	return unchanged;
}

int64
rt_room_read(int64 room_id, const struct rt_room_row *r, TimestampTz *newest)
{
	Relation rooms = rt_row_open_table("rooms", AccessShareLock);
	struct rt_row row;
	int64 last_seq;

	find_room(&row, rooms, room_id);
	last_seq = true_last_seq(rooms, row.slot, r);
	if (newest != NULL)
		*newest = true_newest(rooms, row.slot, r);
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
		rules->hides = hides_of(rooms, row.slot);
	}
	leave_room(&row);
	table_close(rooms, NoLock);
	return found;
}
