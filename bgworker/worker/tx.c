/* tx.c: begins, commits and retries the workers' transactions; see tx.h.  What to do meanwhile is the caller's.
 *
 * Runs in the relay, and without rt_tx_try() in the supervisor (version.c). rt_tx_try() catches every ERROR,
 * rolls back, and leaves tx->context as the current one; FATAL still ends the process.  LWLocks that the body
 * held are released by the abort.  The pause doubles from FIRST_PAUSE_MS to LONGEST_PAUSE_MS, and of failures in
 * a row only the first is logged. */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "tx.h"

#define FIRST_PAUSE_MS 50
#define LONGEST_PAUSE_MS 5000

void
rt_tx_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
}

void
rt_tx_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
#if PG_VERSION_NUM < 150000
	ProcessCompletedNotifies();
#endif
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

static void
complain(struct rt_tx *tx, const ErrorData *error)
{
	if (tx->pause_ms == 0 && tx->name != NULL)
		ereport(LOG, (errcode(error->sqlerrcode), errmsg("%s: %s", tx->name, error->message),
					  error->detail ? errdetail_internal("%s", error->detail) : 0));
	else if (tx->pause_ms == 0)
		ereport(LOG, (errcode(error->sqlerrcode), errmsg("rt relay: %s", error->message),
					  error->detail ? errdetail_internal("%s", error->detail) : 0,
					  errhint("The relay keeps trying. No event is lost.")));
	tx->pause_ms = tx->pause_ms == 0 ? FIRST_PAUSE_MS : Min(2 * tx->pause_ms, LONGEST_PAUSE_MS);
}

static void
on_failure(struct rt_tx *tx, int expected)
{
	ErrorData *error;

	MemoryContextSwitchTo(tx->context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(tx->context);
	pgstat_report_activity(STATE_IDLE, NULL);
	tx->sqlstate = error->sqlerrcode;
	if (error->sqlerrcode != expected)
		complain(tx, error);
	FreeErrorData(error);
}

bool
rt_tx_try(struct rt_tx *tx, const char *activity, void (*body)(void *arg), void *arg, int expected)
{
	volatile bool done = false;

	PG_TRY();
	{
		rt_tx_begin(activity);
		body(arg);
		rt_tx_commit();
		done = true;
	}
	PG_CATCH();
	{
		on_failure(tx, expected);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(tx->context);
	if (done)
		tx->pause_ms = 0;
	return done;
}
