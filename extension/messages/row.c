/* row.c: finds and inserts rows of rt's own tables; see row.h.  No trigger, rule or right is asked for: that is
 * the caller's business.
 *
 * Runs in a backend or the relay, inside a transaction, and may raise.  Tables stay locked until the transaction
 * ends if the caller closes them with NoLock; the index only until rt_row_done().  Allocates in the caller's
 * context. */
#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "row.h"

#define MAX_KEYS 2

Relation
rt_row_try_open_table(const char *name, LOCKMODE lock)
{
	Oid table = get_relname_relid(name, get_namespace_oid("rt", false));

	return OidIsValid(table) ? table_open(table, lock) : NULL;
}

Relation
rt_row_open_table(const char *name, LOCKMODE lock)
{
	Relation table = rt_row_try_open_table(name, lock);

	if (table == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table rt.%s is missing", name)));
	return table;
}

static void
init_key(ScanKey key, Relation index, int i, Datum value)
{
	Oid type = TupleDescAttr(RelationGetDescr(index), i)->atttypid;

	if (type != INT8OID && type != TEXTOID)
		elog(ERROR, "unexpected type %u in a key of rt", type);
	ScanKeyEntryInitialize(key, 0, i + 1, BTEqualStrategyNumber, InvalidOid, index->rd_indcollation[i],
						   type == INT8OID ? F_INT8EQ : F_TEXTEQ, value);
}

/* The function in relcache.h takes other parameters from one major release to another. */
Relation
rt_row_open_primary_key(Relation table)
{
	if (!table->rd_indexvalid)
		list_free(RelationGetIndexList(table));
	return index_open(table->rd_pkindex, AccessShareLock);
}

bool
rt_row_find(struct rt_row *row, Relation table, Snapshot snapshot, int nkeys, const Datum *keys)
{
	ScanKeyData scan_keys[MAX_KEYS];

	row->index = rt_row_open_primary_key(table);
	if (nkeys > MAX_KEYS || IndexRelationGetNumberOfKeyAttributes(row->index) != nkeys)
		elog(ERROR, "unexpected primary key of \"%s\"", RelationGetRelationName(table));
	for (int i = 0; i < nkeys; i++)
		init_key(&scan_keys[i], row->index, i, keys[i]);
#if PG_VERSION_NUM >= 180000
	row->scan = index_beginscan(table, row->index, snapshot, NULL, nkeys, 0);
#else
	row->scan = index_beginscan(table, row->index, snapshot, nkeys, 0);
#endif
	row->slot = table_slot_create(table, NULL);
	index_rescan(row->scan, scan_keys, nkeys, NULL, 0);
	return index_getnext_slot(row->scan, ForwardScanDirection, row->slot);
}

void
rt_row_done(struct rt_row *row)
{
	ExecDropSingleTupleTableSlot(row->slot);
	index_endscan(row->scan);
	index_close(row->index, AccessShareLock);
}

static void
add_to_indexes(ResultRelInfo *info, EState *estate, TupleTableSlot *slot, rt_row_indexes which)
{
	List *again;

#if PG_VERSION_NUM >= 160000
	again = ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL, which == TU_Summarizing);
#else
	again = ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL);
#endif
	list_free(again);
	ResetPerTupleExprContext(estate);
}

void
rt_row_add_to_indexes(Relation table, TupleTableSlot **slots, int n, rt_row_indexes which)
{
	EState *estate;
	ResultRelInfo *info;

	if (which == RT_ROW_NO_INDEX)
		return;
	estate = CreateExecutorState();
	info = makeNode(ResultRelInfo);
	InitResultRelInfo(info, table, 0, NULL, 0);
	ExecOpenIndices(info, false);
	for (int i = 0; i < n; i++)
		add_to_indexes(info, estate, slots[i], which);
	ExecCloseIndices(info);
	FreeExecutorState(estate);
}

void
rt_row_insert(Relation table, TupleTableSlot **slots, int n)
{
	table_multi_insert(table, slots, n, GetCurrentCommandId(true), 0, NULL);
	rt_row_add_to_indexes(table, slots, n, RT_ROW_ALL_INDEXES);
	CommandCounterIncrement();
}

AttrNumber
rt_row_column(TupleDesc desc, const char *name)
{
	int number = SPI_fnumber(desc, name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("column \"%s\" of a table of rt is missing", name)));
	return number;
}
