/* retention.c: see retention.h. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "extension/messages/query.h"
#include "extension/config/settings.h"
#include "retention.h"
#include "bgworker/worker/version.h"

#define LOG_ROWS 10000
#define MESSAGE_ROWS 1000
#define PAGE_ROOMS 1000
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

/* Times rise with the numbers, so the old messages of a room are its first ones, and the primary key finds them; an
 * index on the time would be written for each message, and a BRIN index comes to nothing once space is used again.
 * Of each room of a page (rooms above $3, $4 of them) those that precede the first young one; $1 at most.
 * Answers that stay lose their reference to what goes. */
static struct rt_query purge_messages = {
	.sql = "WITH page AS MATERIALIZED (SELECT r.id FROM rt.rooms r WHERE r.id > $3 ORDER BY r.id LIMIT $4), "
		   "heads AS MATERIALIZED (SELECT p.id FROM page p WHERE "
		   "(SELECT m.created_at FROM rt.messages m WHERE m.room_id = p.id ORDER BY m.seq LIMIT 1) < $2), "
		   "ends AS MATERIALIZED (SELECT h.id, coalesce("
		   "(SELECT f.seq FROM (SELECT m.seq, m.created_at FROM rt.messages m WHERE m.room_id = h.id ORDER BY m.seq "
		   "LIMIT $1) f "
		   "WHERE f.created_at >= $2 LIMIT 1), "
		   "(SELECT max(f.seq) + 1 FROM (SELECT m.seq FROM rt.messages m WHERE m.room_id = h.id ORDER BY m.seq LIMIT "
		   "$1) f)) "
		   "AS seq FROM heads h), "
		   "old AS MATERIALIZED (SELECT m.room_id, m.seq FROM ends e CROSS JOIN LATERAL (SELECT o.room_id, o.seq "
		   "FROM rt.messages o WHERE o.room_id = e.id AND o.seq < e.seq ORDER BY o.seq LIMIT $1) m LIMIT $1), "
		   "answers AS (UPDATE rt.messages a SET reply_to = NULL FROM old "
		   "WHERE a.room_id = old.room_id AND a.reply_to = old.seq "
		   "AND NOT EXISTS (SELECT FROM old o WHERE o.room_id = a.room_id AND o.seq = a.seq)), "
		   "gone AS (DELETE FROM rt.messages m USING old WHERE m.room_id = old.room_id AND m.seq = old.seq) "
		   "SELECT (SELECT count(*) FROM old), (SELECT max(p.id) FROM page p)",
	.nargs = 4,
	.types = {INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID},
};

static struct rt_query purge_places = {
	.sql = "DELETE FROM rt.deleted_messages WHERE ctid = ANY (ARRAY(SELECT d.ctid FROM rt.deleted_messages d "
		   "WHERE d.created_at < $2 ORDER BY d.created_at LIMIT $1))",
	.nargs = 2,
	.types = {INT8OID, TIMESTAMPTZOID},
};

static struct rt_query purge_audit = {
	.sql = "DELETE FROM rt.audit WHERE ctid = ANY (ARRAY(SELECT a.ctid FROM rt.audit a WHERE a.at < $2 ORDER BY a.at "
		   "LIMIT $1))",
	.nargs = 2,
	.types = {INT8OID, TIMESTAMPTZOID},
};

static Datum
before(int age_s)
{
	return TimestampTzGetDatum(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -(int64) age_s * 1000));
}

static bool
purge(struct rt_query *query, int64 rows, int age_s)
{
	Datum values[2] = {Int64GetDatum(rows), before(age_s)};
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

/* Sets *room_id to the last room of the page, or leaves it if some of the page's messages are still there. */
static bool
purge_page(int64 *room_id)
{
	Datum values[4] = {Int64GetDatum(MESSAGE_ROWS), before(rt_retain_messages_s), Int64GetDatum(*room_id),
					   Int64GetDatum(PAGE_ROOMS)};
	HeapTuple row;
	bool isnull;
	bool more;
	int64 last;

	SPI_connect();
	rt_query_run(&purge_messages, values, NULL, false);
	row = SPI_tuptable->vals[0];
	more = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull)) >= MESSAGE_ROWS;
	last = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull));
	SPI_finish();
	if (isnull)
		return false;
	if (!more)
		*room_id = last;
	return true;
}

bool
rt_retention_purge_messages(void)
{
	static int64 room_id = 0; /* rooms up to this one are done */

	if (rt_retain_messages_s > 0 && purge_page(&room_id))
		return true;
	room_id = 0;
	return rt_retain_messages_s > 0 && rt_version_has_places() &&
		   purge(&purge_places, MESSAGE_ROWS, rt_retain_messages_s);
}
