/* launcher.c: keeps a relay and a supervisor running in each database with extension rt.
 *
 * candidates.c finds the databases; those that have rt get a slot of shared memory, ports that no other database
 * has, and workers.  A database that somebody has suspended (extension/server/suspend.c) is emptied of workers,
 * and then said to be quiet.  Programs are the supervisor's.
 *
 * What others see is in the slots, under rt_shared.lock and, for the workers' pids, rt_database.lock; they are
 * taken one after the other, never one within the other.  What is in struct launcher is our own.  Backends may
 * take a free slot; only the launcher frees one, so a slot that it looks at does not go away meanwhile.
 *
 * A restarted launcher finds the workers of its predecessor by their pids in the slots.
 *
 * Runs in worker "rt launcher", one for the server, from the end of recovery on.  State is in TopMemoryContext.
 * An error ends the launcher; the postmaster starts it again after 5 s, and the workers run on. */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "extension/server/rt_shmem.h"
#include "extension/config/settings.h"
#include "extension/config/settings_check.h"
#include "extension/server/wait.h"
#include "bgworker/supervisor/backoff.h"
#include "candidates.h"
#include "bgworker/worker/clock.h"
#include "launcher.h"
#include "bgworker/worker/session.h"

#define SLOT_POLL_MS 10000   /* nobody tells us that the last session of a database has ended */
#define ADOPTED_POLL_MS 1000 /* a predecessor's workers do not signal us when they end */

/* A relay or a supervisor of one slot. */
struct worker
{
	const char *name;
	const char *function;
	BackgroundWorkerHandle *handle; /* NULL: not started by us */
	bool up;                        /* as of the last look */
	bool stopping;
	bool complained;
	TimestampTz started;
	struct rt_backoff backoff;
};

/* What the launcher keeps for the slot of the same number. */
struct post
{
	Oid oid;
	struct worker relay;
	struct worker supervisor;
};

struct launcher
{
	struct rt_candidates candidates;
	struct post *posts;    /* rt_shared.ndatabases of them */
	TimestampTz next_turn; /* earliest time at which something is due */
};

/* What others have written into a slot. */
struct slot_view
{
	Oid oid;
	bool suspended;
	int port;
	int relay_pid;
	int supervisor_pid;
};

static void
wait_until(struct launcher *l, TimestampTz when)
{
	if (when < l->next_turn)
		l->next_turn = when;
}

/* ---- slots and ports --------------------------------------------------------- */

static struct slot_view
view_slot(rt_database *db)
{
	struct slot_view view;

	LWLockAcquire(&rt_shared_state->lock, LW_SHARED);
	view.oid = db->oid;
	view.suspended = db->suspended > 0;
	view.port = db->port;
	LWLockRelease(&rt_shared_state->lock);
	LWLockAcquire(&db->lock, LW_SHARED);
	view.relay_pid = db->relay_pid;
	view.supervisor_pid = db->supervisor_pid;
	LWLockRelease(&db->lock);
	return view;
}

static bool
has_free_slot(void)
{
	bool found = false;

	LWLockAcquire(&rt_shared_state->lock, LW_SHARED);
	for (int i = 0; i < rt_shared_state->ndatabases && !found; i++)
		found = !OidIsValid(rt_database_slot(i)->oid);
	LWLockRelease(&rt_shared_state->lock);
	return found;
}

/* For a database without any backend that could use its ring: backends keep a pointer to their slot, and whoever
 * takes the slot next resets the ring. */
static void
free_slot(rt_database *db)
{
	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	db->oid = InvalidOid;
	db->wanted = false;
	db->quiet = false;
	db->absent = false;
	db->port = db->media_port = 0;
	LWLockRelease(&rt_shared_state->lock);
}

/* A slot whose database has lost the extension stays with it, for its sessions may have it in mind; it is free once
 * there are none. */
