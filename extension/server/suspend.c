/* suspend.c: makes a database empty of rt's workers and programs; see suspend.h.  Ending the workers is the
 * launcher's, ending the programs the supervisor's.  A session that suspended a database is counted in
 * rt_database.suspended, under rt_shared.lock; it takes itself out when its transaction ends, or when it is ended
 * itself.
 *
 * Runs in the backend that wants the database empty.  The first section runs when the transaction has ended: it
 * allocates nothing and raises nothing.  The rest may raise; the count is then taken back by the abort.
 *
 * Limits: after QUIET_TIMEOUT_MS a warning, after SESSIONS_TIMEOUT_MS no more waiting: the command goes on, and
 * fails by itself if it must.  A transaction holds at most MAX_HELD databases; another one is not suspended.
 *
 * No lock is held while it waits.  ProcArrayLock is held while sessions are counted and signalled, so that a pid
 * is still theirs. */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/acl.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "bgworker/worker/clock.h"
#include "rt_shmem.h"
#include "suspend.h"
#include "wait.h"

#define QUIET_TIMEOUT_MS 10000
#define SESSIONS_GRACE_MS 300 /* those of programs that have just ended go by themselves */
#define SESSIONS_TIMEOUT_MS 5000
#define MAX_ROLES 64 /* of a database's sessions; what is beyond is not ended */
#define SESSIONS_POLL_MS 10
#define MAX_HELD 16

static Oid held[MAX_HELD];
static int nheld = 0;
static Oid rechecks[MAX_HELD];
static int nrechecks = 0; /* what does not fit is left to the next scan */
static bool exit_registered = false;

/* ---- at the end of a transaction: raises nothing ------------------------------- */

static void
resume(Oid oid)
{
	rt_database *db = rt_database_find(oid, false);

	if (db == NULL)
		return;
	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	if (db->suspended > 0 && --db->suspended == 0)
		db->quiet = false;
	LWLockRelease(&rt_shared_state->lock);
}

static void
request_recheck(Oid oid)
{
	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	if (rt_shared_state->nrecheck < RT_MAX_RECHECK)
		rt_shared_state->recheck[rt_shared_state->nrecheck++] = oid;
	else
		rt_shared_state->nrecheck = RT_MAX_RECHECK + 1;
	LWLockRelease(&rt_shared_state->lock);
}

/* The launcher is asked to look before the suspension ends, so that it starts nothing where rt is gone. */
void
rt_suspend_at_end(bool committed)
{
	if (nheld == 0 && nrechecks == 0)
		return;
	for (int i = 0; committed && i < Min(nrechecks, MAX_HELD); i++)
		request_recheck(rechecks[i]);
	while (nheld > 0)
		resume(held[--nheld]);
	nrechecks = 0;
	rt_shmem_wake_launcher();
}

static void
on_exit_session(int code, Datum arg)
{
	rt_suspend_at_end(false);
}

/* ---- before ------------------------------------------------------------------- */

void
rt_recheck_at_commit(Oid oid)
{
	for (int i = 0; i < nrechecks; i++)
	{
		if (rechecks[i] == oid)
			return;
	}
	if (nrechecks < MAX_HELD)
		rechecks[nrechecks++] = oid;
}

static bool
hold(rt_database *db, Oid oid)
{
	for (int i = 0; i < nheld; i++)
	{
		if (held[i] == oid)
			return true;
	}
	if (nheld == MAX_HELD)
		return false;
	if (!exit_registered)
		before_shmem_exit(on_exit_session, (Datum) 0);
	exit_registered = true;
	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	db->suspended++;
	LWLockRelease(&rt_shared_state->lock);
	held[nheld++] = oid;
	rt_shmem_wake_launcher();
	return true;
}

static bool
is_quiet(rt_database *db)
{
	bool quiet;

	LWLockAcquire(&rt_shared_state->lock, LW_SHARED);
	quiet = db->quiet;
	LWLockRelease(&rt_shared_state->lock);
	return quiet;
}

