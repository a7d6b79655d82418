/* supervisor.c: starts, watches, restarts and reloads rt_gateway and rt_media for one database.
 *
 * What should run follows from the settings and from the ports that the launcher gave (plans.c); a runner (runner.c)
 * makes it so for one program.  One wait set has the latch, the postmaster's death and the programs'
 * logs.  It holds no transaction open.  In its database it sets the roles' passwords, reads the extension's version,
 * looks at who holds rooms, and empties the search index's pending list.
 *
 * Shared memory: its pid and the programs' figures in the slot, under rt_database.lock, and when it last turned.
 * Invariant: a slot has one supervisor at most; a second one sees the pid, and ends.
 *
 * Runs in worker "rt supervisor".  What it keeps is in TopMemoryContext.  An error ends it, and its exit hook kills
 * the programs; the launcher starts it again after a pause. */
#include "postgres.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/pidfile.h"
#include "utils/ps_status.h"

#include "bgworker/worker/clock.h"
#include "credential.h"
#include "holders.h"
#include "pending_list.h"
#include "plans.h"
#include "runner.h"
#include "bgworker/worker/session.h"
#include "supervisor.h"
#include "bgworker/worker/tx.h"
#include "bgworker/worker/version.h"
#include "extension/server/rt_shmem.h"
#include "extension/server/wait.h"

#define MAX_WORKERS RT_PLANS_MAX_WORKERS
#define LOCK_TIMEOUT "5s"
#define IDLE_MS 1000        /* how soon a smart shutdown is noticed */
#define HINT_FIRST_MS 60000 /* between two hints on failed logins; doubles from one to the next */
#define HINT_MOST_MS 3600000
#define SETTINGS_LOOK_MS 2000
#define EVENTS_PER_WAIT 16
#define SETS (RT_PROGRAM_KINDS + 1) /* of runners: one a kind, and those that leave */
#define LEAVING RT_PROGRAM_KINDS
#define SHOWN_AS_DRAINING 3 /* rt_program.state */
#define SHOWN_AS_SILENT 4
#define PID_FILE "postmaster.pid" /* in the data directory, where the server works */

StaticAssertDecl((RT_PROGRAM_KINDS + 1) * MAX_WORKERS <= RT_MAX_PROGRAMS, "a place for each program");

struct supervisor
{
	rt_database *db;
	char *database;
	struct rt_plans *plans;
	struct rt_holders *holders;
	struct rt_pending_list *pending_list;
	bool matched;                                 /* the database has the extension in the library's version */
	bool planned;                                 /* the plans are those of the settings and ports of now */
	struct rt_runner *runners[SETS][MAX_WORKERS]; /* NULL until first wanted */
	struct rt_tx settings_tx;
	TimestampTz settings_due; /* when to look at those of the roles again */
	TimestampTz hinted[RT_PROGRAM_KINDS];
	int hint_pause_ms[RT_PROGRAM_KINDS]; /* 0: begins anew, since a program of the kind is ready */
	WaitEventSet *waits;
	int waits_changes; /* log_changes() as of when it was made */
	int log_changes;   /* of runners that are no more */
	bool stopping;
};

static volatile sig_atomic_t child_ended = false;

static void
on_sigchld(SIGNAL_ARGS)
{
	int saved = errno;

	child_ended = true;
	SetLatch(MyLatch);
	errno = saved;
}

/* ---- the programs ------------------------------------------------------------- */

/* The successor starts while the gateway that drains still has clients.  One at a time for each place. */
static void
make_way(struct supervisor *s, int i)
{
	struct rt_runner *r = s->runners[RT_PROGRAM_GATEWAY][i];

	if (r == NULL || !rt_runner_is_leaving(r) || rt_runner_state(r) != RT_RUNNER_RUNNING ||
		s->runners[LEAVING][i] != NULL)
		return;
	s->runners[LEAVING][i] = r;
	s->runners[RT_PROGRAM_GATEWAY][i] = rt_runner_successor(r);
}

static TimestampTz
tend_leaving(struct supervisor *s, int i)
{
	struct rt_runner **r = &s->runners[LEAVING][i];

	if (*r != NULL && rt_runner_state(*r) == RT_RUNNER_IDLE)
	{
		s->log_changes += rt_runner_log_changes(*r);
		rt_runner_free(*r);
		*r = NULL;
	}
	return *r == NULL ? DT_NOEND : rt_runner_leave(*r, s->stopping);
}