static bool
reclaim_slot(struct launcher *l)
{
	for (int i = 0; i < rt_shared_state->ndatabases; i++)
	{
		rt_database *db = rt_database_slot(i);
		const struct rt_candidate *c = rt_candidates_find(&l->candidates, db->oid);

		if (c == NULL || c->seen != RT_SEEN_ABSENT || db->suspended > 0 || l->posts[i].relay.up ||
			l->posts[i].supervisor.up || CountDBBackends(db->oid) > 0)
			continue;
		free_slot(db);
		return true;
	}
	return false;
}

/* Gives every database with rt a slot, as long as there are any.  Where there are none (rt.max_databases), a database
 * is left unserved, the log is told once, and a slot is looked for every SLOT_POLL_MS. */
static void
assign_slots(struct launcher *l)
{
	ListCell *cell;

	foreach (cell, l->candidates.list)
	{
		struct rt_candidate *c = lfirst(cell);

		if (c->seen != RT_SEEN_PRESENT || rt_database_find(c->oid, false) != NULL)
			continue;
		if (has_free_slot() || reclaim_slot(l))
		{
			(void) rt_database_find(c->oid, true);
			continue;
		}
		wait_until(l, TimestampTzPlusMilliseconds(rt_clock_now(), SLOT_POLL_MS));
		if (!c->complained)
		{
			c->complained = true;
			ereport(LOG, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("database \"%s\" is not served: too many databases have extension rt", c->name),
						  errhint("Increase rt.max_databases.")));
		}
	}
}

/* True where another served database has one of these ports. */
static bool
is_taken(const rt_database *mine, int port, int count)
{
	int media_count = Max(rt_media_workers, 1);

	for (int i = 0; i < rt_shared_state->ndatabases; i++)
	{
		const rt_database *other = rt_database_slot(i);

		if (other == mine || !OidIsValid(other->oid) || !other->wanted)
			continue;
		if (other->port >= port && other->port < port + count)
			return true;
		if (other->media_port > 0 && port < other->media_port + media_count && other->media_port < port + count)
			return true;
	}
	return false;
}

/* The media processes listen by TCP too. */
static bool
is_own_media_port(const struct rt_candidate *c)
{
	return c->port >= c->media_port && c->port < c->media_port + Max(rt_media_workers, 1);
}

static void
complain_of_ports(struct rt_candidate *c, bool has_port)
{
	if (c->complained)
		return;
	c->complained = true;
	if (has_port && is_own_media_port(c))
	{
		ereport(LOG, (errcode(ERRCODE_OBJECT_IN_USE),
					  errmsg("no media for database \"%s\": the gateway's port %d is one of its media ports", c->name,
							 c->port),
					  errhint("Choose a gateway port outside the media ports, %d to %d.", c->media_port,
							  c->media_port + Max(rt_media_workers, 1) - 1)));
		return;
	}
	ereport(LOG, (errcode(ERRCODE_OBJECT_IN_USE),
				  errmsg("no %s for database \"%s\": port %d serves another database", has_port ? "media" : "gateway",
						 c->name, has_port ? c->media_port : c->port),
				  errhint("Give each database its own ports in rt.databases, for example \"%s:%d:%d\".", c->name,
						  has_port ? c->port : c->port + 100, c->media_port + 100)));
}

/* Two gateways on one port would share its clients (SO_REUSEPORT), so a port belongs to one database. */
static void
assign_ports(struct rt_candidate *c, rt_database *db, int supervisor_pid)
{
	int old_port = db->port;
	int old_media_port = db->media_port;
	int port;
	int media_port;
	PGPROC *supervisor;

	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	port = is_taken(db, c->port, 1) ? 0 : c->port;
	media_port = c->media_port;
	if (port == 0 || is_own_media_port(c) || is_taken(db, media_port, Max(rt_media_workers, 1)))
		media_port = 0;
	db->port = port;
	db->media_port = media_port;
	LWLockRelease(&rt_shared_state->lock);
	if (port == 0 || (media_port == 0 && rt_media_workers > 0))
		complain_of_ports(c, port > 0);
	if (port == old_port && media_port == old_media_port)
		return;
	supervisor = supervisor_pid == 0 ? NULL : BackendPidGetProc(supervisor_pid);
	if (supervisor != NULL)
		SetLatch(&supervisor->procLatch);
}