static bool
wait_for_quiet(rt_database *db)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(rt_clock_now(), QUIET_TIMEOUT_MS);
	bool quiet;

	ConditionVariablePrepareToSleep(&rt_shared_state->changed);
	while (!(quiet = is_quiet(db)))
	{
		long left_ms = TimestampDifferenceMilliseconds(rt_clock_now(), deadline);

		if (left_ms <= 0)
			break;
		(void) ConditionVariableTimedSleep(&rt_shared_state->changed, left_ms, rt_wait_event(RT_WAIT_SUSPEND));
	}
	ConditionVariableCancelSleep();
	return quiet;
}

/* A session of the database that may be a program's.  Pids are looked at again before they are signalled. */
static bool
is_in_database(const PGPROC *proc, Oid oid)
{
	/* Entries of sessions that have ended look like those of the living. */
	return proc->databaseId == oid && OidIsValid(proc->roleId) && BackendPidGetProcWithLock(proc->pid) == proc;
}

/* The roles that sessions of the database have logged in as, each once. */
static int
list_roles(Oid oid, Oid *roles, int most)
{
	int count = 0;

	LWLockAcquire(ProcArrayLock, LW_SHARED);
	for (uint32 i = 0; i < ProcGlobal->allProcCount && count < most; i++)
	{
		const PGPROC *proc = &ProcGlobal->allProcs[i];
		int known = 0;

		if (!is_in_database(proc, oid))
			continue;
		while (known < count && roles[known] != proc->roleId)
			known++;
		if (known == count)
			roles[count++] = proc->roleId;
	}
	LWLockRelease(ProcArrayLock);
	return count;
}

/* Those of them that are programs': rt_gateway, rt_media and their members, with which programs of other hosts log
 * in. Catalogs are read, so no lock may be held. */
static int
keep_programs(Oid *roles, int count)
{
	Oid gateway = get_role_oid("rt_gateway", true);
	Oid media = get_role_oid("rt_media", true);
	int kept = 0;

	for (int i = 0; i < count; i++)
	{
		if ((OidIsValid(gateway) && is_member_of_role_nosuper(roles[i], gateway)) ||
			(OidIsValid(media) && is_member_of_role_nosuper(roles[i], media)))
			roles[kept++] = roles[i];
	}
	return kept;
}

static bool
is_one_of(Oid role, const Oid *roles, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (roles[i] == role)
			return true;
	}
	return false;
}

/* Counts the sessions of the programs' roles in that database and, if told to, asks them to end.  A program that was
 * killed leaves a session that is still busy, and one on another host has a connection that nobody here started. */
static int
find_sessions(Oid oid, bool end)
{
	Oid roles[MAX_ROLES];
	int nroles = keep_programs(roles, list_roles(oid, roles, MAX_ROLES));
	int count = 0;

	LWLockAcquire(ProcArrayLock, LW_SHARED);
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		const PGPROC *proc = &ProcGlobal->allProcs[i];

		if (!is_in_database(proc, oid) || !is_one_of(proc->roleId, roles, nroles))
			continue;
		count++;
		if (end)
			(void) kill(proc->pid, SIGTERM);
	}
	LWLockRelease(ProcArrayLock);
	return count;
}

static void
wait_for_sessions(Oid oid)
{
	TimestampTz start = rt_clock_now();
	TimestampTz patience = TimestampTzPlusMilliseconds(start, SESSIONS_GRACE_MS);
	TimestampTz deadline = TimestampTzPlusMilliseconds(start, SESSIONS_TIMEOUT_MS);

	while (find_sessions(oid, rt_clock_now() > patience) > 0 && rt_clock_now() < deadline)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, SESSIONS_POLL_MS,
						 rt_wait_event(RT_WAIT_SUSPEND));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
rt_suspend_database(Oid oid)
{
	rt_database *db = rt_database_find(oid, false);

	/* In a server of a single user there are no workers. */
	if (db == NULL || !IsUnderPostmaster || !hold(db, oid))
		return;
	if (!wait_for_quiet(db))
		ereport(WARNING, (errmsg("rt's workers in the database did not end within %d s", QUIET_TIMEOUT_MS / 1000)));
	wait_for_sessions(oid);
}