static TimestampTz
tend_runner(struct supervisor *s, enum rt_program_kind kind, int i, int count)
{
	struct rt_runner **r = &s->runners[kind][i];
	struct rt_runner_plan plan;

	if (*r == NULL && i >= count)
		return DT_NOEND;
	if (*r == NULL)
		*r = rt_runner_new(kind, i, s->database);
	if (i >= count)
		return rt_runner_turn(*r, NULL);
	plan = rt_plans_get(s->plans, kind, i);
	return rt_runner_turn(*r, &plan);
}

static TimestampTz
tend_runners(struct supervisor *s)
{
	TimestampTz next = DT_NOEND;

	for (int i = 0; i < MAX_WORKERS; i++)
	{
		next = Min(next, tend_leaving(s, i));
		make_way(s, i);
	}
	for (int kind = 0; kind < RT_PROGRAM_KINDS; kind++)
	{
		int count = rt_plans_count(s->plans, kind);

		for (int i = 0; i < MAX_WORKERS; i++)
			next = Min(next, tend_runner(s, kind, i, count));
	}
	return next;
}

static bool
is_any_running(const struct supervisor *s)
{
	for (int kind = 0; kind < SETS; kind++)
	{
		for (int i = 0; i < MAX_WORKERS; i++)
		{
			if (s->runners[kind][i] != NULL && rt_runner_state(s->runners[kind][i]) != RT_RUNNER_IDLE)
				return true;
		}
	}
	return false;
}

static struct rt_runner *
find_by_pid(const struct supervisor *s, int pid)
{
	for (int kind = 0; kind < SETS; kind++)
	{
		for (int i = 0; i < MAX_WORKERS; i++)
		{
			if (s->runners[kind][i] != NULL && rt_runner_pid(s->runners[kind][i]) == pid)
				return s->runners[kind][i];
		}
	}
	return NULL;
}

/* The flag first: a child that ends after the last waitpid() sets it again. */
static void
reap(struct supervisor *s)
{
	int status;
	int pid;

	child_ended = false;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
	{
		struct rt_runner *r = find_by_pid(s, pid);

		if (r != NULL)
			rt_runner_ended(r, status);
	}
}

/* A DBA may have changed the role's password, so it is stored again; what else is wrong is for the DBA. */
static void
answer_login_failures(struct supervisor *s)
{
	TimestampTz now = rt_clock_now();

	for (int kind = 0; kind < RT_PROGRAM_KINDS; kind++)
	{
		bool failed = false;
		bool ready = false;

		for (int i = 0; i < MAX_WORKERS; i++)
		{
			if (s->runners[kind][i] != NULL && rt_runner_take_login_failure(s->runners[kind][i]))
				failed = true;
			ready = ready || (s->runners[kind][i] != NULL && rt_runner_is_ready(s->runners[kind][i]));
		}
		if (!failed ||
			(s->hinted[kind] != 0 &&
			 !TimestampDifferenceExceeds(s->hinted[kind], now, Max(s->hint_pause_ms[kind], HINT_FIRST_MS))))
		{
			s->hint_pause_ms[kind] = ready && !failed ? 0 : s->hint_pause_ms[kind];
			continue;
		}
		s->hinted[kind] = now;
		s->hint_pause_ms[kind] =
			s->hint_pause_ms[kind] == 0 ? HINT_FIRST_MS : Min(2 * s->hint_pause_ms[kind], HINT_MOST_MS);
		rt_credential_store(kind);
		rt_credential_hint(kind, s->database);
	}
}

/* ---- shared memory ------------------------------------------------------------ */

static void
publish_runner(rt_program *shown, enum rt_program_kind kind, int worker, const struct rt_runner *r)
{
	shown->kind = kind;
	shown->worker = worker;
	shown->pid = rt_runner_pid(r);
	shown->state = rt_runner_is_silent(r) ? SHOWN_AS_SILENT : (int) rt_runner_state(r);
	shown->restarts = rt_runner_restarts(r);
	shown->ready = rt_runner_is_ready(r);
	shown->since = rt_runner_since(r);
}

