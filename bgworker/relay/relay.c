/* relay.c: the relay's life and its loop.  A batch of events (feed.c) is written in one transaction (batch.c),
 * and the ring's bytes are given back once it has committed.
 *
 * A transaction that fails is tried again, with a growing pause, for as long as it takes: an event that the relay
 * has seen is never dropped.  What a crash takes with the ring, the next relay finds in the tables (rescan.c).
 *
 * Runs in worker "rt relay", one for each served database.  It holds no lock while it waits, and waits for none
 * longer than LOCK_TIMEOUT, so that a session that drops or alters its tables gets its locks.  Of LWLocks it holds
 * one at a time, and none while it runs SQL.  Transactions run under rt_tx_try(), which catches their errors.  An
 * error outside of it ends the worker, and the launcher starts another.  What lives longer than a transaction is
 * in context "rt relay".
 *
 * synchronous_commit is off.  WAL is written in order, so a crash that loses rows of the log also loses every
 * horizon that was stored after them.  Where the server waits for synchronous standbys, so do batches, while one is
 * connected: nobody hears of an event before the standbys have its position, and after a failover everybody's offset
 * is known there.  Without one, what has committed for others is told: sessions that wait for none, and commits whose
 * wait was canceled.  A server that is promoted then begins an epoch, and knows of no such offset. */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "commands/async.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/timestamp.h"

#include "extension/events/event_text.h"
#include "extension/events/ring.h"
#include "extension/server/rt_shmem.h"
#include "extension/server/wait.h"
#include "batch.h"
#include "bgworker/worker/clock.h"
#include "feed.h"
#include "horizon.h"
#include "pace.h"
#include "relay.h"
#include "retention.h"
#include "bgworker/worker/session.h"
#include "bgworker/worker/tx.h"
#include "bgworker/worker/version.h"

#define LOCK_TIMEOUT "200ms"
#define HORIZON_EVERY_MS 1000
#define HOUSEKEEPING_EVERY_MS 60000
#define OWED_AFTER_MS 1000
#define LAST_DRAIN_MS 2000

/* More positions than can have been given out between the log's last flush and a crash: those are not given
 * again, since somebody may have seen them. */
#define POSITIONS_AFTER_CRASH 1000000

struct relay
{
	rt_database *db;
	struct rt_tx tx;
	struct rt_feed *feed;
	struct rt_batch *batch;
	struct rt_pace *pace;
	int last_events; /* of the batch that this turn has written; 0: none, or all that a batch can take */
	bool filled;     /* the batch's transaction has failed: it is to be written again as it is */
	struct rt_horizon horizon;
	int64 last_pos;      /* of the last committed batch */
	bool without_notify; /* the queue had no place for this batch */
	bool owed;           /* a batch went without notifications, and none has come since */
	TimestampTz housekeeping_due;
	bool commits_are_async; /* other sessions', by default */
};

static rt_database *own_slot;

/* A batch is being written, and may wait for a standby that never answers. */
static volatile sig_atomic_t may_wait = false;

/* ---- one batch --------------------------------------------------------------- */

/* The snapshot comes first, then the head of the ring: what had ended by the snapshot lies before the head. */
static void
open_horizon(struct relay *r)
{
	struct rt_horizon *h = &r->horizon;

	if (h->open || !TimestampDifferenceExceeds(h->stored, rt_clock_now(), HORIZON_EVERY_MS))
		return;
	rt_horizon_begin(h);
	h->open = rt_feed_is_complete(r->feed, &h->head);
}

/* In the transaction of the batch: the horizon never commits without the rows that it vouches for. */
static void
close_horizon(struct relay *r)
{
	if (r->horizon.open && rt_feed_position(r->feed) >= r->horizon.head)
		rt_horizon_store(&r->horizon, rt_batch_last_pos(r->batch));
}

static bool
has_standby(void)
{
	bool found = false;

	for (int i = 0; i < max_wal_senders && !found; i++)
	{
		WalSnd *sender = &WalSndCtl->walsnds[i];

		SpinLockAcquire(&sender->mutex);
		found = sender->pid != 0 && sender->sync_standby_priority > 0 && sender->state == WALSNDSTATE_STREAMING;
		SpinLockRelease(&sender->mutex);
	}
	return found;
}

/* What the server is configured to, not this session.  At the end nothing waits: a standby that is gone must not keep
 * the server from stopping. */
static void
follow_synchronous_commit(void)
{
	const char *level = GetConfigOptionResetString("synchronous_commit");

	if (ShutdownRequestPending || SyncRepStandbyNames == NULL || SyncRepStandbyNames[0] == '\0' ||
		strcmp(level, "off") == 0 || strcmp(level, "local") == 0 || !has_standby())
		return;
	(void) set_config_option("synchronous_commit", level, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
							 false);
}

