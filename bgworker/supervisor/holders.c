/* holders.c: logs each session that has held rooms for RT_HOLD_LIMIT, once; see holders.h.  rt.stat_rooms shows the
 * same as it is now.
 *
 * Invariant: `told` has the transactions that the last look found, so each is told of once, however long it lasts,
 * and the list is as long as the table of sessions at most.
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
	int pid;
	TimestampTz since; /* of its transaction */
};

struct rt_holders
{
	TimestampTz due;
	struct rt_tx tx;
	List *told; /* struct holder, in TopMemoryContext */
};

static struct rt_query looking = {
	.sql = "SELECT h.pid, h.since, h.rooms, h.ids, h.query FROM rt_private.room_holders('5 s') AS h"};

struct rt_holders *
rt_holders_new(void)
{
	struct rt_holders *h = MemoryContextAllocZero(TopMemoryContext, sizeof(*h));

	h->tx.context = TopMemoryContext;
	h->tx.name = "rt supervisor";
	return h;
}

static bool
is_told(const struct rt_holders *h, const struct holder *one)
{
	ListCell *cell;

	foreach (cell, h->told)
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
tell(int row, const struct holder *one)
{
	ereport(LOG, (errmsg("process %d has held " INT64_FORMAT " rooms since %s: nobody else can send there", one->pid,
						 DatumGetInt64(column(row, 3)), timestamptz_to_str(one->since)),
				  errdetail("Rooms: %s. Last statement: %s", TextDatumGetCString(column(row, 4)),
							TextDatumGetCString(column(row, 5))),
				  errhint("End its transaction, or SELECT pg_terminate_backend(%d).", one->pid)));
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
	struct rt_holders *h = arg;
	List *found = NIL;
	uint64 rows;

	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE, GUC_ACTION_LOCAL, true, 0,
							 false);
	SPI_connect();
	rows = rt_query_run(&looking, NULL, NULL, true);
	for (uint64 i = 0; i < rows; i++)
	{
		struct holder one = {DatumGetInt32(column(i, 1)), DatumGetTimestampTz(column(i, 2))};

		if (!is_told(h, &one))
			tell(i, &one);
		found = note(found, &one);
	}
	list_free_deep(h->told);
	h->told = found;
	SPI_finish();
}

void
rt_holders_turn(struct rt_holders *h)
{
	if (h->due > rt_clock_now())
		return;
	h->due = TimestampTzPlusMilliseconds(rt_clock_now(), LOOK_INTERVAL_MS);
	(void) rt_tx_try(&h->tx, "looks who holds rooms", look, h, ERRCODE_LOCK_NOT_AVAILABLE);
	pgstat_report_activity(STATE_IDLE, NULL);
}