static void
publish(struct supervisor *s)
{
	LWLockAcquire(&s->db->lock, LW_EXCLUSIVE);
	for (int kind = 0; kind < RT_PROGRAM_KINDS; kind++)
	{
		int count = rt_plans_count(s->plans, kind);

		for (int i = 0; i < MAX_WORKERS; i++)
		{
			rt_program *shown = &s->db->programs[kind * MAX_WORKERS + i];
			const struct rt_runner *r = s->runners[kind][i];

			shown->used = r != NULL && (i < count || rt_runner_pid(r) != 0);
			if (shown->used)
				publish_runner(shown, kind, i, r);
		}
	}
	for (int i = 0; i < MAX_WORKERS; i++)
	{
		rt_program *shown = &s->db->programs[LEAVING * MAX_WORKERS + i];
		const struct rt_runner *r = s->runners[LEAVING][i];

		shown->used = r != NULL && rt_runner_pid(r) != 0;
		if (!shown->used)
			continue;
		publish_runner(shown, RT_PROGRAM_GATEWAY, i, r);
		if (rt_runner_state(r) == RT_RUNNER_RUNNING && !rt_runner_is_silent(r))
			shown->state = SHOWN_AS_DRAINING;
	}
	LWLockRelease(&s->db->lock);
}

/* The programs end before the pid goes: a successor that finds no pid in the slot finds their ports free. */
static void
on_exit_supervisor(int code, Datum arg)
{
	struct supervisor *s = (struct supervisor *) DatumGetPointer(arg);

	for (int kind = 0; kind < SETS; kind++)
	{
		for (int i = 0; i < MAX_WORKERS; i++)
		{
			if (s->runners[kind][i] != NULL)
				rt_runner_kill(s->runners[kind][i]);
		}
	}
	LWLockAcquire(&s->db->lock, LW_EXCLUSIVE);
	memset(s->db->programs, 0, sizeof(s->db->programs));
	pg_atomic_write_u64(&s->db->supervisor_turned, 0);
	s->db->supervisor_pid = 0;
	LWLockRelease(&s->db->lock);
}

/* False where the database is not to be served, or is served already. */
static bool
announce(struct supervisor *s)
{
	bool welcome;

	LWLockAcquire(&rt_shared_state->lock, LW_SHARED);
	welcome = s->db->wanted && s->db->suspended == 0;
	LWLockRelease(&rt_shared_state->lock);
	if (!welcome)
		return false;
	LWLockAcquire(&s->db->lock, LW_EXCLUSIVE);
	welcome = s->db->supervisor_pid == 0;
	if (welcome)
		s->db->supervisor_pid = MyProcPid;
	LWLockRelease(&s->db->lock);
	if (welcome)
		before_shmem_exit(on_exit_supervisor, PointerGetDatum(s));
	return welcome;
}

/* ---- the loop ----------------------------------------------------------------- */

/* Differs from its last value if a log was opened or closed since.  (Descriptors do not tell: their numbers are used
 * again.) */
static int
log_changes(const struct supervisor *s)
{
	int changes = s->log_changes;

	for (int kind = 0; kind < SETS; kind++)
	{
		for (int i = 0; i < MAX_WORKERS; i++)
			changes += s->runners[kind][i] == NULL ? 0 : rt_runner_log_changes(s->runners[kind][i]);
	}
	return changes;
}

