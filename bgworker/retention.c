/* retention.c: see retention.h. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "extension/query.h"
#include "extension/settings.h"
#include "retention.h"

#define LOG_ROWS 10000
#define MESSAGE_ROWS 1000
#define AUDIT_ROWS 10000

/* Positions and times rise together, so the old ones lie at the index's beginning.  A clock that was set back breaks
 * that: rows from the future go when one behind them is old. */
static struct rt_query purge_log = {
	.sql = "DELETE FROM rt.events WHERE pos IN (SELECT e.pos FROM "
		   "(SELECT pos, at FROM rt.events ORDER BY pos LIMIT $1) e WHERE e.at < $2 OR (e.at > clock_timestamp() + "
		   "interval '1 min' AND e.pos < (SELECT pos FROM rt.events WHERE at < $2 ORDER BY pos DESC LIMIT 1)))",
	.nargs = 2,
	.types = {INT8OID, TIMESTAMPTZOID},
};

/* Answers that stay lose their reference to what goes. */
static struct rt_query purge_messages = {
	.sql = "WITH old AS MATERIALIZED (SELECT m.room_id, m.seq FROM rt.messages m WHERE m.created_at < $2 LIMIT $1), "
		   "answers AS (UPDATE rt.messages a SET reply_to = NULL FROM old "
		   "WHERE a.room_id = old.room_id AND a.reply_to = old.seq "
		   "AND NOT EXISTS (SELECT FROM old o WHERE o.room_id = a.room_id AND o.seq = a.seq)) "
		   "DELETE FROM rt.messages m USING old WHERE m.room_id = old.room_id AND m.seq = old.seq",
	.nargs = 2,
	.types = {INT8OID, TIMESTAMPTZOID},
};

static struct rt_query purge_audit = {
	.sql = "DELETE FROM rt.audit WHERE ctid = ANY (ARRAY(SELECT a.ctid FROM rt.audit a WHERE a.at < $2 ORDER BY a.at LIMIT $1))",
	.nargs = 2,
	.types = {INT8OID, TIMESTAMPTZOID},
};

static bool
purge(struct rt_query *query, int64 rows, int age_s)
{
	TimestampTz before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -(int64) age_s * 1000);
	Datum values[2] = {Int64GetDatum(rows), TimestampTzGetDatum(before)};
	bool more;

	SPI_connect();
	more = rt_query_run(query, values, NULL, false) >= rows;
	SPI_finish();
	return more;
}

bool
rt_retention_purge_log(void)
{
	return purge(&purge_log, LOG_ROWS, rt_recovery_window_s);
}

bool
rt_retention_purge_audit(void)
{
	return rt_retain_audit_s > 0 && purge(&purge_audit, AUDIT_ROWS, rt_retain_audit_s);
}

bool
rt_retention_purge_messages(void)
{
	return rt_retain_messages_s > 0 && purge(&purge_messages, MESSAGE_ROWS, rt_retain_messages_s);
}
