/* retention.c: removes old events, messages and audit entries, a page at a time; see retention.h.  When, and in
 * which transaction, is relay.c's.
 *
 * The application may hold old messages: a table refers to them by a foreign key, a trigger raises or keeps the
 * row.  Then a page of rooms fails as a whole and is gone through room by room, each in a subtransaction; a room that
 * is held is skipped until the next pass, counted, and told once an hour.  Rows that somebody has locked wait for the
 * next pass; so does a room whose messages take rows of other tables along, where somebody has locked one of those.
 * Since a whole table may be locked, and the relay waits each time, a pass waits for few of these.
 *
 * Runs in the relay, inside the caller's transaction, and may raise; of a page only errors are caught that may be a
 * room's alone.  Row locks are those of DELETE, and last until that transaction ends.  `pass` is the process's, and a
 * rollback does not take it back: the next pass finds the rooms whose messages are still there. */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "extension/messages/query.h"
#include "extension/config/settings.h"
#include "retention.h"
#include "bgworker/worker/version.h"

#define LOG_ROWS 10000
/* Gateways read from the log what is too long for a notification, and what they missed: it is kept so long even where
 * nothing is recovered. */
#define LOG_MIN_S 60
#define MESSAGE_ROWS 1000
#define PAGE_ROOMS 1000
#define MOST_LOCKED 5 /* rooms and pages of a pass */
#define COMPLAIN_EVERY_MS 3600000
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
	.sql =
		"WITH page AS MATERIALIZED (SELECT r.id FROM rt.rooms r WHERE r.id > $3 ORDER BY r.id LIMIT $4), "
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
		"FROM rt.messages o WHERE o.room_id = e.id AND o.seq < e.seq ORDER BY o.seq LIMIT $1 "
		"FOR UPDATE SKIP LOCKED) m LIMIT $1), "
		"answers AS (UPDATE rt.messages a SET reply_to = NULL FROM old "
		"WHERE a.room_id = old.room_id AND a.reply_to = old.seq "
		"AND NOT EXISTS (SELECT FROM old o WHERE o.room_id = a.room_id AND o.seq = a.seq)), "
		"gone AS (DELETE FROM rt.messages m USING old WHERE m.room_id = old.room_id AND m.seq = old.seq RETURNING 1) "
		"SELECT (SELECT count(*) FROM old), (SELECT max(p.id) FROM page p), (SELECT count(*) FROM gone)",
	.nargs = 4,
	.types = {INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID},
};

static struct rt_query page_end = {
	.sql = "SELECT max(p.id) FROM (SELECT r.id FROM rt.rooms r WHERE r.id > $1 ORDER BY r.id LIMIT $2) p",
	.nargs = 2,
	.types = {INT8OID, INT8OID},
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
rt_retention_purge_log(rt_database *db)
{
	return purge(&purge_log, LOG_ROWS, Max(rt_recovery_window_s, LOG_MIN_S));
}

bool
rt_retention_purge_audit(rt_database *db)
{
	return rt_retain_audit_s > 0 && purge(&purge_audit, AUDIT_ROWS, rt_retain_audit_s);
}

/* Where the pass through the rooms has got to. */
static struct
{
	int64 room_id;    /* rooms up to this one are done */
	int64 one_by_one; /* up to this room each is a page of its own: the page that ends with it has failed */
	uint64 held;      /* rooms of this pass that could not be emptied */
	int locked;       /* how often this pass waited for a lock in vain */
	TimestampTz told; /* when the log was told last */
} pass;

/* What a page of rooms came to. */
struct page
{
	int64 last; /* the last room, 0: there is none */
	bool more;  /* some of their old messages are still there */
	bool kept;  /* a trigger has kept some of those that were to go */
};

/* Removes from up to so many rooms. */
static struct page
purge_page(int64 rooms)
{
	Datum values[4] = {Int64GetDatum(MESSAGE_ROWS), before(rt_retain_messages_s), Int64GetDatum(pass.room_id),
					   Int64GetDatum(rooms)};
	struct page p = {0};
	HeapTuple row;
	int64 old;
	bool isnull;

	SPI_connect();
	rt_query_run(&purge_messages, values, NULL, false);
	row = SPI_tuptable->vals[0];
	old = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));
	p.more = old >= MESSAGE_ROWS;
	p.kept = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &isnull)) < old;
	p.last = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull));
	if (isnull)
		p.last = 0;
	SPI_finish();
	return p;
}

