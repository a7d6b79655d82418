/* runner.c: starts, reloads, drains and ends one program; see runner.h.  What should run is plans.c's, fork and
 * exec child.c's, and waitpid() supervisor.c's.
 *
 * A program that is silent for rt.watchdog_timeout (watchdog.c) stays RUNNING until waitpid() gives its pid: it gets
 * SIGABRT where it may leave a core file, else SIGKILL, and what did not help by ABORT_TIMEOUT_MS SIGKILL.
 *
 * States: IDLE, then RUNNING from its start, STOPPING from its SIGTERM, and IDLE again once waitpid() gave its
 * pid.  After STOP_TIMEOUT_MS of STOPPING it gets SIGKILL, once.  Invariant: pid is 0 if, and only if, it is IDLE
 * (but after rt_runner_kill(), as the supervisor exits).  Nobody else reaps our children, so a pid that is not
 * yet reaped is not another process's, and kill() is safe.
 *
 * Runs in the supervisor, without a lock, outside of transactions.  Everything here is the supervisor's own, in
 * TopMemoryContext, and holds secrets: lines of settings are never logged.  Raises nothing but for want of
 * memory; failures of the program are logged, and lead to another start after a pause (backoff.h). */
#include "postgres.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "backoff.h"
#include "child.h"
#include "childlog.h"
#include "bgworker/worker/clock.h"
#include "extension/config/settings.h"
#include "runner.h"
#include "watchdog.h"

#define STOP_TIMEOUT_MS 5000
#define ABORT_TIMEOUT_MS 30000 /* as long as a core file may take */
#define WRITE_RETRY_MS 100
#define NO_EXEC_STATUS 127 /* see child.c */
#define MAX_DRAIN_MS 3600000
#define DRAIN_EXTRA_MS 10000 /* after the time that it wanted */

struct rt_runner
{
	enum rt_program_kind kind;
	int worker;
	char title[NAMEDATALEN + 32];
	enum rt_runner_state state;
	int pid;
	int restarts; /* starts after the first one */
	int starts;
	bool ready;
	bool login_failed;
	bool killed; /* by us, since it did not stop in time */
	bool hung;   /* the watchdog has told it to end */
	bool leaving;
	TimestampTz since;     /* of its start, or of its end: for people */
	TimestampTz started;   /* by clock.h, as all that follows */
	TimestampTz leave_due; /* when it must be gone */
	TimestampTz kill_due;
	struct rt_watchdog watchdog;
	struct rt_backoff backoff;
	int config_fd;
	int activity_fd; /* see common/activity.h; -1: none */
	struct rt_childlog *log;
	int log_changes;
	char *identity; /* of the program that runs */
	char *told;     /* the last line that it was given, or will be */
	StringInfoData unsent;
	bool outdated; /* told is not yet in unsent */
};

static TimestampTz
after_ms(int ms)
{
	return TimestampTzPlusMilliseconds(rt_clock_now(), ms);
}

static struct rt_runner *
new_runner(enum rt_program_kind kind, int worker)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	struct rt_runner *r = palloc0(sizeof(*r));

	r->kind = kind;
	r->worker = worker;
	r->config_fd = r->activity_fd = -1;
	r->since = GetCurrentTimestamp();
	initStringInfo(&r->unsent);
	MemoryContextSwitchTo(old);
	return r;
}

struct rt_runner *
rt_runner_new(enum rt_program_kind kind, int worker, const char *database)
{
	struct rt_runner *r = new_runner(kind, worker);

	snprintf(r->title, sizeof(r->title), "%s: %s %d", rt_program_role(kind), database, worker);
	return r;
}

enum rt_runner_state
rt_runner_state(const struct rt_runner *r)
{
	return r->state;
}

int
rt_runner_pid(const struct rt_runner *r)
{
	return r->pid;
}

int
rt_runner_restarts(const struct rt_runner *r)
{
	return r->restarts;
}

bool
rt_runner_is_ready(const struct rt_runner *r)
{
	return r->ready;
}

bool
rt_runner_is_silent(const struct rt_runner *r)
{
	return r->state == RT_RUNNER_RUNNING && rt_watchdog_is_silent(&r->watchdog);
}

TimestampTz
rt_runner_since(const struct rt_runner *r)
{
	return r->since;
}