/* Without `wanted` no supervisor starts, and its ports are free for others. */
static void
set_wanted(rt_database *db, bool wanted)
{
	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	db->wanted = wanted;
	if (!wanted)
		db->port = db->media_port = 0;
	LWLockRelease(&rt_shared_state->lock);
}

/* Tells those who suspended a database whether anything of ours is there.  Broadcast outside of the lock, which those
 * who wake take at once. */
static void
set_quiet(rt_database *db, bool quiet)
{
	bool changed;

	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	quiet = quiet && db->suspended > 0;
	changed = db->quiet != quiet;
	db->quiet = quiet;
	LWLockRelease(&rt_shared_state->lock);
	if (changed)
		ConditionVariableBroadcast(&rt_shared_state->changed);
}

/* ---- workers ----------------------------------------------------------------- */

static bool
is_up(struct worker *w, int announced_pid)
{
	pid_t pid;

	if (w->handle != NULL && GetBackgroundWorkerPid(w->handle, &pid) == BGWH_STOPPED)
	{
		pfree(w->handle);
		w->handle = NULL;
	}
	return w->handle != NULL || announced_pid != 0;
}

/* Looks whether a worker came or went since the last turn. */
static void
look_after(struct launcher *l, struct worker *w, int announced_pid)
{
	bool up = is_up(w, announced_pid);

	if (w->up && !up)
	{
		long lived_ms = TimestampDifferenceMilliseconds(w->started, rt_clock_now());

		if (w->stopping)
			rt_backoff_reset(&w->backoff);
		else
			rt_backoff_ended(&w->backoff, lived_ms, lived_ms >= RT_BACKOFF_STEADY_MS);
		w->stopping = false;
	}
	w->up = up;
	if (up && w->handle == NULL)
		wait_until(l, TimestampTzPlusMilliseconds(rt_clock_now(), ADOPTED_POLL_MS));
}

static void
start_worker(struct launcher *l, struct worker *w, const struct rt_candidate *c)
{
	if (w->up)
		return;
	if (!rt_backoff_is_due(&w->backoff))
	{
		wait_until(l, w->backoff.due);
		return;
	}
	w->started = rt_clock_now();
	w->stopping = false;
	if (rt_register_worker(w->name, w->function, c->oid, &w->handle))
	{
		w->up = true;
		w->complained = false;
		return;
	}
	if (!w->complained)
		rt_complain_of_workers(w->name, c->name);
	w->complained = true;
	rt_backoff_ended(&w->backoff, 0, false);
	wait_until(l, w->backoff.due);
}

static void
stop_worker(struct worker *w, int announced_pid)
{
	if (!w->up || w->stopping)
		return;
	w->stopping = true;
	if (w->handle != NULL)
		TerminateBackgroundWorker(w->handle);
	else if (BackendPidGetProc(announced_pid) != NULL)
		kill(announced_pid, SIGTERM);
}

static void
run_workers(struct launcher *l, struct post *post, rt_database *db, struct rt_candidate *c)
{
	struct slot_view view;

	set_wanted(db, true);
	set_quiet(db, false);
	view = view_slot(db);
	assign_ports(c, db, view.supervisor_pid);
	start_worker(l, &post->relay, c);
	/* The relay has seen that the extension is there; what needs it follows. */
	if (view.relay_pid == 0)
		return;
	if (view_slot(db).port > 0)
		start_worker(l, &post->supervisor, c);
	else
		stop_worker(&post->supervisor, view.supervisor_pid);
}

