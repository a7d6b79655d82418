/* early.c: see early.h.  The way of a commit, in the server's CommitTransaction():
 *
 *     PRE_COMMIT        rt_early_begin():  synchronous_commit is turned off for this commit alone
 *     commit record     written, not flushed; then the transaction counts as ended, and others see it
 *     COMMIT            rt_early_commit(): synchronous_commit is what it was
 *     locks             released
 *     after locks       rt_early_finish(): flush, standbys; event.c then publishes the events
 *     reply             the client is told
 *
 * Interrupts are held from before the record until after the flush, as they are in any commit.  So nothing but the
 * end of the whole server comes between, and that loses what was not flushed: nobody had been told.  Whoever saw the
 * rows and wrote anything has its record behind ours in the WAL; it is durable only with ours.
 *
 * A transaction with NOTIFY or LISTEN commits as usual: listeners of other sessions read a notification as soon as
 * its transaction counts as ended.
 *
 * Invariant: db->early counts the transactions whose rows others may see and that are not durable.  It rises before
 * they can be seen and falls when they are durable, so a process that finds it 0 after its snapshot has read nothing
 * else.  db->early_level is the strictest synchronous_commit that one of them had; it only rises.
 *
 * Runs in backends, and rt_early_wait() in the relay too.  No lock is held while something is waited for. */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "extension/config/settings.h"
#include "extension/server/wait.h"
#include "extension/server/wal.h"
#include "early.h"

#define LOOK_EVERY_MS 1

/* Of the commit that is under way. */
static struct
{
	int level;     /* synchronous_commit, as it was asked for */
	XLogRecPtr at; /* the end of the commit record */
} commit;

/* The server has no other way to ask: AtPrepare_Notify() raises if there are some, and does nothing else. */
static bool
has_notifications(void)
{
	MemoryContext context = CurrentMemoryContext;
	uint32 interrupts = InterruptHoldoffCount;
	uint32 cancels = QueryCancelHoldoffCount;
	volatile bool found = false;

	PG_TRY();
	{
		AtPrepare_Notify();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		InterruptHoldoffCount = interrupts;
		QueryCancelHoldoffCount = cancels;
		found = true;
	}
	PG_END_TRY();
	return found;
}

/* As SyncRepRequested() has it, of any level. */
static bool
waits_for_standbys(int level)
{
	return max_wal_senders > 0 && level > SYNCHRONOUS_COMMIT_LOCAL_FLUSH && SyncRepStandbyNames != NULL &&
		   SyncRepStandbyNames[0] != '\0';
}

static bool
is_wanted(void)
{
	if (rt_early_lock_release == RT_EARLY_OFF || synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		return false;
	if (rt_early_lock_release == RT_EARLY_LOCAL && waits_for_standbys(synchronous_commit))
		return false;
	return !has_notifications();
}

static void
raise_level(rt_database *db, uint32 level)
{
	uint32 known = pg_atomic_read_u32(&db->early_level);

	while (known < level && !pg_atomic_compare_exchange_u32(&db->early_level, &known, level))
		;
}

bool
rt_early_begin(rt_database *db)
{
	if (!is_wanted())
		return false;
	raise_level(db, synchronous_commit);
	pg_atomic_fetch_add_u32(&db->early, 1);
	commit.level = synchronous_commit;
	synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
	return true;
}

void
rt_early_abort(rt_database *db)
{
	synchronous_commit = commit.level;
	pg_atomic_fetch_sub_u32(&db->early, 1);
}

void
rt_early_commit(void)
{
	synchronous_commit = commit.level;
	commit.at = XactLastCommitEnd;
}

/* What RecordTransactionCommit() does between the record and the end of the transaction. */
void
rt_early_finish(rt_database *db)
{
	XLogFlush(commit.at);
	SyncRepWaitForLSN(commit.at, true);
	pg_atomic_fetch_sub_u32(&db->early, 1);
}

static int
wait_mode(int level)
{
	switch (level)
	{
		case SYNCHRONOUS_COMMIT_REMOTE_WRITE:
			return SYNC_REP_WAIT_WRITE;
		case SYNCHRONOUS_COMMIT_REMOTE_APPLY:
			return SYNC_REP_WAIT_APPLY;
		default:
			return SYNC_REP_WAIT_FLUSH;
	}
}

static bool
is_replicated(XLogRecPtr at, int level)
{
	XLogRecPtr reached;

	if (!waits_for_standbys(level))
		return true;
	LWLockAcquire(SyncRepLock, LW_SHARED);
	reached = WalSndCtl->lsn[wait_mode(level)];
	LWLockRelease(SyncRepLock);
	return reached >= at;
}

/* The server has stopped the clock of the statement by now: it ends that before the commit. */
static void
check_for_end(TimestampTz since)
{
	CHECK_FOR_INTERRUPTS();
	if (ShutdownRequestPending)
		ereport(ERROR,
				(errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("shutting down while messages wait for replication")));
	if (StatementTimeout > 0 && TimestampDifferenceExceeds(since, GetCurrentTimestamp(), StatementTimeout))
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED), errmsg("canceling statement due to statement timeout"),
				 errdetail("The statement has read messages that a synchronous standby has not confirmed yet.")));
}

bool
rt_early_is_any(rt_database *db)
{
	return pg_atomic_read_u32(&db->early) > 0;
}

void
rt_early_wait(rt_database *db)
{
	TimestampTz since = GetCurrentTimestamp();
	XLogRecPtr at;
	int level;

	if (!rt_early_is_any(db))
		return;
	at = rt_wal_end();
	XLogFlush(at);
	level = pg_atomic_read_u32(&db->early_level);
	/* Our own loop and not the server's, which a cancelled statement and a terminated session leave with a mere
	 * warning. */
	while (rt_early_is_any(db) && !is_replicated(at, level))
	{
		check_for_end(since);
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_EVERY_MS, rt_wait_event(RT_WAIT_DURABLE));
	}
}