/* ---- its log ------------------------------------------------------------------ */

/* Only once: what a program that was taken over writes must not make more of them.  A time above MAX_DRAIN_MS counts
 * as that, and after it and DRAIN_EXTRA_MS the program is stopped like any other. */
static void
note_drain(struct rt_runner *r, const char *text)
{
	int ms = atoi(text);

	if (r->leaving || r->state != RT_RUNNER_RUNNING)
		return;
	r->leaving = true;
	r->leave_due = after_ms(Min(Max(ms, 0), MAX_DRAIN_MS) + DRAIN_EXTRA_MS);
}

/* "LOG ready", "ERROR db: login failed: …": the module's name before the text is optional. */
static bool
on_line(void *arg, const char *text)
{
	static const char draining[] = "draining for ";
	struct rt_runner *r = arg;
	const char *ready = strstr(text, "ready");

	if (strcmp(text, RT_WATCHDOG_ANSWER) == 0)
	{
		rt_watchdog_beat(&r->watchdog, r->pid, r->activity_fd);
		return false;
	}
	if (strncmp(text, draining, strlen(draining)) == 0)
		note_drain(r, text + strlen(draining));
	else if (strstr(text, "login failed") != NULL)
		r->login_failed = true;
	else if (ready != NULL && strcmp(ready, "ready") == 0 && (ready == text || ready[-1] == ' '))
	{
		r->ready = true;
		rt_watchdog_beat(&r->watchdog, r->pid, r->activity_fd);
	}
	return true;
}

bool
rt_runner_take_login_failure(struct rt_runner *r)
{
	bool failed = r->login_failed;

	r->login_failed = false;
	return failed;
}

int
rt_runner_log_fd(const struct rt_runner *r)
{
	return r->log == NULL ? -1 : rt_childlog_fd(r->log);
}

int
rt_runner_log_changes(const struct rt_runner *r)
{
	return r->log_changes;
}

static void
close_log(struct rt_runner *r)
{
	if (r->log == NULL)
		return;
	rt_childlog_free(r->log);
	r->log = NULL;
	r->log_changes++;
}

void
rt_runner_read_log(struct rt_runner *r)
{
	if (r->log != NULL && !rt_childlog_read(r->log))
		close_log(r);
}

/* ---- its settings ------------------------------------------------------------- */

static void
replace_string(char **slot, const char *value)
{
	if (*slot != NULL)
		pfree(*slot);
	*slot = MemoryContextStrdup(TopMemoryContext, value);
}

static void
tell(struct rt_runner *r, const char *line)
{
	replace_string(&r->told, line);
	r->outdated = true;
}

/* A line that the pipe has begun to take is finished before a newer one; of those that wait only the newest counts.
 * So at most two lines are kept, however slowly the program reads.  True when all is sent. */
static bool
send_settings(struct rt_runner *r)
{
	ssize_t sent;

	if (r->unsent.len == 0 && r->outdated)
	{
		appendStringInfo(&r->unsent, "%s\n", r->told);
		r->outdated = false;
	}
	if (r->unsent.len == 0 || r->config_fd < 0)
		return true;
	sent = write(r->config_fd, r->unsent.data, r->unsent.len);
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		resetStringInfo(&r->unsent); /* it has ended, or closed the pipe */
	if (sent <= 0)
		return r->unsent.len == 0;
	memmove(r->unsent.data, r->unsent.data + sent, r->unsent.len - sent + 1);
	r->unsent.len -= sent;
	return r->unsent.len == 0 && !r->outdated;
}

/* ---- start and end ------------------------------------------------------------ */

static void
start(struct rt_runner *r, const struct rt_runner_plan *plan)
{
	struct rt_child child;
	char name[64];

	if (!rt_child_start(&child, plan->path, r->title, plan->sockets, plan->nsockets))
	{
		rt_backoff_ended(&r->backoff, 0, false);
		ereport(LOG, (errmsg("could not start %s: %m", rt_program_role(r->kind))));
		return;
	}
	r->pid = child.pid;
	r->config_fd = child.config_fd;
	r->activity_fd = child.activity_fd;
	snprintf(name, sizeof(name), "%s[%d]", rt_program_role(r->kind), r->pid);
	r->log = rt_childlog_new(child.log_fd, name, on_line, r);
	r->log_changes++;
	r->state = RT_RUNNER_RUNNING;
	r->restarts += r->starts++ > 0;
	r->ready = r->login_failed = r->killed = r->leaving = r->hung = false;
	r->since = GetCurrentTimestamp();
	r->started = rt_clock_now();
	rt_watchdog_start(&r->watchdog);
	resetStringInfo(&r->unsent);
	replace_string(&r->identity, plan->identity);
	tell(r, plan->line);
	ereport(DEBUG1, (errmsg_internal("started %s", name)));
}

