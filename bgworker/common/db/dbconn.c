/* dbconn.c: see dbconn.h.
 *
 *     DOWN ──timer──> CONNECTING ──logged in──> SETTING ──settings are in force──> UP
 *       ^                 │                        │                               │
 *       └─────────────────┴── fail_attempt() ──────┘          rt_dbconn_drop() ────┘
 *
 * What must stay true:
 *
 * - The user sees UP alone: on_up, then on_down when it is lost.  Attempts that fail are nobody's business but
 *   the log's.
 * - The pause before an attempt doubles from BACKOFF_FIRST_MS to BACKOFF_MOST_MS, and begins anew once it was UP.
 * - An attempt ends after rt_dbhosts_limit_ms(); a connection that is UP and answers nothing is dropped by who uses
 * it.
 * - A refused login is an error with the words `login failed`: the supervisor looks for them, and stores the password
 *   again. */
#include "dbconn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "dbhosts.h"

#define BACKOFF_FIRST_MS 50
#define BACKOFF_MOST_MS 3000
#define BACKOFF_MOST_OF_SEVERAL_MS 500 /* one of them may be promoted at any moment */
#define SQLSTATE_LEN 5
#define COMPLAIN_EVERY_MS 30000 /* a server that is down must not fill the log */

enum state
{
	DOWN, /* waits for the next attempt */
	CONNECTING,
	SETTING, /* the session's settings are on their way */
	UP
};

struct rt_dbconn
{
	struct rt_loop *loop;
	struct rt_dbconn_user user;
	const struct rt_dbconn_login *login;
	int statement_timeout_ms;
	int lock_timeout_ms;
	enum state state;
	PGconn *pg;
	struct rt_watch *watch;
	struct rt_timer *timer; /* next attempt, or end of this one */
	uint64_t backoff_ms;
	uint64_t complained_ms;
	bool reached; /* the server answered during this attempt */
	struct rt_dbhosts hosts;
};

static void on_socket(void *arg, int events);

static void
close_connection(struct rt_dbconn *c)
{
	rt_watch_free(c->watch);
	c->watch = NULL;
	PQfinish(c->pg);
	c->pg = NULL;
}

static void
try_later(struct rt_dbconn *c)
{
	uint64_t most_ms = c->hosts.count > 1 ? BACKOFF_MOST_OF_SEVERAL_MS : BACKOFF_MOST_MS;

	c->state = DOWN;
	rt_timer_start(c->timer, c->backoff_ms);
	c->backoff_ms = c->backoff_ms * 2 > most_ms ? most_ms : c->backoff_ms * 2;
}

/* The SQLSTATE in "severity:  SQLSTATE: message", which is what the server said before anybody had logged in; NULL:
 * it did not speak.  The words around it are in the server's language. */