static void
write_batch(void *arg)
{
	struct relay *r = arg;

	may_wait = true;
	follow_synchronous_commit();
	open_horizon(r);
	if (!r->filled)
		rt_feed_fill(r->feed, r->batch);
	r->filled = true;
	rt_batch_log(r->batch);
	if (!r->without_notify)
		rt_batch_notify(r->batch);
	close_horizon(r);
}

static void
note_lag(rt_database *db, uint64 lag_us)
{
	int bucket = 0;

	while (bucket < RT_LAG_BUCKETS - 1 && lag_us > rt_lag_bounds_us[bucket])
		bucket++;
	pg_atomic_write_u64(&db->lag_us, lag_us);
	pg_atomic_fetch_add_u64(&db->lag_sum_us, lag_us);
	pg_atomic_fetch_add_u64(&db->lag_counts[bucket], 1);
	if (lag_us > pg_atomic_read_u64(&db->largest_lag_us))
		pg_atomic_write_u64(&db->largest_lag_us, lag_us);
}

static void
note_batch(struct relay *r)
{
	rt_database *db = r->db;
	uint64 count = rt_batch_count(r->batch);
	TimestampTz oldest = rt_feed_oldest(r->feed);

	pg_atomic_write_u64(&db->last_pos, r->last_pos);
	pg_atomic_fetch_add_u64(&db->events, count);
	pg_atomic_fetch_add_u64(&db->batches, count > 0);
	pg_atomic_fetch_add_u64(&db->rescued, rt_feed_rescued(r->feed));
	if (count > pg_atomic_read_u64(&db->largest_batch))
		pg_atomic_write_u64(&db->largest_batch, count);
	if (oldest != 0)
		note_lag(db, Max(GetCurrentTimestamp() - oldest, 0));
}

/* Only after the commit: the feed gives the ring's bytes back, and nobody could read them again. */
static void
keep_batch(struct relay *r)
{
	int64 last_pos = rt_batch_last_pos(r->batch);

	r->owed = r->without_notify || (r->owed && last_pos == r->last_pos);
	r->last_pos = last_pos;
	note_batch(r);
	/* After a full batch more is there already. */
	r->last_events = rt_batch_is_full(r->batch) ? 0 : rt_batch_count(r->batch);
	rt_batch_reset(r->batch, last_pos);
	rt_feed_keep(r->feed);
	r->filled = false;
	r->without_notify = false;
}

/* After a failure while the batch was being filled, both it and the feed go back: nobody has seen its positions.
 * Once it is filled it stays as it is, so a retry writes the same events with the same positions. */
static void
relay_batch(struct relay *r)
{
	int queue_full = r->without_notify ? 0 : ERRCODE_PROGRAM_LIMIT_EXCEEDED;

	bool done = rt_tx_try(&r->tx, "relaying events", write_batch, r, queue_full);

	may_wait = false;
	if (done)
		keep_batch(r);
	else if (!r->filled)
	{
		rt_batch_reset(r->batch, r->last_pos);
		rt_feed_undo(r->feed);
	}
	else if (r->tx.sqlstate == queue_full)
	{
		/* The queue of notifications is full.  The log then goes on without them. */
		r->without_notify = true;
		pg_atomic_fetch_add_u64(&r->db->notify_failures, 1);
	}
}

/* ---- what is due from time to time ------------------------------------------- */

static void
notify_position(void *arg)
{
	struct relay *r = arg;
	struct rt_event_text e = {
		.name = "rt:position", .pos = r->last_pos, .route = "{\"gateway\":true}", .payload = "{}"};
	StringInfoData text;

	initStringInfo(&text);
	rt_event_text_put(&text, &e);
	Async_Notify("rt_events", text.data);
}

/* Tells gateways that went without notifications how far the log has got. */
static void
pay_owed(struct relay *r)
{
	if (rt_tx_try(&r->tx, "notifying the last position", notify_position, r, 0))
		r->owed = false;
}

static void
store_position(void *arg)
{
	struct relay *r = arg;

	rt_horizon_mark(r->last_pos, false);
	open_horizon(r);
	close_horizon(r);
}

struct purge
{
	const char *activity;
	rt_database *db;
	bool (*rows)(rt_database *db);
	bool more;
};

static void
purge(void *arg)
{
	struct purge *p = arg;

	p->more = p->rows(p->db);
}