static void
stop(struct rt_runner *r)
{
	r->state = RT_RUNNER_STOPPING;
	r->ready = false;
	r->kill_due = after_ms(STOP_TIMEOUT_MS);
	(void) kill(r->pid, SIGTERM);
}

static void
kill_if_due(struct rt_runner *r)
{
	int limit_ms = r->state == RT_RUNNER_STOPPING ? STOP_TIMEOUT_MS : ABORT_TIMEOUT_MS;

	if (r->killed || r->kill_due > rt_clock_now())
		return;
	ereport(LOG, (errmsg("%s[%d] did not stop within %d s and is killed", rt_program_role(r->kind), r->pid,
						 limit_ms / 1000)));
	r->killed = true;
	(void) kill(r->pid, SIGKILL);
}

static void
log_end(const struct rt_runner *r, int status)
{
	const char *role = rt_program_role(r->kind);
	const char *again = r->leaving ? "it was draining" : psprintf("restarting it in %d ms", r->backoff.pause_ms);

	if (WIFSIGNALED(status))
		ereport(LOG, (errmsg("%s[%d] was terminated by signal %d: %s; %s", role, r->pid, WTERMSIG(status),
							 strsignal(WTERMSIG(status)), again)));
	else if (WEXITSTATUS(status) == NO_EXEC_STATUS)
		ereport(LOG, (errmsg("%s[%d] could not be executed; %s", role, r->pid, again)));
	else
		ereport(LOG, (errmsg("%s[%d] ended with exit code %d; %s", role, r->pid, WEXITSTATUS(status), again)));
}

static void
release(struct rt_runner *r)
{
	r->state = RT_RUNNER_IDLE;
	r->pid = 0;
	r->ready = false;
	r->since = GetCurrentTimestamp();
	if (r->config_fd >= 0)
		(void) close(r->config_fd);
	if (r->activity_fd >= 0)
		(void) close(r->activity_fd);
	r->config_fd = r->activity_fd = -1;
	/* What it wrote last: no more than a pipe holds, which one call reads. */
	rt_runner_read_log(r);
	close_log(r);
}

void
rt_runner_ended(struct rt_runner *r, int wait_status)
{
	if (r->state == RT_RUNNER_STOPPING || r->leaving)
	{
		rt_backoff_reset(&r->backoff);
		if (r->leaving && r->state != RT_RUNNER_STOPPING)
			log_end(r, wait_status);
	}
	else
	{
		long lived_ms = TimestampDifferenceMilliseconds(r->started, rt_clock_now());

		rt_backoff_ended(&r->backoff, lived_ms, r->ready && lived_ms >= RT_BACKOFF_STEADY_MS);
		log_end(r, wait_status);
	}
	release(r);
}

void
rt_runner_kill(struct rt_runner *r)
{
	int status;

	if (r->pid == 0)
		return;
	(void) kill(r->pid, SIGKILL);
	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		;
	r->pid = 0;
}

/* ---- the watchdog --------------------------------------------------------------- */

/* The program has the supervisor's limit; see rt_confine_cores(). */
static bool
may_leave_core(void)
{
	struct rlimit limit;

	return !rt_confine && getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur > 0;
}