/* Both are told in the same turn.  Quiet, and free, only when both have ended. */
static void
stop_workers(struct post *post, rt_database *db, const struct slot_view *view)
{
	stop_worker(&post->supervisor, view->supervisor_pid);
	stop_worker(&post->relay, view->relay_pid);
	if (post->supervisor.up || post->relay.up)
		return;
	set_quiet(db, view->suspended);
	if (!view->suspended && !rt_candidates_exists(view->oid))
		free_slot(db);
}

/* A relay that finds no extension says so and ends; somebody may have created it since, so a probe decides. */
static void
take_absence(rt_database *db, struct rt_candidate *c)
{
	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	if (db->absent && c != NULL)
	{
		c->seen = RT_SEEN_UNKNOWN;
		c->probe_due = 0;
	}
	db->absent = false;
	LWLockRelease(&rt_shared_state->lock);
}

static void
tend_slot(struct launcher *l, int i)
{
	rt_database *db = rt_database_slot(i);
	struct post *post = &l->posts[i];
	struct slot_view view = view_slot(db);
	struct rt_candidate *c;

	if (!OidIsValid(view.oid))
		return;
	if (post->oid != view.oid)
	{
		post->oid = view.oid;
		post->relay = (struct worker){.name = "rt relay", .function = "rt_relay_main"};
		post->supervisor = (struct worker){.name = "rt supervisor", .function = "rt_supervisor_main"};
	}
	look_after(l, &post->relay, view.relay_pid);
	look_after(l, &post->supervisor, view.supervisor_pid);
	c = rt_candidates_find(&l->candidates, view.oid);
	take_absence(db, c);
	if (c == NULL || c->seen == RT_SEEN_ABSENT)
		set_wanted(db, false);
	if (c == NULL || c->seen == RT_SEEN_ABSENT || view.suspended)
		stop_workers(post, db, &view);
	else if (c->seen == RT_SEEN_PRESENT)
		run_workers(l, post, db, c);
}

/* ---- the loop ---------------------------------------------------------------- */

static void
on_exit_launcher(int code, Datum arg)
{
	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	rt_shared_state->launcher_pid = 0;
	rt_shared_state->launcher_latch = NULL;
	pg_atomic_write_u64(&rt_shared_state->launcher_turned, 0);
	LWLockRelease(&rt_shared_state->lock);
}

static void
announce(void)
{
	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	rt_shared_state->launcher_pid = MyProcPid;
	rt_shared_state->launcher_latch = MyLatch;
	LWLockRelease(&rt_shared_state->lock);
	before_shmem_exit(on_exit_launcher, (Datum) 0);
}

/* Slots first, since the workers need them.  A change that comes during the turn sets the latch, and the next
 * turn follows at once. */
static void
turn(struct launcher *l)
{
	pg_atomic_write_u64(&rt_shared_state->launcher_turned, rt_clock_us());
	l->next_turn = rt_candidates_turn(&l->candidates);
	assign_slots(l);
	for (int i = 0; i < rt_shared_state->ndatabases; i++)
		tend_slot(l, i);
}

void
rt_launcher_main(Datum main_arg)
{
	struct launcher l;

	/* pg_upgrade's server is for pg_upgrade alone. */
	if (IsBinaryUpgrade)
		proc_exit(0);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	rt_session_prepare();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("rt launcher");
	rt_session_set("0");

	rt_candidates_init(&l.candidates, TopMemoryContext);
	l.posts = MemoryContextAllocZero(TopMemoryContext, sizeof(struct post) * rt_shared_state->ndatabases);
	announce();
	rt_settings_compare();
	while (!ShutdownRequestPending)
	{
		long timeout_ms;

		RT_SESSION_CHECK_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			rt_candidates_reload(&l.candidates);
			rt_settings_compare();
		}
		turn(&l);
		timeout_ms = TimestampDifferenceMilliseconds(rt_clock_now(), l.next_turn);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(Max(timeout_ms, 1), RT_TURN_MS), rt_wait_event(RT_WAIT_LAUNCHER));
		ResetLatch(MyLatch);
	}
	/* After an exit code of 0 the postmaster would not start us again, should somebody have terminated us. */
	proc_exit(1);
}