/* In transactions of their own: what keeps one of them from its work keeps no other. */
static void
keep_house(struct relay *r)
{
	struct purge purges[] = {
		{.db = r->db, .activity = "removing old events", .rows = rt_retention_purge_log},
		{.db = r->db, .activity = "removing old messages", .rows = rt_retention_purge_messages},
		{.db = r->db, .activity = "removing what is left of old messages", .rows = rt_retention_purge_places},
		{.db = r->db, .activity = "removing old entries of the audit", .rows = rt_retention_purge_audit},
	};

	/* First: the log may be empty afterwards. */
	if (!rt_tx_try(&r->tx, "storing the position", store_position, r, 0))
		return;
	for (size_t i = 0; i < lengthof(purges); i++)
	{
		if (rt_tx_try(&r->tx, purges[i].activity, purge, &purges[i], 0) && purges[i].more)
			r->housekeeping_due = 0;
	}
}

static void
turn(struct relay *r)
{
	TimestampTz now;

	if (r->filled || rt_feed_has_work(r->feed))
		relay_batch(r);
	else if (r->owed)
		pay_owed(r);
	now = rt_clock_now();
	if (now >= r->housekeeping_due && !r->filled)
	{
		r->housekeeping_due = TimestampTzPlusMilliseconds(now, HOUSEKEEPING_EVERY_MS);
		keep_house(r);
	}
}

/* ---- the worker -------------------------------------------------------------- */

/* The procno first: backends wake the relay through it without a lock.  One that has read it before may still set
 * the latch of whoever gets this PGPROC next, who then wakes for nothing. */
static void
on_exit_relay(int code, Datum arg)
{
	pg_atomic_write_u32(&own_slot->relay_procno, 0);
	LWLockAcquire(&own_slot->lock, LW_EXCLUSIVE);
	own_slot->relay_pid = 0;
	own_slot->relay_latch = NULL;
	LWLockRelease(&own_slot->lock);
	ConditionVariableBroadcast(&rt_shared_state->changed);
}

/* The slot names us before backends can wake us, and the exit hook is in place by then. */
static void
announce(rt_database *db)
{
	own_slot = db;
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	db->relay_pid = MyProcPid;
	db->relay_latch = MyLatch;
	LWLockRelease(&db->lock);
	before_shmem_exit(on_exit_relay, (Datum) 0);
	pg_atomic_write_u32(&db->relay_procno, rt_ring_own_procno() + 1);
	ConditionVariableBroadcast(&rt_shared_state->changed);
	rt_shmem_wake_launcher();
}

static void
set_session(void)
{
	static const char *const options[][2] = {
		{"rt.suppress_events", "on"}, /* clients are not told of what retention removes */
		{"application_name", "rt relay"},
	};

	rt_session_set(LOCK_TIMEOUT);
	/* Of the session, so that the reset value goes on telling what the server is configured to. */
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION);
	for (size_t i = 0; i < lengthof(options); i++)
		SetConfigOption(options[i][0], options[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/* Shows the database in the list of processes, while it is at it. */
static bool
has_extension(void)
{
	bool found;
	char *database;

	rt_tx_begin("looking for extension rt");
	database = get_database_name(MyDatabaseId);
	if (database != NULL)
		set_ps_display(database);
	found = OidIsValid(get_extension_oid("rt", true));
	rt_tx_commit();
	return found;
}

static void
say_absent(rt_database *db)
{
	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	db->absent = true;
	LWLockRelease(&rt_shared_state->lock);
	rt_shmem_wake_launcher();
}

/* After a crash messages may be lost that were acknowledged, where that is allowed: their numbers are given again. */
static int64
begin_epoch(const struct relay *r, bool crashed)
{
	if (!rt_version_has_places()) /* before 1.2 */
		return r->last_pos + (crashed ? POSITIONS_AFTER_CRASH : 0);
	return rt_horizon_begin_epoch(r->last_pos, crashed, r->commits_are_async);
}

/* Where to go on numbering.  Until we end in order, what we write may be lost in a crash.  True: nothing has been
 * numbered since the extension was created. */
static bool
find_position(struct relay *r, rt_database *db)
{
	int64 mine = pg_atomic_read_u64(&db->last_pos);
	struct rt_relay_state state;
	bool crashed;
	bool first;

	rt_tx_begin("reading the last position");
	rt_horizon_read_state(&state);
	first = state.clean && state.last_pos == 0;
	crashed = mine == 0 && !state.clean;
	r->last_pos = Max(mine, state.last_pos);
	r->last_pos = begin_epoch(r, crashed);
	r->horizon.horizon_at = state.horizon_at;
	rt_horizon_mark(r->last_pos, false);
	ForceSyncCommit();
	rt_tx_commit();
	return first;
}

static void
init(struct relay *r, rt_database *db)
{
	bool first;

	r->db = db;
	r->tx.context = AllocSetContextCreate(TopMemoryContext, "rt relay", ALLOCSET_DEFAULT_SIZES);
	first = find_position(r, db);
	MemoryContextSwitchTo(r->tx.context);
	pg_atomic_write_u64(&db->last_pos, r->last_pos);
	r->pace = rt_pace_new(r->tx.context);
	r->batch = rt_batch_new(r->tx.context);
	rt_batch_reset(r->batch, r->last_pos);
	r->feed = rt_feed_new(r->tx.context, db);
	/* What lies in the ring may be of an extension that was dropped; the messages of this one are found by the
	 * rescan. */
	if (first)
		rt_feed_discard(r->feed);
	r->housekeeping_due = TimestampTzPlusMilliseconds(rt_clock_now(), HOUSEKEEPING_EVERY_MS);
}

static bool
is_busy(struct relay *r)
{
	return r->tx.pause_ms == 0 && (r->filled || rt_feed_has_work(r->feed));
}

static void
wait_for_work(struct relay *r)
{
	long timeout = TimestampDifferenceMilliseconds(rt_clock_now(), r->housekeeping_due);

	if (r->owed)
		timeout = Min(timeout, OWED_AFTER_MS);
	timeout = rt_feed_look_again_ms(r->feed, timeout);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout, rt_wait_event(RT_WAIT_RELAY));
}

/* While something fails, wake-ups do not shorten the pause. */
static void
pause_after_failure(struct relay *r)
{
	TimestampTz until = TimestampTzPlusMilliseconds(rt_clock_now(), r->tx.pause_ms);

	while (!ShutdownRequestPending && rt_clock_now() < until)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(rt_clock_now(), until), rt_wait_event(RT_WAIT_RELAY));
		ResetLatch(MyLatch);
		RT_SESSION_CHECK_INTERRUPTS();
	}
}