static void
make_wait_set(struct supervisor *s)
{
	s->waits_changes = log_changes(s);
	if (s->waits != NULL)
		FreeWaitEventSet(s->waits);
#if PG_VERSION_NUM >= 170000
	s->waits = CreateWaitEventSet(NULL, 2 + RT_MAX_PROGRAMS);
#else
	s->waits = CreateWaitEventSet(TopMemoryContext, 2 + RT_MAX_PROGRAMS);
#endif
	AddWaitEventToSet(s->waits, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(s->waits, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int kind = 0; kind < SETS; kind++)
	{
		for (int i = 0; i < MAX_WORKERS; i++)
		{
			struct rt_runner *r = s->runners[kind][i];
			int fd = r == NULL ? -1 : rt_runner_log_fd(r);

			if (fd >= 0)
				AddWaitEventToSet(s->waits, WL_SOCKET_READABLE, fd, NULL, r);
		}
	}
}

/* Until the time, at the latest. */
static void
wait_and_read(struct supervisor *s, TimestampTz until)
{
	WaitEvent events[EVENTS_PER_WAIT];
	long timeout_ms = TimestampDifferenceMilliseconds(rt_clock_now(), until);
	int count;

	count = WaitEventSetWait(s->waits, Min(Max(timeout_ms, 1), IDLE_MS), events, EVENTS_PER_WAIT,
							 rt_wait_event(RT_WAIT_SUPERVISOR));
	for (int i = 0; i < count; i++)
	{
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		else if (events[i].user_data != NULL)
			rt_runner_read_log(events[i].user_data);
	}
}

/* In a smart shutdown the server waits for its sessions to end before it signals workers, and the programs' sessions
 * would not.  That it has begun shows in the server's pid file alone. */
static bool
is_server_stopping(void)
{
	char text[1024];
	char *line = text;
	int fd = OpenTransientFile(PID_FILE, O_RDONLY | PG_BINARY);
	ssize_t len;

	if (fd < 0)
		return false;
	len = read(fd, text, sizeof(text) - 1);
	CloseTransientFile(fd);
	text[Max(len, 0)] = '\0';
	for (int i = 1; i < LOCK_FILE_LINE_PM_STATUS && line != NULL; i++)
	{
		line = strchr(line, '\n');
		line = line == NULL ? NULL : line + 1;
	}
	return line != NULL && strncmp(line, PM_STATUS_STOPPING, strlen(PM_STATUS_STOPPING)) == 0;
}

static void
store_credentials(void)
{
	for (int kind = 0; kind < RT_PROGRAM_KINDS; kind++)
		rt_credential_store(kind);
	pgstat_report_activity(STATE_IDLE, NULL);
}

static void
look_at_settings(void *arg)
{
	bool *right = arg;

	for (int kind = 0; kind < RT_PROGRAM_KINDS; kind++)
		*right = *right && rt_credential_is_set_right(kind);
}

/* Who has the role's password, or a superuser, may have set something for the role: it is taken away before it is in
 * many sessions. */
static void
watch_settings(struct supervisor *s)
{
	bool right = true;

	if (s->settings_due > rt_clock_now())
		return;
	s->settings_due = TimestampTzPlusMilliseconds(rt_clock_now(), SETTINGS_LOOK_MS);
	(void) rt_tx_try(&s->settings_tx, "looks at the settings of the roles", look_at_settings, &right,
					 ERRCODE_LOCK_NOT_AVAILABLE);
	if (!right)
		store_credentials();
}

static void
notice_changes(struct supervisor *s)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		s->planned = false;
		if (!s->stopping)
			store_credentials(); /* somebody may have changed the roles meanwhile */
	}
	if (!s->stopping && (ShutdownRequestPending || is_server_stopping()))
	{
		s->stopping = true;
		s->planned = false;
	}
	if (!s->matched && !s->stopping && rt_version_matches(s->database))
	{
		s->matched = true;
		s->planned = false;
	}
	if (rt_plans_are_outdated(s->plans))
		s->planned = false;
	if (!s->planned)
		rt_plans_make(s->plans, s->stopping || !s->matched);
	s->planned = true;
}

static void
run(struct supervisor *s)
{
	TimestampTz next;

	for (;;)
	{
		RT_SESSION_CHECK_INTERRUPTS();
		pg_atomic_write_u64(&s->db->supervisor_turned, rt_clock_us());
		notice_changes(s);
		if (child_ended)
			reap(s);
		answer_login_failures(s);
		next = tend_runners(s);
		publish(s);
		if (s->matched && !s->stopping)
		{
			watch_settings(s);
			rt_holders_turn(s->holders);
			rt_pending_list_turn(s->pending_list);
		}
		if (ShutdownRequestPending && !is_any_running(s))
			return;
		if (s->waits == NULL || log_changes(s) != s->waits_changes)
			make_wait_set(s);
		wait_and_read(s, next);
	}
}

/* True where there is a database of that number to supervise. */
static bool
learn_name(struct supervisor *s)
{
	char *name;

	StartTransactionCommand();
	name = get_database_name(MyDatabaseId);
	if (name != NULL)
	{
		s->database = MemoryContextStrdup(TopMemoryContext, name);
		set_ps_display(name);
	}
	CommitTransactionCommand();
	return name != NULL;
}

void
rt_supervisor_main(Datum main_arg)
{
	struct supervisor *s = MemoryContextAllocZero(TopMemoryContext, sizeof(*s));

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGCHLD, on_sigchld);
	BackgroundWorkerUnblockSignals();
	rt_session_prepare();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(main_arg), InvalidOid, 0);
	pgstat_report_appname("rt supervisor");
	rt_session_set(LOCK_TIMEOUT);

	s->db = rt_database_find(MyDatabaseId, false);
	if (s->db == NULL || !learn_name(s) || !announce(s))
		proc_exit(0);
	store_credentials();
	s->settings_tx.context = TopMemoryContext;
	s->settings_tx.name = "rt supervisor";
	s->plans = rt_plans_new(s->db, s->database);
	s->holders = rt_holders_new();
	s->pending_list = rt_pending_list_new();
	run(s);
	proc_exit(0);
}
