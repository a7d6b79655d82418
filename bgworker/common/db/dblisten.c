/* dblisten.c: see dblisten.h.
 *
 * A turn hands on a bounded number of notifications; libpq keeps the rest.  A connection on which nothing came
 * for a while is asked for a sign of life, since a listener never writes and would not notice a dead peer.  Where
 * there is another server to go to, that is done sooner, and told: the other connections are to a silent server too.
 */
#include "dblisten.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "dbconn.h"

#define NOTIFICATIONS_A_TURN 500
#define QUIET_MS 10000 /* then it is asked */
#define ANSWER_MS 5000 /* and must answer */
/* With several hosts: a silent one is left within 5 s. */
#define QUIET_OF_SEVERAL_MS 2000
#define ANSWER_OF_SEVERAL_MS 3000
#define STATEMENT_TIMEOUT_MS 10000

struct rt_dblisten
{
	struct rt_dbconn *conn;
	struct rt_timer *rest;  /* what is left of a turn */
	struct rt_timer *quiet; /* sign of life */
	char *channel;
	rt_db_notify_cb on_notify;
	rt_db_listen_cb on_listen;
	void *arg;
	rt_dblisten_silent_cb on_silent;
	void *silent_arg;
	bool listening;
	bool asked;
};

static void
hand_on(struct rt_dblisten *d)
{
	PGnotify *n;
	int left = NOTIFICATIONS_A_TURN;

	while (left > 0 && (n = PQnotifies(rt_dbconn_pg(d->conn))) != NULL)
	{
		d->on_notify(d->arg, n->be_pid, n->extra, strlen(n->extra));
		PQfreemem(n);
		left--;
	}
	if (left == 0)
		rt_timer_start(d->rest, 0);
}

static void
on_rest(void *arg)
{
	struct rt_dblisten *d = arg;

	if (d->listening && rt_dbconn_up(d->conn))
		hand_on(d);
}

/* The answers to LISTEN and to the sign of life. */
static bool
take_results(struct rt_dblisten *d)
{
	PGconn *pg = rt_dbconn_pg(d->conn);
	PGresult *result;

	while (d->asked && !PQisBusy(pg))
	{
		bool failed;

		result = PQgetResult(pg);
		if (result == NULL)
		{
			d->asked = false;
			break;
		}
		failed = PQresultStatus(result) == PGRES_FATAL_ERROR;
		PQclear(result);
		if (failed)
		{
			rt_dbconn_drop(d->conn, PQerrorMessage(pg));
			return false;
		}
	}
	return true;
}

static void
on_input(void *arg)
{
	struct rt_dblisten *d = arg;

	if (!take_results(d))
		return;
	if (!d->asked)
		rt_timer_start(d->quiet, rt_dbconn_has_several_hosts(d->conn) ? QUIET_OF_SEVERAL_MS : QUIET_MS);
	if (!d->listening && !d->asked)
	{
		d->listening = true;
		d->on_listen(d->arg, true);
	}
	if (d->listening && rt_dbconn_up(d->conn))
		hand_on(d);
}

static void
ask(struct rt_dblisten *d, const char *sql)
{
	if (!PQsendQuery(rt_dbconn_pg(d->conn), sql))
	{
		rt_dbconn_drop(d->conn, PQerrorMessage(rt_dbconn_pg(d->conn)));
		return;
	}
	d->asked = true;
	rt_timer_start(d->quiet, rt_dbconn_has_several_hosts(d->conn) ? ANSWER_OF_SEVERAL_MS : ANSWER_MS);
	rt_dbconn_flush(d->conn);
}

static void
on_quiet(void *arg)
{
	struct rt_dblisten *d = arg;

	if (!rt_dbconn_up(d->conn))
		return;
	if (!d->asked)
	{
		ask(d, "SELECT 1");
		return;
	}
	/* It may be us who were stopped: then the answer is here. */
	rt_dbconn_read(d->conn);
	if (!d->asked || !rt_dbconn_up(d->conn))
		return;
	rt_dbconn_drop(d->conn, "no answer in time");
	if (rt_dbconn_has_several_hosts(d->conn))
		d->on_silent(d->silent_arg);
}

static void
on_up(void *arg)
{
	struct rt_dblisten *d = arg;
	char sql[100];

	snprintf(sql, sizeof(sql), "LISTEN \"%s\"", d->channel);
	ask(d, sql);
}

static void
on_down(void *arg)
{
	struct rt_dblisten *d = arg;

	rt_timer_stop(d->quiet);
	rt_timer_stop(d->rest);
	d->asked = false;
	if (!d->listening)
		return;
	d->listening = false;
	d->on_listen(d->arg, false);
}

struct rt_dblisten *
rt_dblisten_new(struct rt_loop *l, struct rt_dbconn_login *login, const char *channel, rt_db_notify_cb on_notify,
				rt_db_listen_cb on_listen, void *arg, rt_dblisten_silent_cb on_silent, void *silent_arg)
{
	struct rt_dblisten *d = rt_alloc(sizeof(*d));
	struct rt_dbconn_user user = {.on_up = on_up, .on_input = on_input, .on_down = on_down, .arg = d};

	d->channel = rt_strdup(channel);
	d->on_notify = on_notify;
	d->on_listen = on_listen;
	d->arg = arg;
	d->on_silent = on_silent;
	d->silent_arg = silent_arg;
	d->rest = rt_timer_new(l, on_rest, d);
	d->quiet = rt_timer_new(l, on_quiet, d);
	d->conn = rt_dbconn_new(l, login, STATEMENT_TIMEOUT_MS, 0, &user);
	return d;
}

void
rt_dblisten_free(struct rt_dblisten *d)
{
	if (d == NULL)
		return;
	rt_dbconn_free(d->conn);
	rt_timer_free(d->rest);
	rt_timer_free(d->quiet);
	free(d->channel);
	free(d);
}

void
rt_dblisten_again(struct rt_dblisten *d, const char *why)
{
	rt_dbconn_drop(d->conn, why);
}

bool
rt_dblisten_up(const struct rt_dblisten *d)
{
	return d->listening;
}