/* Under load, lets the next batch gather.  Nobody need wake us meanwhile, which costs a writer a system call.  A
 * signal ends it early, and it is too short for anything else to matter. */
static void
gather(struct relay *r)
{
	pg_atomic_write_u32(&r->db->relay_wakeup, 1);
	pg_usleep(rt_pace_gather_us(r->pace, r->last_events));
}

static void
mark_clean(void *arg)
{
	struct relay *r = arg;

	rt_horizon_mark(r->last_pos, true);
	ForceSyncCommit();
}

/* What has committed so far still goes out, within LAST_DRAIN_MS.  What is left then stays in the ring for the next
 * relay; the mark says only that no position is lost. */
static void
drain_and_leave(struct relay *r)
{
	TimestampTz until = TimestampTzPlusMilliseconds(rt_clock_now(), LAST_DRAIN_MS);

	r->tx.pause_ms = 0;
	while (rt_clock_now() < until && is_busy(r))
		relay_batch(r);
	if (!r->filled)
		(void) rt_tx_try(&r->tx, "ending", mark_clean, r, 0);
	proc_exit(0);
}

static void
loop(struct relay *r)
{
	while (!ShutdownRequestPending)
	{
		/* Before looking: a backend that publishes after the look sets the latch again. */
		ResetLatch(MyLatch);
		pg_atomic_write_u32(&r->db->relay_wakeup, 0);
		pg_memory_barrier();
		RT_SESSION_CHECK_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			r->housekeeping_due = 0;
		}
		r->last_events = 0;
		rt_pace_begin(r->pace);
		turn(r);
		rt_pace_end(r->pace);
		if (r->tx.pause_ms > 0)
			pause_after_failure(r);
		else if (r->last_events > 0 && rt_pace_gather_us(r->pace, r->last_events) > 0)
			gather(r);
		else if (!is_busy(r))
			wait_for_work(r);
	}
}

/* A wait for a standby ends as if it were canceled. */
static void
on_sigterm(SIGNAL_ARGS)
{
	SignalHandlerForShutdownRequest(postgres_signal_arg);
	if (may_wait)
	{
		QueryCancelPending = true;
		InterruptPending = true;
	}
}

void
rt_relay_main(Datum main_arg)
{
	Oid database = DatumGetObjectId(main_arg);
	struct relay r = {0};
	rt_database *db;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, on_sigterm);
	BackgroundWorkerUnblockSignals();
	rt_session_prepare();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	db = rt_database_find(database, true);
	if (db == NULL) /* another database has taken the slot */
		ereport(FATAL, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED), errmsg("too many databases have extension rt"),
						errhint("Raise rt.max_databases and restart the server.")));
	r.commits_are_async = synchronous_commit == SYNCHRONOUS_COMMIT_OFF;
	set_session();
	if (!has_extension())
	{
		say_absent(db);
		proc_exit(0);
	}
	init(&r, db);
	announce(db);
	loop(&r);
	drain_and_leave(&r);
}
