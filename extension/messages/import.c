/* import.c: messages by the million, for rt.import_messages().  One INSERT, run as usual but for the search
 * index: its entries are gathered from the rows that the statement returns, and inserted word by word (words.h).
 *
 * Runs in the backend that imports, in its transaction, and may raise; the abort then leaves index entries of
 * dead rows only.  Which rows, and who may, the SQL function decides.  Locks: RowExclusiveLock on the index,
 * until the transaction ends.  Memory is bounded by words.c, not by the number of rows. */
#include "postgres.h"

#include "access/genam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

#include "words.h"

struct receiver
{
	DestReceiver pub;
	struct rt_words *words; /* NULL: no search index */
};

PG_FUNCTION_INFO_V1(rt_import_rows);

static bool
on_row(TupleTableSlot *slot, DestReceiver *self)
{
	struct rt_words *words = ((struct receiver *) self)->words;
	bool null;
	Datum tid;
	Datum value;

	if (words == NULL)
		return true;
	tid = slot_getattr(slot, 1, &null);
	value = slot_getattr(slot, 2, &null);
	rt_words_add(words, (ItemPointer) DatumGetPointer(tid), value, null);
	return true;
}

static void
on_start(DestReceiver *self, int operation, TupleDesc type)
{
}

static void
on_end(DestReceiver *self)
{
}

/* The statement finds its indexes open, and this one among them as one that is not ready. */
static void
leave_out(QueryDesc *query, Oid index)
{
	ListCell *cell;

	foreach (cell, query->estate->es_opened_result_relations)
	{
		ResultRelInfo *table = lfirst(cell);

		ExecOpenIndices(table, false);
		for (int i = 0; i < table->ri_NumIndices; i++)
			if (RelationGetRelid(table->ri_IndexRelationDescs[i]) == index)
				table->ri_IndexRelationInfo[i]->ii_ReadyForInserts = false;
	}
}

/* Returns the number of rows. */
static uint64
run(PlannedStmt *plan, const char *sql, DestReceiver *receiver, Oid index)
{
	QueryDesc *query;
	uint64 rows;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	query = CreateQueryDesc(plan, sql, GetActiveSnapshot(), InvalidSnapshot, receiver, NULL, NULL, 0);
	ExecutorStart(query, 0);
	if (OidIsValid(index))
		leave_out(query, index);
#if PG_VERSION_NUM >= 180000
	ExecutorRun(query, ForwardScanDirection, 0);
#else
	ExecutorRun(query, ForwardScanDirection, 0, true);
#endif
	rows = query->estate->es_processed;
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
	PopActiveSnapshot();
	CommandCounterIncrement();
	return rows;
}

static uint64
run_sql(const char *sql, DestReceiver *receiver, Oid index)
{
	SPIPlanPtr prepared = SPI_prepare(sql, 0, NULL);
	CachedPlan *plan;
	uint64 rows;

	if (prepared == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	plan = SPI_plan_get_cached_plan(prepared);
	if (plan == NULL || list_length(plan->stmt_list) != 1 ||
		linitial_node(PlannedStmt, plan->stmt_list)->commandType != CMD_INSERT)
		elog(ERROR, "not one INSERT");
	rows = run(linitial_node(PlannedStmt, plan->stmt_list), sql, receiver, index);
	ReleaseCachedPlan(plan, NULL); /* as SPI has taken it for a plan that is not kept */
	return rows;
}

/* import_rows(insert text, search regclass): the statement returns ctid and what the index search, null if there is
 * none, holds of the row. */
Datum
rt_import_rows(PG_FUNCTION_ARGS)
{
	struct receiver receiver = {{on_row, on_start, on_end, on_end, DestNone}, NULL};
	Oid index = PG_ARGISNULL(1) ? InvalidOid : PG_GETARG_OID(1);
	Relation search = OidIsValid(index) ? index_open(index, RowExclusiveLock) : NULL;
	uint64 rows;

	SPI_connect();
	if (search != NULL)
		receiver.words = rt_words_new(search);
	rows = run_sql(text_to_cstring(PG_GETARG_TEXT_PP(0)), &receiver.pub, index);
	if (search != NULL)
	{
		rt_words_flush(receiver.words);
		rt_words_free(receiver.words);
		index_close(search, NoLock);
	}
	SPI_finish();
	PG_RETURN_INT64((int64) rows);
}