/* SIGCONT too: a stopped process takes no other signal than SIGKILL. */
static void
end_hung(struct rt_runner *r)
{
	bool core = may_leave_core();
	StringInfoData doing;
	StringInfoData state;

	initStringInfo(&doing);
	initStringInfo(&state);
	rt_watchdog_describe_activity(&r->watchdog, &doing);
	rt_watchdog_describe_process(&r->watchdog, r->pid, &state);
	ereport(WARNING, (errmsg("%s[%d] has not answered for " INT64_FORMAT " s%s and is %s", rt_program_role(r->kind),
							 r->pid, r->watchdog.silence_ms / 1000, doing.data, core ? "aborted" : "killed"),
					  errdetail("Worker %d %s.", r->worker, state.data), errhint("See rt.watchdog_timeout.")));
	pfree(doing.data);
	pfree(state.data);
	r->hung = true;
	r->ready = false;
	r->killed = !core;
	r->kill_due = after_ms(ABORT_TIMEOUT_MS);
	(void) kill(r->pid, core ? SIGABRT : SIGKILL);
	(void) kill(r->pid, SIGCONT);
}

/* Of a program that runs.  What was not yet sent is asked behind: a pipe that is full is not read. */
static TimestampTz
watch(struct rt_runner *r)
{
	if (r->hung)
	{
		kill_if_due(r);
		return r->killed ? DT_NOEND : r->kill_due;
	}
	if (rt_watchdog_turn(&r->watchdog, r->activity_fd) && r->unsent.len == 0 && !r->outdated)
	{
		appendStringInfoString(&r->unsent, RT_WATCHDOG_ASK);
		(void) send_settings(r);
	}
	if (rt_watchdog_is_hung(&r->watchdog, rt_watchdog_timeout_ms))
		end_hung(r);
	return DT_NOEND;
}

/* ---- its successor -------------------------------------------------------------- */

bool
rt_runner_is_leaving(const struct rt_runner *r)
{
	return r->leaving;
}

/* The successor counts starts on, and begins with a backoff of its own: draining is no failure. */
struct rt_runner *
rt_runner_successor(const struct rt_runner *r)
{
	struct rt_runner *next = new_runner(r->kind, r->worker);

	strlcpy(next->title, r->title, sizeof(next->title));
	next->starts = r->starts;
	next->restarts = r->restarts;
	return next;
}

TimestampTz
rt_runner_leave(struct rt_runner *r, bool stopping)
{
	TimestampTz next = r->leave_due;

	if (r->state == RT_RUNNER_RUNNING && !r->hung && (stopping || r->leave_due <= rt_clock_now()))
		stop(r);
	if (r->state == RT_RUNNER_RUNNING)
		next = Min(next, watch(r));
	if (r->state == RT_RUNNER_STOPPING)
	{
		kill_if_due(r);
		next = r->killed ? DT_NOEND : r->kill_due;
	}
	if (r->log != NULL && rt_childlog_settle(r->log))
		next = Min(next, after_ms(1000));
	return next;
}

void
rt_runner_free(struct rt_runner *r)
{
	Assert(r->state == RT_RUNNER_IDLE);
	if (r->identity != NULL)
		pfree(r->identity);
	if (r->told != NULL)
		pfree(r->told);
	pfree(r->unsent.data);
	pfree(r);
}

/* ---- its turn ----------------------------------------------------------------- */

static void
follow_plan(struct rt_runner *r, const struct rt_runner_plan *plan)
{
	if (plan == NULL || strcmp(plan->identity, r->identity) != 0)
		stop(r);
	else if (strcmp(plan->line, r->told) != 0)
		tell(r, plan->line);
}

TimestampTz
rt_runner_turn(struct rt_runner *r, const struct rt_runner_plan *plan)
{
	TimestampTz next = DT_NOEND;

	if (r->state == RT_RUNNER_IDLE && plan != NULL)
	{
		if (rt_backoff_is_due(&r->backoff))
			start(r, plan);
		if (r->state == RT_RUNNER_IDLE)
			next = r->backoff.due;
	}
	if (r->state == RT_RUNNER_RUNNING && !r->hung)
		follow_plan(r, plan);
	if (r->state == RT_RUNNER_RUNNING)
		next = Min(next, watch(r));
	if (r->state == RT_RUNNER_STOPPING)
	{
		kill_if_due(r);
		next = r->killed ? DT_NOEND : r->kill_due;
	}
	if (r->state != RT_RUNNER_IDLE && !send_settings(r))
		next = Min(next, after_ms(WRITE_RETRY_MS));
	if (r->log != NULL && rt_childlog_settle(r->log))
		next = Min(next, after_ms(1000));
	return next;
}
