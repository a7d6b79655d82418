/* tombstone.c: the message that a row of rt.deleted_messages stands for, for the view rt_private.history.  Columns
 * have their values by name, the text is empty, and what the row does not have, columns of the application's among
 * it, is null.  An expression of SQL that names the type rt.messages would keep a DBA from adding columns to the
 * table.
 *
 * Runs in any backend, takes no lock, and keeps the columns' places for as long as the statement's plan runs. */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(rt_tombstone);

#define NULL_COLUMN 0
#define TEXT_COLUMN (-1)

struct places
{
	TupleDesc message;
	int from[FLEXIBLE_ARRAY_MEMBER]; /* of each of its columns: the column of rt.deleted_messages, or as above */
};

static int
place_of(TupleDesc deleted, Form_pg_attribute column)
{
	int number;

	if (column->attisdropped)
		return NULL_COLUMN;
	if (strcmp(NameStr(column->attname), "content") == 0)
		return TEXT_COLUMN;
	number = SPI_fnumber(deleted, NameStr(column->attname));
	return number > 0 && TupleDescAttr(deleted, number - 1)->atttypid == column->atttypid ? number : NULL_COLUMN;
}

static struct places *
find_places(FunctionCallInfo fcinfo, TupleDesc deleted)
{
	MemoryContext before = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	struct places *places;
	TupleDesc message;

	if (get_call_result_type(fcinfo, NULL, &message) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a tombstone is not a row");
	places = palloc(offsetof(struct places, from) + message->natts * sizeof(int));
	places->message = BlessTupleDesc(message);
	for (int i = 0; i < message->natts; i++)
		places->from[i] = place_of(deleted, TupleDescAttr(message, i));
	MemoryContextSwitchTo(before);
	return places;
}

static HeapTuple
make_message(const struct places *places, const Datum *deleted, const bool *deleted_nulls)
{
	int natts = places->message->natts;
	Datum *values = palloc0(natts * sizeof(*values));
	bool *nulls = palloc(natts * sizeof(*nulls));

	for (int i = 0; i < natts; i++)
	{
		int from = places->from[i];

		nulls[i] = from == NULL_COLUMN || (from > 0 && deleted_nulls[from - 1]);
		if (from == TEXT_COLUMN)
			values[i] = PointerGetDatum(cstring_to_text(""));
		else if (!nulls[i])
			values[i] = deleted[from - 1];
	}
	return heap_form_tuple(places->message, values, nulls);
}

/* rt_private.tombstone(d rt.deleted_messages) */
Datum
rt_tombstone(PG_FUNCTION_ARGS)
{
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
	TupleDesc desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	HeapTupleData row = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	Datum *values = palloc(desc->natts * sizeof(*values));
	bool *nulls = palloc(desc->natts * sizeof(*nulls));

	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = find_places(fcinfo, desc);
	heap_deform_tuple(&row, desc, values, nulls);
	ReleaseTupleDesc(desc);
	PG_RETURN_DATUM(HeapTupleGetDatum(make_message(fcinfo->flinfo->fn_extra, values, nulls)));
}