static const char *
find_sqlstate(const char *reason)
{
	for (const char *p = strstr(reason, ":  "); p != NULL; p = strstr(p, ":  "))
	{
		p += 3;
		if (strspn(p, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == SQLSTATE_LEN && p[SQLSTATE_LEN] == ':')
			return p;
	}
	return NULL;
}

bool
rt_dbconn_is_login_refused(const char *reason)
{
	const char *sqlstate = find_sqlstate(reason);

	return sqlstate != NULL && (strncmp(sqlstate, "28", 2) == 0 || strncmp(sqlstate, "42501", SQLSTATE_LEN) == 0 ||
								strncmp(sqlstate, "3D000", SQLSTATE_LEN) == 0);
}

/* Who we are is wrong, or may not come in.  The server refuses anybody while it starts or stops, and when it has too
 * many. */
static bool
is_login_refused(const struct rt_dbconn *c, const char *reason)
{
	return find_sqlstate(reason) == NULL ? c->reached : rt_dbconn_is_login_refused(reason);
}

static void
complain(struct rt_dbconn *c, const char *reason)
{
	uint64_t now = rt_loop_now_ms(c->loop);
	char first_line[400];

	if (c->complained_ms != 0 && now - c->complained_ms < COMPLAIN_EVERY_MS)
		return;
	c->complained_ms = now;
	snprintf(first_line, sizeof(first_line), "%.*s", (int) strcspn(reason, "\n"), reason);
	if (is_login_refused(c, reason))
		rt_log(RT_LOG_ERROR, "db", "login failed: %s", first_line);
	else
		rt_log(RT_LOG_WARNING, "db", "connection failed: %s", first_line);
}

static void
fail_attempt(struct rt_dbconn *c, const char *reason)
{
	complain(c, reason);
	close_connection(c);
	try_later(c);
}

void
rt_dbconn_drop(struct rt_dbconn *c, const char *why)
{
	bool was_up = c->state == UP;

	if (c->state == DOWN)
		return;
	if (!was_up)
	{
		fail_attempt(c, why);
		return;
	}
	rt_log(RT_LOG_WARNING, "db", "connection lost: %.*s", (int) strcspn(why, "\n"), why);
	close_connection(c);
	rt_dbhosts_lost(&c->hosts);
	try_later(c);
	c->user.on_down(c->user.arg);
}

static void
set_watch(struct rt_dbconn *c, int events)
{
	if (c->watch == NULL)
		c->watch = rt_watch_new(c->loop, PQsocket(c->pg), on_socket, c);
	rt_watch_set(c->watch, events);
}

void
rt_dbconn_flush(struct rt_dbconn *c)
{
	int rc;

	if (c->pg == NULL)
		return;
	rc = PQflush(c->pg);
	if (rc < 0)
		rt_dbconn_drop(c, PQerrorMessage(c->pg));
	else
		set_watch(c, rc == 0 ? RT_READABLE : RT_READABLE | RT_WRITABLE);
}

/* What may be set for the database or in postgresql.conf is meant for people: limits of time would cut us off, and a
 * read-only or serializable session could not do our work. */
static void
send_settings(struct rt_dbconn *c)
{
	char sql[900];
	char role[100] = "";

	/* Last, since the others may need rights of the role that has logged in. */
	if (c->login->role != NULL)
		snprintf(role, sizeof(role), ", ('role', '%s')", c->login->role);
	snprintf(sql, sizeof(sql),
			 "SELECT pg_catalog.set_config(s.name, s.value, false)"
			 " FROM (VALUES ('statement_timeout', '%d'), ('lock_timeout', '%d'), ('transaction_timeout', '0'),"
			 " ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'),"
			 " ('default_transaction_read_only', 'off'), ('default_transaction_isolation', 'read committed'),"
			 " ('default_transaction_deferrable', 'off'), ('jit', 'off')%s) AS s (name, value)"
			 " WHERE pg_catalog.current_setting(s.name, true) IS NOT NULL",
			 c->statement_timeout_ms, c->lock_timeout_ms, role);
	c->state = SETTING;
	PQsetnonblocking(c->pg, 1);
	if (!PQsendQuery(c->pg, sql))
		rt_dbconn_drop(c, PQerrorMessage(c->pg));
	else
		rt_dbconn_flush(c);
}

static void
finish_settings(struct rt_dbconn *c)
{
	PGresult *result;

	while (!PQisBusy(c->pg))
	{
		result = PQgetResult(c->pg);
		if (result == NULL)
		{
			rt_timer_stop(c->timer);
			PQsetErrorVerbosity(c->pg, PQERRORS_DEFAULT);
			c->state = UP;
			c->backoff_ms = BACKOFF_FIRST_MS;
			c->complained_ms = 0;
			rt_dbhosts_answered(&c->hosts);
			c->user.on_up(c->user.arg);
			return;
		}
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
		{
			PQclear(result);
			rt_dbconn_drop(c, PQerrorMessage(c->pg));
			return;
		}
		PQclear(result);
	}
}

/* libpq may close its descriptor and open another one between two polls, so the watch is made anew. */
static void
go_on_connecting(struct rt_dbconn *c)
{
	PostgresPollingStatusType status;

	rt_watch_free(c->watch);
	c->watch = NULL;
	status = PQconnectPoll(c->pg);
	if (PQstatus(c->pg) == CONNECTION_AWAITING_RESPONSE || PQstatus(c->pg) == CONNECTION_AUTH_OK)
		c->reached = true;
	if (status == PGRES_POLLING_OK)
		send_settings(c);
	else if (status == PGRES_POLLING_FAILED)
		fail_attempt(c, PQerrorMessage(c->pg));
	else
		set_watch(c, status == PGRES_POLLING_READING ? RT_READABLE : RT_WRITABLE);
}

static void
read_input(struct rt_dbconn *c)
{
	if (!PQconsumeInput(c->pg))
		rt_dbconn_drop(c, PQerrorMessage(c->pg));
	else if (c->state == SETTING)
		finish_settings(c);
	else
		c->user.on_input(c->user.arg);
}

static void
on_socket(void *arg, int events)
{
	struct rt_dbconn *c = arg;

	rt_activity_begin(RT_ACTIVITY_DATABASE);
	if (c->state == CONNECTING)
	{
		go_on_connecting(c);
		return;
	}
	if (events & RT_READABLE)
		read_input(c);
	if ((events & RT_WRITABLE) && c->state >= SETTING)
		rt_dbconn_flush(c);
}

/* libpq would write it to standard error as it is, and that is no line of ours. */
static void
on_notice(void *arg, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	rt_log(RT_LOG_DEBUG, "db", "notice %s", sqlstate == NULL ? "without a code" : sqlstate);
}

static void
start_attempt(struct rt_dbconn *c)
{
	c->state = CONNECTING;
	c->reached = false;
	c->pg = rt_dbhosts_connect(&c->hosts, c->login->conninfo);
	if (c->pg == NULL || PQstatus(c->pg) == CONNECTION_BAD)
	{
		fail_attempt(c, c->pg == NULL ? "out of memory" : PQerrorMessage(c->pg));
		return;
	}
	PQsetNoticeReceiver(c->pg, on_notice, NULL);
	PQsetErrorVerbosity(c->pg, PQERRORS_VERBOSE); /* with the SQLSTATE */
	rt_timer_start(c->timer, rt_dbhosts_limit_ms(&c->hosts));
	set_watch(c, RT_WRITABLE);
}

static void
give_up_attempt(struct rt_dbconn *c)
{
	char reason[RT_DBHOSTS_REASON_BYTES];

	rt_dbhosts_late(&c->hosts, c->pg, reason);
	rt_dbconn_drop(c, reason);
}

static void
on_timer(void *arg)
{
	struct rt_dbconn *c = arg;

	if (c->state == DOWN)
		start_attempt(c);
	else if (c->state != UP)
		give_up_attempt(c);
}

struct rt_dbconn *
rt_dbconn_new(struct rt_loop *l, const struct rt_dbconn_login *login, int statement_timeout_ms, int lock_timeout_ms,
			  const struct rt_dbconn_user *user)
{
	struct rt_dbconn *c = rt_alloc(sizeof(*c));

	c->loop = l;
	c->user = *user;
	c->login = login;
	c->statement_timeout_ms = statement_timeout_ms;
	c->lock_timeout_ms = lock_timeout_ms;
	c->backoff_ms = BACKOFF_FIRST_MS;
	c->timer = rt_timer_new(l, on_timer, c);
	rt_timer_start(c->timer, 0);
	return c;
}

void
rt_dbconn_free(struct rt_dbconn *c)
{
	if (c == NULL)
		return;
	close_connection(c);
	rt_timer_free(c->timer);
	free(c);
}

bool
rt_dbconn_up(const struct rt_dbconn *c)
{
	return c->state == UP;
}

PGconn *
rt_dbconn_pg(struct rt_dbconn *c)
{
	return c->pg;
}
