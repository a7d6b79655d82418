/* dbconn.c: see dbconn.h.
 *
 *     CONNECTING ──a host lets us in──> SETTING ──settings are in force──> UP
 *         ^                                │                               │
 *         └────────────────────────────────┴────── rt_dbconn_drop() ───────┘
 *
 * While CONNECTING, each host of the connection string has attempts of its own (struct attempt), one after the other,
 * and the first one to let us in is taken.  So a host that is silent holds up nobody.  The hosts begin in their
 * order, each STAGGER_MS after the one before it or when that has failed; the host that was lost comes last.
 *
 * The connections of one login look for the server together: their pauses are of random length, so that their
 * attempts are spread over time, and once a host has let one of them in, the others try that host at once.
 *
 * What must stay true:
 *
 * - The user sees UP alone: on_up, then on_down when it is lost.  Attempts that fail are nobody's business but
 *   the log's.
 * - The pause before a host's next attempt doubles from BACKOFF_FIRST_MS to BACKOFF_MOST_MS, and begins anew once a
 *   connection was UP, or another one of its login has come UP at that host.  Each pause is between half of that and
 *   all of it.
 * - An attempt ends after LIMIT_MS; a connection that is UP and answers nothing is dropped by who uses it.
 * - A refused login is an error with the words `login failed`: the supervisor looks for them, and stores the password
 *   again. */
#include "dbconn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "dbhosts.h"
#include "session_settings.h"

#define BACKOFF_FIRST_MS 50
#define BACKOFF_MOST_MS 3000
#define BACKOFF_MOST_OF_SEVERAL_MS 500 /* one of them may be promoted at any moment */
#define BETWEEN_ATTEMPTS_MS 100        /* at one host, by all connections of a login */
#define CALLS 2
#define STAGGER_MS 500
#define LIMIT_MS 10000
#define SQLSTATE_LEN 5
#define COMPLAIN_EVERY_MS 30000 /* a server that is down must not fill the log */

enum state
{
	CONNECTING,
	SETTING, /* the session's settings are on their way */
	UP
};

/* Of one host. */
struct attempt
{
	struct rt_dbconn *conn;
	PGconn *pg; /* NULL: none is under way */
	struct rt_watch *watch;
	struct rt_timer *timer; /* the next attempt, or the end of this one */
	uint64_t backoff_ms;
	uint64_t complained_ms;
	uint64_t began_ms;
	bool reached; /* the server answered during this attempt */
	bool waits;   /* for its first attempt, and for those before it */
	bool called;  /* by another connection; the attempt is about to begin */
};

struct rt_dbconn
{
	struct rt_loop *loop;
	struct rt_dbconn_user user;
	struct rt_dbconn_login *login;
	struct rt_dbconn *next; /* of login->conns */
	int statement_timeout_ms;
	int lock_timeout_ms;
	enum state state;
	bool lifted; /* while SETTING: statement_timeout is off */
	bool again;  /* it is to be tried again */
	struct attempt attempts[RT_DBHOSTS_MOST];
	int nhosts;
	int host; /* the one that is connected, or was */
	PGconn *pg;
	struct rt_watch *watch;
	struct rt_timer *timer; /* end of SETTING */
	uint64_t heard_ms;
};

static void on_socket(void *arg, int events);

static void
close_attempt(struct attempt *a)
{
	rt_watch_free(a->watch);
	a->watch = NULL;
	PQfinish(a->pg);
	a->pg = NULL;
	a->waits = false;
	a->called = false;
	rt_timer_stop(a->timer);
}

static void
close_connection(struct rt_dbconn *c)
{
	rt_watch_free(c->watch);
	c->watch = NULL;
	PQfinish(c->pg);
	c->pg = NULL;
	rt_timer_stop(c->timer);
}

/* Host number i behind the one that was lost. */
static struct attempt *
in_order(struct rt_dbconn *c, int i)
{
	return &c->attempts[(c->host + 1 + i) % c->nhosts];
}

static uint64_t
pause_ms(const struct attempt *a)
{
	uint64_t half_ms = a->backoff_ms / 2;

	return a->backoff_ms - half_ms + (uint64_t) random() % (half_ms + 1);
}

static void
begin(struct rt_dbconn *c)
{
	c->state = CONNECTING;
	c->nhosts = rt_dbhosts_count(c->login->conninfo);
	c->host %= c->nhosts;
	for (int i = 0; i < c->nhosts; i++)
	{
		struct attempt *a = in_order(c, i);

		a->waits = i > 0;
		rt_timer_start(a->timer, pause_ms(a) + (uint64_t) i * STAGGER_MS);
	}
}

