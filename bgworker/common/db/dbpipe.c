/* dbpipe.c: see dbpipe.h.
 *
 * Each call is followed by a Sync of its own, which makes it a transaction of its own and keeps an error to
 * itself.  A function is prepared once a connection, in front of its first call. */
#include "dbpipe.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbconn.h"
#include "dberror.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/log.h"
#include "bgworker/common/map.h"

#define DEPTH_MAX 64
#define LOCK_PATIENCE_US 8000000 /* a call that waits for locks is tried again so long */
#define ANSWER_GRACE_MS 5000     /* beyond the statement's own limit */
#define HEARD_MS 3000            /* a connection that was heard since then is to another server than the silent one */

struct rt_dbpipe
{
	struct rt_loop *loop;
	struct rt_dbconn *conn;
	struct rt_dbpipe_owner owner;
	struct rt_map *prepared; /* function names; literals, so nothing is owned */
	struct rt_dbcall *head;  /* under way, the oldest first */
	struct rt_dbcall **tail;
	int depth;
	int held; /* of these, calls that have waited for a lock before */
	int answer_limit_ms;
	PGresult *failure; /* of the head call: the error that its answer will be */
	PGresult *success; /* of the head call */
	bool reading;
};

static struct rt_dbcall *
pop_head(struct rt_dbpipe *p)
{
	struct rt_dbcall *call = p->head;

	assert(call != NULL);
	p->head = call->next;
	if (p->head == NULL)
		p->tail = &p->head;
	else
		p->head->since_ms = rt_loop_now_ms(p->loop); /* the server begins with it now */
	call->next = NULL;
	p->depth--;
	p->held -= call->lock_waits > 0;
	return call;
}

static void
answer_success(struct rt_dbcall *call, PGresult *result)
{
	struct rt_db_reply reply = {.ok = true, .json = "null", .json_len = 4};

	if (PQntuples(result) == 1 && !PQgetisnull(result, 0, 0))
	{
		reply.json = PQgetvalue(result, 0, 0);
		reply.json_len = (size_t) PQgetlength(result, 0, 0);
	}
	rt_dbcall_answer(call, &reply);
}

static void
answer_failure(struct rt_dbcall *call, PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	struct rt_db_reply reply = {.sqlstate = sqlstate == NULL ? "XX000" : sqlstate};
	char shown[512] = "";

	reply.code = rt_dberror_code(reply.sqlstate);
	if (rt_dberror_is_ours(reply.sqlstate) && primary != NULL)
		rt_dberror_show(shown, sizeof(shown), primary);
	reply.message = shown[0] != '\0' ? shown : rt_dberror_message(reply.code, reply.sqlstate);
	if (strcmp(reply.code, "internal") == 0)
		rt_log(RT_LOG_ERROR, "db", "rt_api.%s: %s: %s", call->fn, reply.sqlstate, primary != NULL ? primary : "");
	else
		rt_log(RT_LOG_DEBUG, "db", "rt_api.%s: %s", call->fn, reply.sqlstate);
	rt_dbcall_answer(call, &reply);
}

/* The head call's Sync has come: it is over. */
static void
finish_head(struct rt_dbpipe *p)
{
	struct rt_dbcall *call = pop_head(p);
	PGresult *failure = p->failure;
	PGresult *success = p->success;
	const char *sqlstate = failure == NULL ? NULL : PQresultErrorField(failure, PG_DIAG_SQLSTATE);

	p->failure = NULL;
	p->success = NULL;
	if (call->prepares)
		rt_map_take_str(p->prepared, call->fn);
	call->due_ms = 0;
	if (sqlstate != NULL && rt_dberror_is_lock_timeout(sqlstate))
	{
		if (rt_clock_us() - call->began_us < LOCK_PATIENCE_US)
		{
			call->lock_waits++;
			call->due_ms = 1;
			p->owner.on_retry(p->owner.arg, call);
		}
		else
			answer_failure(call, failure);
	}
	else if (sqlstate != NULL && rt_dberror_retry(sqlstate) && !call->retried)
	{
		call->retried = true;
		p->owner.on_retry(p->owner.arg, call);
	}
	else if (failure != NULL && rt_dberror_is_standby(sqlstate))
	{
		/* Somewhere else, or a moment later, is a server that is none. */
		answer_failure(call, failure);
		rt_dbconn_drop(p->conn, "the server is a standby");
	}
	else if (failure != NULL)
		answer_failure(call, failure);
	else if (success != NULL)
		answer_success(call, success);
	else
		rt_dbcall_refuse(call);
	PQclear(failure);
	PQclear(success);
}

static void
take_result(struct rt_dbpipe *p, PGresult *result)
{
	switch (PQresultStatus(result))
	{
		case PGRES_PIPELINE_SYNC:
			PQclear(result);
			finish_head(p);
			return;
		case PGRES_TUPLES_OK:
			PQclear(p->success);
			p->success = result;
			return;
		case PGRES_FATAL_ERROR:
			if (p->failure == NULL)
			{
				p->failure = result;
				return;
			}
			break;
		case PGRES_COMMAND_OK:
			p->head->prepares = false;
			break;
		default: /* what follows an error, up to the Sync */
			break;
	}
	PQclear(result);
}

