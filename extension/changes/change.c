/* change.c: remembers the changes of an open transaction, and numbers them; see change.h and schema/42_changes.sql.
 *
 * A number of its own for each change would write a version of the room's counter each time, and each version has to
 * be found behind all before it.  So changes are noted here as they happen.  Each has a deferred trigger's event
 * queued for it, too: the first of these events that fires numbers all that is noted, and the others find nothing.
 *
 * Invariants: the first `done` of `count` changes have their numbers.  `marks` says what both were before each open
 * subtransaction that noted or numbered a change.  When one aborts, what it noted is gone; so are the numbers that it
 * gave, and the server fires those events again.
 *
 * Locks: the rows of the rooms' counters, in the order of the rooms, until the transaction has ended.
 *
 * Runs in the backend that writes, in its transaction; its memory is in TopTransactionContext.  Noting and numbering
 * may raise.  What runs at the end of a subtransaction neither allocates nor raises. */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "change.h"
#include "extension/messages/query.h"
#include "marks.h"

PG_FUNCTION_INFO_V1(rt_note_change);
PG_FUNCTION_INFO_V1(rt_note_changes);
PG_FUNCTION_INFO_V1(rt_number_noted);
PG_FUNCTION_INFO_V1(rt_row_changed);

#define FIRST_SIZE 8

/* So many numbers are given by one statement at the most: it bounds its memory, not the transaction's. */
#define BATCH 100000

struct change
{
	int64 room_id;
	int64 seq;
};

/* The open transaction's. */
static struct
{
	struct change *changes; /* NULL: none yet */
	Size size;
	Size count;
	Size done;
} noted;

static struct rt_marks marks;

/* A copy of a change while it gets its number. */
struct numbered
{
	int64 room_id;
	int64 seq;
	Size n; /* they are numbered in the order in which they were made */
};

static struct rt_query number_one = {
	"SELECT rt_private.number_change($1, $2)",
	2,
	{INT8OID, INT8OID},
	NULL,
};

static struct rt_query number_many = {
	"SELECT rt_private.number_changes($1, $2)",
	2,
	{INT8OID, INT8ARRAYOID},
	NULL,
};

/* To be called before `count` or `done` changes. */
static void
save(void)
{
	rt_marks_save(&marks, noted.count, noted.done);
}

static void
make_space(Size more)
{
	Size size = Max(noted.size, FIRST_SIZE);

	if (noted.changes != NULL && noted.count + more <= noted.size)
		return;
	while (size < noted.count + more)
		size *= 2;
	if (noted.changes == NULL)
		noted.changes = MemoryContextAllocHuge(TopTransactionContext, size * sizeof(*noted.changes));
	else
		noted.changes = repalloc_huge(noted.changes, size * sizeof(*noted.changes));
	noted.size = size;
}

/* rt_private.note_change(room_id bigint, seq bigint): the caller's row has a deferred trigger that numbers it. */
Datum
rt_note_change(PG_FUNCTION_ARGS)
{
	save();
	make_space(1);
	noted.changes[noted.count].room_id = PG_GETARG_INT64(0);
	noted.changes[noted.count++].seq = PG_GETARG_INT64(1);
	PG_RETURN_VOID();
}

/* rt_private.note_changes(room_id bigint, seqs bigint[]).  True: no event is queued that will number them.  One that
 * was queued for changes before them goes only where they go, too. */
Datum
rt_note_changes(PG_FUNCTION_ARGS)
{
	bool is_first = noted.count == noted.done;
	Datum *seqs;
	int count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &seqs, NULL,
					  &count);
	save();
	make_space(count);
	for (int i = 0; i < count; i++)
	{
		noted.changes[noted.count].room_id = PG_GETARG_INT64(0);
		noted.changes[noted.count++].seq = DatumGetInt64(seqs[i]);
	}
	PG_RETURN_BOOL(is_first);
}

static int
compare(const void *one, const void *other)
{
	const struct numbered *a = one;
	const struct numbered *b = other;

	if (a->room_id != b->room_id)
		return a->room_id < b->room_id ? -1 : 1;
	return a->n < b->n ? -1 : a->n > b->n;
}

/* They are one room's. */
static void
number_room(const struct numbered *changes, Size count)
{
	Datum values[2] = {Int64GetDatum(changes->room_id)};
	Datum *seqs;

	if (count == 1)
	{
		values[1] = Int64GetDatum(changes->seq);
		(void) rt_query_run(&number_one, values, NULL, false);
		return;
	}
	seqs = palloc(count * sizeof(*seqs));
	for (Size i = 0; i < count; i++)
		seqs[i] = Int64GetDatum(changes[i].seq);
	values[1] =
		PointerGetDatum(construct_array(seqs, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	(void) rt_query_run(&number_many, values, NULL, false);
	pfree(DatumGetPointer(values[1]));
	pfree(seqs);
}

static struct numbered *
take_all(Size count)
{
	struct numbered *taken = MemoryContextAllocHuge(CurrentMemoryContext, count * sizeof(*taken));

	for (Size i = 0; i < count; i++)
	{
		taken[i].room_id = noted.changes[noted.done + i].room_id;
		taken[i].seq = noted.changes[noted.done + i].seq;
		taken[i].n = i;
	}
	save();
	noted.done = noted.count;
	if (GetCurrentTransactionNestLevel() == 1)
		noted.done = noted.count = 0;
	return taken;
}

/* Triggers that the application has on the tables written here may change more.  That has events of its own. */
static void
number_noted(void)
{
	Size count = noted.count - noted.done;
	struct numbered *changes;
	Size begin = 0;

	if (count == 0)
		return;
	SPI_connect();
	changes = take_all(count);
	qsort(changes, count, sizeof(*changes), compare);
	for (Size i = 1; i <= count; i++)
	{
		if (i < count && i - begin < BATCH && changes[i].room_id == changes[begin].room_id)
			continue;
		number_room(changes + begin, i - begin);
		begin = i;
	}
	SPI_finish();
}

/* rt_private.number_noted() */
Datum
rt_number_noted(PG_FUNCTION_ARGS)
{
	number_noted();
	PG_RETURN_VOID();
}

/* The trigger of tables of which each row is noted. */
Datum
rt_row_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("function can only be called as a trigger")));
	number_noted();
	return PointerGetDatum(NULL);
}

static void
take_back(const Size *sizes)
{
	noted.count = sizes[0];
	noted.done = sizes[1];
}

static void
forget(void)
{
	memset(&noted, 0, sizeof(noted));
}

void
rt_change_install(void)
{
	marks.take_back = take_back;
	marks.forget = forget;
	rt_marks_install(&marks);
}