/* Who waits for this one need not wait any longer. */
static void
let_next_begin(struct rt_dbconn *c)
{
	for (int i = 0; i < c->nhosts; i++)
	{
		struct attempt *a = in_order(c, i);

		if (!a->waits)
			continue;
		a->waits = false;
		rt_timer_start(a->timer, 0);
		return;
	}
}

static uint64_t
backoff_most_ms(const struct rt_dbconn *c)
{
	uint64_t ms = 0;

	if (c->nhosts == 1)
		return BACKOFF_MOST_MS;
	for (const struct rt_dbconn *other = c->login->conns; other != NULL; other = other->next)
		ms += BETWEEN_ATTEMPTS_MS;
	if (ms < BACKOFF_MOST_OF_SEVERAL_MS)
		return BACKOFF_MOST_OF_SEVERAL_MS;
	return ms > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : ms;
}

static void
double_backoff(struct attempt *a)
{
	uint64_t most_ms = backoff_most_ms(a->conn);

	a->backoff_ms = a->backoff_ms * 2 > most_ms ? most_ms : a->backoff_ms * 2;
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
 * many.  Of several, one may be a standby. */
static bool
is_login_refused(const struct attempt *a, const char *reason)
{
	return find_sqlstate(reason) == NULL ? a->reached && a->conn->nhosts == 1 : rt_dbconn_is_login_refused(reason);
}

static void
complain(struct attempt *a, const char *reason)
{
	uint64_t now = rt_loop_now_ms(a->conn->loop);
	char first_line[400];

	if (a->complained_ms != 0 && now - a->complained_ms < COMPLAIN_EVERY_MS)
		return;
	a->complained_ms = now;
	snprintf(first_line, sizeof(first_line), "%.*s", (int) strcspn(reason, "\n"), reason);
	if (is_login_refused(a, reason))
		rt_log(RT_LOG_ERROR, "db", "login failed: %s", first_line);
	else
		rt_log(RT_LOG_WARNING, "db", "connection failed: %s", first_line);
}

static void
fail_attempt(struct attempt *a, const char *reason)
{
	complain(a, reason);
	close_attempt(a);
	rt_timer_start(a->timer, pause_ms(a));
	double_backoff(a);
	let_next_begin(a->conn);
}

void
rt_dbconn_drop(struct rt_dbconn *c, const char *why)
{
	bool was_up = c->state == UP;

	if (c->state == CONNECTING)
		return;
	if (was_up)
		rt_log(RT_LOG_WARNING, "db", "connection lost: %.*s", (int) strcspn(why, "\n"), why);
	else
		complain(&c->attempts[c->host], why);
	close_connection(c);
	begin(c);
	if (was_up)
		c->user.on_down(c->user.arg);
	else
		double_backoff(&c->attempts[c->host]);
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

static const char *const SETTINGS[][2] = {RT_SESSION_SETTINGS, RT_SESSION_SETTINGS_17, RT_PROGRAM_SETTINGS};

/* Rows of name and value, each with a comma in front of it. */
static void
write_settings(char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < sizeof(SETTINGS) / sizeof(SETTINGS[0]); i++)
	{
		used += (size_t) snprintf(out + used, size - used, ", ('%s', '%s')", SETTINGS[i][0], SETTINGS[i][1]);
		assert(used < size);
	}
}

static void
send_sql(struct rt_dbconn *c, const char *sql)
{
	if (!PQsendQuery(c->pg, sql))
		rt_dbconn_drop(c, PQerrorMessage(c->pg));
	else
		rt_dbconn_flush(c);
}

/* By itself: what follows would take longer than the timeout of a millisecond that may be set for the role. */
static void
lift_timeout(struct rt_dbconn *c)
{
	c->state = SETTING;
	c->lifted = c->again = false;
	send_sql(c, "SET statement_timeout = 0");
}

/* A server that does not know a setting is spared it. */
static void
send_settings(struct rt_dbconn *c)
{
	char sql[1200];
	char settings[800];
	char role[100] = "none";

	write_settings(settings, sizeof(settings));
	/* Last, since the others may need rights of the role that has logged in. */
	if (c->login->role != NULL)
		snprintf(role, sizeof(role), "%s", c->login->role);
	snprintf(sql, sizeof(sql),
			 "SELECT pg_catalog.set_config(s.name, s.value, false)"
			 " FROM (VALUES ('statement_timeout', '%d'), ('lock_timeout', '%d')%s, ('role', '%s')) AS s (name, value)"
			 " WHERE pg_catalog.current_setting(s.name, true) IS NOT NULL",
			 c->statement_timeout_ms, c->lock_timeout_ms, settings, role);
	c->lifted = true;
	send_sql(c, sql);
}

/* An attempt that the server has answered goes on.  One that is older than the one which was let in, and without an
 * answer, may have been sent to a server that was not there yet. */
static bool
is_on_its_way(const struct attempt *a, uint64_t let_in_ms)
{
	return a->pg != NULL && (a->reached || a->began_ms >= let_in_ms);
}

/* The host of this connection accepts some. */
static void
call_others(const struct rt_dbconn *c)
{
	uint64_t let_in_ms = c->attempts[c->host].began_ms;
	int left = CALLS;

	for (struct rt_dbconn *other = c->login->conns; other != NULL && left > 0; other = other->next)
	{
		struct attempt *a = &other->attempts[c->host];

		if (other->state != CONNECTING || other->nhosts != c->nhosts)
			continue;
		a->backoff_ms = BACKOFF_FIRST_MS;
		if (a->called || is_on_its_way(a, let_in_ms))
			continue;
		close_attempt(a);
		a->called = true;
		rt_timer_start(a->timer, 0);
		left--;
	}
}

static void
become_up(struct rt_dbconn *c)
{
	rt_timer_stop(c->timer);
	PQsetErrorVerbosity(c->pg, PQERRORS_DEFAULT);
	c->state = UP;
	for (int i = 0; i < RT_DBHOSTS_MOST; i++)
	{
		c->attempts[i].backoff_ms = BACKOFF_FIRST_MS;
		c->attempts[i].complained_ms = 0;
	}
	call_others(c);
	c->user.on_up(c->user.arg);
}

static bool
is_canceled(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return sqlstate != NULL && strcmp(sqlstate, "57014") == 0;
}

/* The server was too slow to lift its timeout: it is asked again, until the attempt's own time is over. */
static void
finish_settings(struct rt_dbconn *c)
{
	while (!PQisBusy(c->pg))
	{
		PGresult *result = PQgetResult(c->pg);
		ExecStatusType status = PQresultStatus(result);

		if (result == NULL && c->lifted)
			become_up(c);
		else if (result == NULL && c->again)
			lift_timeout(c);
		else if (result == NULL)
			send_settings(c);
		if (result == NULL)
			return;
		c->again = c->again || (!c->lifted && is_canceled(result));
		PQclear(result);
		if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && !c->again)
		{
			rt_dbconn_drop(c, PQerrorMessage(c->pg));
			return;
		}
	}
}