static void
begin_pass(void)
{
	pass.room_id = 0;
	pass.one_by_one = 0;
	pass.held = 0;
	pass.locked = 0;
}

static int64
last_room_of_page(int64 rooms)
{
	Datum values[2] = {Int64GetDatum(pass.room_id), Int64GetDatum(rooms)};
	int64 last;
	bool isnull;

	SPI_connect();
	rt_query_run(&page_end, values, NULL, false);
	last = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return isnull ? 0 : last;
}

/* error: NULL where a trigger has kept rows. */
static void
complain(const ErrorData *error, int64 room_id)
{
	TimestampTz now = GetCurrentTimestamp();
	bool refers = error != NULL && error->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION;

	if (pass.told != 0 && !TimestampDifferenceExceeds(pass.told, now, COMPLAIN_EVERY_MS))
		return;
	pass.told = now;
	ereport(WARNING, (errcode(error != NULL ? error->sqlerrcode : ERRCODE_TRIGGERED_ACTION_EXCEPTION),
					  errmsg("old messages of room " INT64_FORMAT " cannot be removed: %s", room_id,
							 error != NULL ? error->message : "a trigger keeps them"),
					  error != NULL && error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
					  refers ? errhint("Give the foreign key an ON DELETE action. Other rooms are not affected.")
							 : errhint("Other rooms are not affected.")));
}

/* Not so: what the server or an operator stops, and locks, once there are many of them.  A trigger may raise what it
 * likes, and what is broken in one room's rows keeps the others' from nothing. */
static bool
may_be_of_one_room(int sqlstate)
{
	if (sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
		return pass.locked++ < MOST_LOCKED;
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK):
		case ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES):
		case ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION):
		case ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR):
			return false;
		default:
			return true;
	}
}

/* As purge_page(), in a subtransaction.  False: something holds one of the rows, and they are still there. */
static bool
try_page(int64 rooms, struct page *page)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		*page = purge_page(rooms);
		ReleaseCurrentSubTransaction();
		done = true;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (!may_be_of_one_room(error->sqlerrcode))
		{
			pass.locked = 0; /* the next attempt goes on with this page */
			ReThrowError(error);
		}
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		page->last = last_room_of_page(rooms);
		if (rooms == 1)
			complain(error, page->last);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (done && page->kept && rooms == 1)
		complain(NULL, page->last);
	return done && !page->kept;
}

/* False: the pass is over. */
static bool
purge_some(void)
{
	int64 rooms = pass.room_id < pass.one_by_one ? 1 : PAGE_ROOMS;
	struct page page = {0};

	if (try_page(rooms, &page))
	{
		if (page.last == 0)
			return false;
		if (!page.more)
			pass.room_id = page.last;
	}
	else if (rooms > 1)
		pass.one_by_one = page.last;
	else
	{
		pass.held++;
		pass.room_id = page.last;
	}
	return true;
}

static void
set_constraints(List *names, bool deferred)
{
	ConstraintsSetStmt *stmt = makeNode(ConstraintsSetStmt);

	stmt->constraints = names;
	stmt->deferred = deferred;
	AfterTriggerSetState(stmt);
}

/* A deferred foreign key must fail with the page that violates it, not with the whole transaction at its end.  Our
 * own deferred triggers lock the rooms' counters of changes, which is still for the end. */
static void
check_at_once(void)
{
	set_constraints(NIL, false);
	if (rt_version_has_places())
		set_constraints(list_make2(makeRangeVar("rt", "rt_changed", -1), makeRangeVar("rt_private", "rt_number", -1)),
						true);
}

/* Many at a time where they are single rooms: a transaction for each would take long. */
bool
rt_retention_purge_messages(rt_database *db)
{
	check_at_once();
	for (int i = 0; rt_retain_messages_s > 0 && i < 100; i++)
	{
		if (!purge_some())
			break;
		if (i == 99 || pass.room_id >= pass.one_by_one)
			return true;
	}
	pg_atomic_write_u64(&db->rooms_held, pass.held);
	begin_pass();
	return false;
}

bool
rt_retention_purge_places(rt_database *db)
{
	return rt_retain_messages_s > 0 && rt_version_has_places() &&
		   purge(&purge_places, MESSAGE_ROWS, rt_retain_messages_s);
}
