/* holders.c: logs each transaction that has held rooms, or a table of rt, for 5 s, once; see holders.h. rt.stat_rooms
 * shows the rooms as they are now.
 *
 * Invariant: `told` has the transactions that the last look found, so each is told of once, however long it lasts,
 * and the list is as long as the table of sessions at most.
 *
 * Tables are looked at first and without touching them: who has locked rt.rooms keeps us from looking at the rooms.
 *
 * Runs in the supervisor, in a transaction of its own.  A look that fails, or has to wait for a lock, is given up:
 * there is another one in LOOK_INTERVAL_MS. */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "bgworker/worker/clock.h"
#include "bgworker/worker/tx.h"
#include "extension/messages/query.h"
#include "holders.h"

#define LOOK_INTERVAL_MS 2000
#define LOCK_TIMEOUT "100ms"

struct holder
{
	int pid;           /* 0: a prepared transaction */
	TimestampTz since; /* of its transaction */
};

struct look
{
	struct rt_query *query; /* the first columns are those of struct holder */
	void (*tell)(int row, const struct holder *one);
	List *told; /* struct holder, in TopMemoryContext */
};

struct rt_holders
{
	TimestampTz due;
	struct rt_tx tx;
	struct look tables;
	struct look rooms;
};

static struct rt_query looking_at_rooms = {
	.sql = "SELECT coalesce(h.pid, 0), h.since, h.rooms, h.ids, h.query FROM rt_private.room_holders('5 s') AS h"};

static struct rt_query looking_at_tables = {
	.sql =
		"SELECT coalesce(l.pid, 0), l.since, l.granted,"
		" pg_catalog.string_agg(DISTINCT l.table_name, ', ' ORDER BY l.table_name),"
		" pg_catalog.left(pg_catalog.regexp_replace(coalesce(l.query, ''), '\\s+', ' ', 'g'), 200),"
		" pg_catalog.array_to_string(l.blocked_by, ', ') FROM rt_private.stat_table_locks() AS l"
		" WHERE l.since OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '5 s'::interval)"
		" GROUP BY l.pid, l.since, l.granted, l.query, l.blocked_by"};

static void tell_of_rooms(int row, const struct holder *one);
static void tell_of_tables(int row, const struct holder *one);

struct rt_holders *
rt_holders_new(void)
{
	struct rt_holders *h = MemoryContextAllocZero(TopMemoryContext, sizeof(*h));

	h->tx.context = TopMemoryContext;
	h->tx.name = "rt supervisor";
	h->tables = (struct look){&looking_at_tables, tell_of_tables};
	h->rooms = (struct look){&looking_at_rooms, tell_of_rooms};
	return h;
}

static bool
is_told(const struct look *l, const struct holder *one)
{
	ListCell *cell;

	foreach (cell, l->told)
	{
		const struct holder *other = lfirst(cell);

		if (other->pid == one->pid && other->since == one->since)
			return true;
	}
	return false;
}

static Datum
column(int row, int number)
{
	bool isnull;

	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, &isnull);
}

static void
tell_of_rooms(int row, const struct holder *one)
{
	const char *since = timestamptz_to_str(one->since);
	int64 rooms = DatumGetInt64(column(row, 3));
	char *ids = TextDatumGetCString(column(row, 4));
	char *query = TextDatumGetCString(column(row, 5));

	if (one->pid == 0)
		ereport(LOG,
				(errmsg("a prepared transaction has held " INT64_FORMAT " rooms since %s: nobody else can send there",
						rooms, since),
				 errdetail("Rooms: %s. It is %s.", ids, query),
				 errhint("COMMIT PREPARED or ROLLBACK PREPARED ends it.")));
	else
		ereport(LOG, (errmsg("process %d has held " INT64_FORMAT " rooms since %s: nobody else can send there",
							 one->pid, rooms, since),
					  errdetail("Rooms: %s. Last statement: %s", ids, query),
					  errhint("End its transaction, or SELECT pg_terminate_backend(%d).", one->pid)));
}

static void
tell_of_tables(int row, const struct holder *one)
{
	const char *since = timestamptz_to_str(one->since);
	char *tables = TextDatumGetCString(column(row, 4));
	char *query = TextDatumGetCString(column(row, 5));

	if (one->pid == 0)
		ereport(LOG, (errmsg("a prepared transaction has locked %s since %s: others wait", tables, since),
					  errdetail("It is %s.", query), errhint("COMMIT PREPARED or ROLLBACK PREPARED ends it.")));
	else if (DatumGetBool(column(row, 3)))
		ereport(LOG, (errmsg("process %d has locked %s since %s: others wait", one->pid, tables, since),
					  errdetail("Last statement: %s", query),
					  errhint("End its transaction, or SELECT pg_terminate_backend(%d).", one->pid)));
	else
		ereport(LOG,
				(errmsg("process %d has waited to lock %s since %s: others wait behind it", one->pid, tables, since),
				 errdetail("It waits for process %s. Statement: %s", TextDatumGetCString(column(row, 6)), query),
				 errhint("End that transaction, or SELECT pg_cancel_backend(%d).", one->pid)));
}

static List *
note(List *found, const struct holder *one)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	struct holder *copy = palloc(sizeof(*copy));

	*copy = *one;
	found = lappend(found, copy);
	MemoryContextSwitchTo(old);
	return found;
}

static void
look(void *arg)
{
	struct look *l = arg;
	List *found = NIL;
	uint64 rows;

	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE, GUC_ACTION_LOCAL, true, 0,
							 false);
	SPI_connect();
	rows = rt_query_run(l->query, NULL, NULL, true);
	for (uint64 i = 0; i < rows; i++)
	{
		struct holder one = {DatumGetInt32(column(i, 1)), DatumGetTimestampTz(column(i, 2))};

		if (!is_told(l, &one))
			l->tell(i, &one);
		found = note(found, &one);
	}
	list_free_deep(l->told);
	l->told = found;
	SPI_finish();
}

void
rt_holders_turn(struct rt_holders *h)
{
	if (h->due > rt_clock_now())
		return;
	h->due = TimestampTzPlusMilliseconds(rt_clock_now(), LOOK_INTERVAL_MS);
	(void) rt_tx_try(&h->tx, "looks who holds tables", look, &h->tables, ERRCODE_LOCK_NOT_AVAILABLE);
	(void) rt_tx_try(&h->tx, "looks who holds rooms", look, &h->rooms, ERRCODE_LOCK_NOT_AVAILABLE);
	pgstat_report_activity(STATE_IDLE, NULL);
}