static void
read_input(struct rt_dbconn *c)
{
	c->heard_ms = rt_loop_now_ms(c->loop);
	if (!PQconsumeInput(c->pg))
		rt_dbconn_drop(c, PQerrorMessage(c->pg));
	else if (c->state == SETTING)
		finish_settings(c);
	else
		c->user.on_input(c->user.arg);
}

void
rt_dbconn_read(struct rt_dbconn *c)
{
	if (c->pg != NULL && PQsocket(c->pg) >= 0)
		read_input(c);
}

static void
on_socket(void *arg, int events)
{
	struct rt_dbconn *c = arg;

	rt_activity_begin(RT_ACTIVITY_DATABASE);
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

/* This host lets us in: nobody needs the others any longer. */
static void
take(struct attempt *a)
{
	struct rt_dbconn *c = a->conn;

	c->pg = a->pg;
	a->pg = NULL;
	c->host = (int) (a - c->attempts);
	for (int i = 0; i < RT_DBHOSTS_MOST; i++)
		close_attempt(&c->attempts[i]);
	rt_timer_start(c->timer, LIMIT_MS);
	PQsetnonblocking(c->pg, 1);
	lift_timeout(c);
}

/* libpq may close its descriptor and open another one between two polls, so the watch is made anew. */
static void
go_on_connecting(void *arg, int events)
{
	struct attempt *a = arg;
	PostgresPollingStatusType status;

	rt_activity_begin(RT_ACTIVITY_DATABASE);
	rt_watch_free(a->watch);
	a->watch = NULL;
	status = PQconnectPoll(a->pg);
	if (PQstatus(a->pg) == CONNECTION_AWAITING_RESPONSE || PQstatus(a->pg) == CONNECTION_AUTH_OK)
		a->reached = true;
	if (status == PGRES_POLLING_OK)
		take(a);
	else if (status == PGRES_POLLING_FAILED)
		fail_attempt(a, PQerrorMessage(a->pg));
	else
	{
		a->watch = rt_watch_new(a->conn->loop, PQsocket(a->pg), go_on_connecting, a);
		rt_watch_set(a->watch, status == PGRES_POLLING_READING ? RT_READABLE : RT_WRITABLE);
	}
}

static void
start_attempt(struct attempt *a)
{
	struct rt_dbconn *c = a->conn;
	const char *conninfo = c->login->conninfo;

	a->waits = false;
	a->called = false;
	a->reached = false;
	a->began_ms = rt_loop_now_ms(c->loop);
	a->pg = c->nhosts > 1 ? rt_dbhosts_connect_to(conninfo, (int) (a - c->attempts)) : PQconnectStart(conninfo);
	if (a->pg == NULL || PQstatus(a->pg) == CONNECTION_BAD)
	{
		fail_attempt(a, a->pg == NULL ? "out of memory" : PQerrorMessage(a->pg));
		return;
	}
	PQsetNoticeReceiver(a->pg, on_notice, NULL);
	PQsetErrorVerbosity(a->pg, PQERRORS_VERBOSE); /* with the SQLSTATE */
	rt_timer_start(a->timer, LIMIT_MS);
	a->watch = rt_watch_new(c->loop, PQsocket(a->pg), go_on_connecting, a);
	rt_watch_set(a->watch, RT_WRITABLE);
}

static void
on_attempt_timer(void *arg)
{
	struct attempt *a = arg;
	struct rt_dbconn *c = a->conn;
	char reason[RT_DBHOSTS_REASON_BYTES];

	if (a->pg != NULL)
	{
		rt_dbhosts_explain(a->pg, c->nhosts, reason);
		fail_attempt(a, reason);
	}
	else if (c->nhosts != rt_dbhosts_count(c->login->conninfo))
	{
		/* The connection string has changed. */
		for (int i = 0; i < RT_DBHOSTS_MOST; i++)
			close_attempt(&c->attempts[i]);
		begin(c);
	}
	else
		start_attempt(a);
}

static void
on_timer(void *arg)
{
	rt_dbconn_drop(arg, "no answer in time");
}

struct rt_dbconn *
rt_dbconn_new(struct rt_loop *l, struct rt_dbconn_login *login, int statement_timeout_ms, int lock_timeout_ms,
			  const struct rt_dbconn_user *user)
{
	struct rt_dbconn *c = rt_alloc(sizeof(*c));

	c->loop = l;
	c->user = *user;
	c->login = login;
	c->statement_timeout_ms = statement_timeout_ms;
	c->lock_timeout_ms = lock_timeout_ms;
	c->timer = rt_timer_new(l, on_timer, c);
	for (int i = 0; i < RT_DBHOSTS_MOST; i++)
		c->attempts[i] = (struct attempt){.conn = c, .timer = rt_timer_new(l, on_attempt_timer, &c->attempts[i])};
	c->next = login->conns;
	login->conns = c;
	c->host = rt_dbhosts_count(login->conninfo) - 1; /* the first one is the next */
	begin(c);
	for (int i = 0; i < RT_DBHOSTS_MOST; i++)
		c->attempts[i].backoff_ms = BACKOFF_FIRST_MS;
	return c;
}

static void
leave_login(struct rt_dbconn *c)
{
	struct rt_dbconn **at = &c->login->conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

void
rt_dbconn_free(struct rt_dbconn *c)
{
	if (c == NULL)
		return;
	leave_login(c);
	close_connection(c);
	rt_timer_free(c->timer);
	for (int i = 0; i < RT_DBHOSTS_MOST; i++)
	{
		close_attempt(&c->attempts[i]);
		rt_timer_free(c->attempts[i].timer);
	}
	free(c);
}

bool
rt_dbconn_up(const struct rt_dbconn *c)
{
	return c->state == UP;
}

bool
rt_dbconn_has_several_hosts(const struct rt_dbconn *c)
{
	return c->nhosts > 1;
}

uint64_t
rt_dbconn_heard_ms(const struct rt_dbconn *c)
{
	return c->heard_ms;
}

PGconn *
rt_dbconn_pg(struct rt_dbconn *c)
{
	return c->pg;
}
