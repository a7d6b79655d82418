/* room_holder.c: which transaction holds a room, which is to say that it has written a message to it, or locked its
 * row, and has not ended.  Others who send there wait for it.
 *
 * Runs in any backend, for rt.stat_rooms and the supervisor.  Reads a row's header under AccessShareLock: who updated
 * or locked the version that the snapshot sees.  A lock for a foreign key does not count, since it keeps nobody from
 * sending.  Takes no lock on the row. */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/subtrans.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "storage/procarray.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(rt_room_holder);

static bool
is_holding(TransactionId xid)
{
	return TransactionIdIsNormal(xid) && TransactionIdIsInProgress(xid);
}

/* Of several that lock a row at once, the one of which no other may change it. */
static TransactionId
holder_among(MultiXactId multi, bool locked_only)
{
	MultiXactMember *members;
	TransactionId holder = InvalidTransactionId;
	int count = GetMultiXactIdMembers(multi, &members, false, locked_only);

	for (int i = 0; i < count; i++)
	{
		if (members[i].status != MultiXactStatusForKeyShare && is_holding(members[i].xid))
			holder = members[i].xid;
	}
	return holder;
}

static TransactionId
holder_of(HeapTupleHeader row)
{
	TransactionId xid = HeapTupleHeaderGetRawXmax(row);

	if ((row->t_infomask & HEAP_XMAX_INVALID) != 0)
		return InvalidTransactionId;
	if ((row->t_infomask & HEAP_XMAX_IS_MULTI) != 0)
		return holder_among(xid, HEAP_XMAX_IS_LOCKED_ONLY(row->t_infomask));
	if (HEAP_XMAX_IS_LOCKED_ONLY(row->t_infomask) && HEAP_XMAX_IS_KEYSHR_LOCKED(row->t_infomask))
		return InvalidTransactionId;
	return is_holding(xid) ? xid : InvalidTransactionId;
}

static TransactionId
find_holder(Relation rooms, ItemPointer place)
{
	TupleTableSlot *slot = table_slot_create(rooms, NULL);
	TransactionId xid = InvalidTransactionId;

	if (table_tuple_fetch_row_version(rooms, place, GetActiveSnapshot(), slot))
	{
		bool ours;
		HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, &ours);

		xid = holder_of(tuple->t_data);
		if (ours)
			heap_freetuple(tuple);
	}
	ExecDropSingleTupleTableSlot(slot);
	return TransactionIdIsValid(xid) ? SubTransGetTopmostTransaction(xid) : xid;
}

/* rt_private.stat_room_holder(place tid): its number; null: nobody */
Datum
rt_room_holder(PG_FUNCTION_ARGS)
{
	Relation rooms = table_open(get_relname_relid("rooms", get_namespace_oid("rt", false)), AccessShareLock);
	TransactionId xid = find_holder(rooms, (ItemPointer) PG_GETARG_POINTER(0));

	table_close(rooms, AccessShareLock);
	if (!TransactionIdIsValid(xid))
		PG_RETURN_NULL();
	PG_RETURN_TRANSACTIONID(xid);
}
