/* order.c: see order.h.
 *
 * Runs in the backend that writes, in its transaction.  Only rt_order_fits() reads a table: the primary key of
 * rt.messages, under AccessShareLock, and what it finds of it.  It sees no rows of others that have not committed:
 * two transactions that restore messages of one room at the same time do not see each other's. */
#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "order.h"
#include "row.h"

/* By so much the clock may go back, at a correction or a failover, without the order being lost: the messages of
 * meanwhile all have the same time. */
#define CLOCK_BACK_MAX (10 * USECS_PER_SEC)

TimestampTz
rt_order_add(TimestampTz newest, TimestampTz created_at)
{
	if (newest >= RT_ORDER_UNKNOWN)
		return newest;
	return created_at < newest ? RT_ORDER_LOST : created_at;
}

TimestampTz
rt_order_now(TimestampTz newest)
{
	TimestampTz now = GetCurrentTimestamp();

	return newest > now && newest <= now + CLOCK_BACK_MAX ? newest : now;
}

/* The time of the nearest message with a higher or a lower number.  False: there is none. */
static bool
read_neighbour(Relation messages, Relation key, int64 room_id, int64 seq, bool higher, TimestampTz *at)
{
	TupleTableSlot *slot = table_slot_create(messages, NULL);
	ScanKeyData keys[2];
	IndexScanDesc scan;
	bool found;
	bool isnull;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(room_id));
	ScanKeyInit(&keys[1], 2, higher ? BTGreaterStrategyNumber : BTLessStrategyNumber, higher ? F_INT8GT : F_INT8LT,
				Int64GetDatum(seq));
#if PG_VERSION_NUM >= 180000
	scan = index_beginscan(messages, key, SnapshotSelf, NULL, 2, 0);
#else
	scan = index_beginscan(messages, key, SnapshotSelf, 2, 0);
#endif
	index_rescan(scan, keys, 2, NULL, 0);
	found = index_getnext_slot(scan, higher ? ForwardScanDirection : BackwardScanDirection, slot);
	if (found)
		*at =
			DatumGetTimestampTz(slot_getattr(slot, rt_row_column(RelationGetDescr(messages), "created_at"), &isnull));
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

bool
rt_order_fits(Relation messages, int64 room_id, int64 seq, TimestampTz created_at)
{
	Relation key = rt_row_open_primary_key(messages);
	TimestampTz at;
	bool fits = (!read_neighbour(messages, key, room_id, seq, false, &at) || at <= created_at) &&
				(!read_neighbour(messages, key, room_id, seq, true, &at) || at >= created_at);

	index_close(key, NoLock);
	return fits;
}