static void
on_input(void *arg)
{
	struct rt_dbpipe *p = arg;
	int nulls = 0;

	p->reading = true;
	/* A NULL ends the results of one query; two in a row mean that nothing more is expected.  A callback may
	 * send further calls, and so find the connection broken. */
	while (p->head != NULL && nulls < 2 && rt_dbconn_up(p->conn) && !PQisBusy(rt_dbconn_pg(p->conn)))
	{
		PGresult *result = PQgetResult(rt_dbconn_pg(p->conn));

		nulls = result == NULL ? nulls + 1 : 0;
		if (result != NULL)
			take_result(p, result);
	}
	p->reading = false;
	if (!rt_dbconn_up(p->conn))
		return;
	if (PQstatus(rt_dbconn_pg(p->conn)) == CONNECTION_BAD)
	{
		rt_dbconn_drop(p->conn, PQerrorMessage(rt_dbconn_pg(p->conn)));
		return;
	}
	p->owner.on_room(p->owner.arg);
	rt_dbconn_flush(p->conn);
}

static void
forget_session(struct rt_dbpipe *p)
{
	rt_map_free(p->prepared);
	p->prepared = rt_map_new();
	PQclear(p->failure);
	PQclear(p->success);
	p->failure = NULL;
	p->success = NULL;
}

static void
on_up(void *arg)
{
	struct rt_dbpipe *p = arg;

	forget_session(p);
	if (!PQenterPipelineMode(rt_dbconn_pg(p->conn)))
	{
		rt_dbconn_drop(p->conn, "cannot enter pipeline mode");
		return;
	}
	p->owner.on_room(p->owner.arg);
}

static void
on_down(void *arg)
{
	struct rt_dbpipe *p = arg;

	forget_session(p);
	while (p->head != NULL)
		p->owner.on_lost(p->owner.arg, pop_head(p));
}

struct rt_dbpipe *
rt_dbpipe_new(struct rt_loop *l, struct rt_dbconn_login *login, const struct rt_dbpipe_limits *limits,
			  const struct rt_dbpipe_owner *owner)
{
	struct rt_dbpipe *p = rt_alloc(sizeof(*p));
	struct rt_dbconn_user user = {.on_up = on_up, .on_input = on_input, .on_down = on_down, .arg = p};

	p->loop = l;
	p->owner = *owner;
	p->prepared = rt_map_new();
	p->tail = &p->head;
	p->answer_limit_ms = limits->statement_timeout_ms + ANSWER_GRACE_MS;
	p->conn = rt_dbconn_new(l, login, limits->statement_timeout_ms, limits->lock_timeout_ms, &user);
	return p;
}

void
rt_dbpipe_free(struct rt_dbpipe *p)
{
	if (p == NULL)
		return;
	rt_dbconn_free(p->conn);
	forget_session(p);
	while (p->head != NULL)
		rt_dbcall_refuse(pop_head(p));
	rt_map_free(p->prepared);
	free(p);
}

bool
rt_dbpipe_up(const struct rt_dbpipe *p)
{
	return rt_dbconn_up(p->conn);
}

int
rt_dbpipe_depth(const struct rt_dbpipe *p)
{
	return p->depth;
}

int
rt_dbpipe_held(const struct rt_dbpipe *p)
{
	return p->held;
}

bool
rt_dbpipe_has_room(const struct rt_dbpipe *p)
{
	return rt_dbconn_up(p->conn) && p->depth < DEPTH_MAX;
}

static bool
send_prepare(struct rt_dbpipe *p, struct rt_dbcall *call)
{
	char sql[160];

	if (!rt_map_put_str(p->prepared, call->fn, p))
		return true;
	call->prepares = true;
	snprintf(sql, sizeof(sql), "SELECT rt_api.%s($1::text, $2::jsonb)", call->fn);
	return PQsendPrepare(rt_dbconn_pg(p->conn), call->fn, sql, 2, NULL) == 1;
}

void
rt_dbpipe_send(struct rt_dbpipe *p, struct rt_dbcall *call)
{
	PGconn *pg = rt_dbconn_pg(p->conn);
	const char *values[2] = {call->actor, call->req};
	bool sent;

	assert(rt_dbconn_up(p->conn));
	call->next = NULL;
	call->since_ms = rt_loop_now_ms(p->loop);
	*p->tail = call;
	p->tail = &call->next;
	p->depth++;
	p->held += call->lock_waits > 0;
	sent = send_prepare(p, call) && PQsendQueryPrepared(pg, call->fn, 2, values, NULL, NULL, 0) == 1 &&
		   PQpipelineSync(pg) == 1;
	/* A call that could not be sent waits for an answer that never comes: the connection is of no more use. */
	if (!sent)
		rt_dbconn_drop(p->conn, PQerrorMessage(pg));
}

void
rt_dbpipe_flush(struct rt_dbpipe *p)
{
	if (!p->reading && rt_dbconn_up(p->conn))
		rt_dbconn_flush(p->conn);
}

void
rt_dbpipe_check(struct rt_dbpipe *p, uint64_t now_ms)
{
	if (p->head != NULL && now_ms > p->head->since_ms + (uint64_t) p->answer_limit_ms)
		rt_dbconn_drop(p->conn, "no answer in time");
}

void
rt_dbpipe_leave_silent(struct rt_dbpipe *p)
{
	if (!rt_dbconn_up(p->conn) || rt_dbconn_heard_ms(p->conn) + HEARD_MS > rt_loop_now_ms(p->loop))
		return;
	rt_dbconn_drop(p->conn, "the server is silent");
}
