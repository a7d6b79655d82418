/* rescan.c: finds committed messages, edits and standings that the log does not have; see rescan.h.  It goes
 * through the connected users, then through the rooms and then through the edits and deletions, in pages by key,
 * so that a pass can be taken up again after a failed transaction.  When to rescan is feed.c's.
 *
 * Invariant: `at` passes a key only when all of that key is in the batch, and `kept` passes it only when that
 * batch has committed.  Undoing a batch forgets the page that was read; the next fill reads it again from `kept`.
 *
 * Standings come before messages, rooms before edits: whoever was removed must not get what follows, and an edit
 * must find its message.
 *
 * Runs in the relay, inside its transaction, and may raise.  Each query takes a snapshot of its own.  The pass
 * lives in its own context, freed as a whole.  Bounded by the sizes of the pages, except `reached`: one entry for
 * each room that had something missing, until feed.c has passed the records that the pass may have seen. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "extension/messages/query.h"
#include "rescan.h"
#include "bgworker/worker/version.h"

#define PAGE_USERS 500
#define PAGE_ROOMS 1000
#define PAGE_CHANGES 500
#define USER_ID_BYTES 128 /* a CHECK of rt.users */
#define TO_GATEWAYS "{\"gateway\":true}"

enum phase
{
	AT_LOSS, /* gateways are told of it first */
	IN_STANDINGS,
	IN_ROOMS,
	IN_CHANGES,
	DONE
};

/* What has been dealt with. */
struct position
{
	enum phase phase;
	char user_id[USER_ID_BYTES + 1]; /* IN_STANDINGS: up to this one */
	int64 room_id;                   /* IN_ROOMS: up to this one; IN_CHANGES: with seq, up to this message */
	int64 seq;
};

struct range
{
	int64 room_id;
	int64 from;
	int64 to;
};

struct reached
{
	int64 room_id; /* key */
	int64 seq;
};

struct rt_rescan
{
	MemoryContext context;
	struct position at;
	struct position kept; /* as of the last committed batch */
	struct range ranges[PAGE_ROOMS];
	int nranges;
	int next_range;
	bool last_page;
	HTAB *reached;
};

/* A join that saw this transaction is newer than what it tells. */
static struct rt_query find_standings = {
	.sql =
		"SELECT c.user_id, json_build_object('userId', c.user_id, "
		"'known', EXISTS (SELECT FROM rt.users u WHERE u.id = c.user_id), "
		"'rooms', ARRAY(SELECT m.room_id::text FROM rt.room_members m WHERE m.user_id = c.user_id), "
		"'participants', (SELECT coalesce(json_object_agg(p.id, p.socket_id), '{}') FROM rt.meeting_participants p "
		"WHERE p.user_id = c.user_id AND p.left_at IS NULL), "
		"'xid', pg_current_xact_id()::text)::text "
		"FROM (SELECT DISTINCT user_id FROM rt_private.connections WHERE user_id > $1 ORDER BY user_id LIMIT $2) c "
		"ORDER BY c.user_id",
	.nargs = 2,
	.types = {TEXTOID, INT8OID},
};

/* From the newest message down, the first that cannot be missing ends the search: commits are in the order of the
 * numbers.  Rooms of which the log holds nothing may have been restored from a dump, with old times. */
static struct rt_query find_rooms = {
	.sql =
		"SELECT r.id, greatest(l.seq, o.seq) + 1, r.last_seq FROM rt_private.relay_state s, rt.rooms r "
		"CROSS JOIN LATERAL (SELECT coalesce(max(e.seq), 0) AS seq FROM rt.events e "
		"WHERE e.room_id = r.id AND e.event = 'new-chat-message') l "
		"CROSS JOIN LATERAL (SELECT coalesce((SELECT m.seq FROM rt.messages m "
		"WHERE r.last_seq > l.seq AND m.room_id = r.id AND m.seq > l.seq "
		"AND (age(m.xmin) > age(s.horizon::xid) OR (l.seq = 0 AND m.created_at < s.horizon_at - interval '10 min')) "
		"ORDER BY m.seq DESC LIMIT 1), 0) AS seq) o "
		"WHERE r.id > $1 AND age(r.xmin) <= age(s.horizon::xid) AND r.last_seq > greatest(l.seq, o.seq) "
		"ORDER BY r.id LIMIT $2",
	.nargs = 2,
	.types = {INT8OID, INT8OID},
};
/* Edits, and deletions by UPDATE and by DELETE, of which the log holds nothing. */
static struct rt_query find_changes = {
	.sql = "SELECT c.room_id, c.seq, "
		   "CASE WHEN (c.m).deleted_at IS NULL THEN 'chat-message-edited' ELSE 'chat-message-deleted' END, "
		   "rt_private.change_payload(c.m, c.deleted_by)::text FROM ("
		   "SELECT m.room_id, m.seq, m AS m, NULL AS deleted_by, greatest(m.edited_at, m.deleted_at) AS at "
		   "FROM rt_private.relay_state s, rt.messages m "
		   "WHERE (m.edited_at IS NOT NULL OR m.deleted_at IS NOT NULL) "
		   "AND greatest(m.edited_at, m.deleted_at) >= s.horizon_at - interval '10 min' "
		   "AND age(m.xmin) <= age(s.horizon::xid) "
		   "UNION ALL "
		   "SELECT h.room_id, h.seq, h.m, d.deleted_by, d.deleted_at "
		   "FROM rt_private.relay_state s, rt.deleted_messages d, rt_private.history h "
		   "WHERE d.deleted_at >= s.horizon_at - interval '10 min' AND age(d.xmin) <= age(s.horizon::xid) "
		   "AND h.room_id = d.room_id AND h.seq = d.seq) c "
		   "WHERE (c.room_id, c.seq) > ($1, $2) "
		   "AND NOT EXISTS (SELECT FROM rt.events e WHERE e.room_id = c.room_id AND e.seq = c.seq "
		   "AND e.event IN ('chat-message-edited', 'chat-message-deleted') AND e.at >= c.at) "
		   "ORDER BY c.room_id, c.seq LIMIT $3",
	.nargs = 3,
	.types = {INT8OID, INT8OID, INT8OID},
};

/* Before 1.2. */
static struct rt_query find_changes_without_places = {
	.sql = "SELECT m.room_id, m.seq, "
		   "CASE WHEN m.deleted_at IS NULL THEN 'chat-message-edited' ELSE 'chat-message-deleted' END, "
		   "rt_private.change_payload(m)::text FROM rt_private.relay_state s, rt.messages m "
		   "WHERE (m.edited_at IS NOT NULL OR m.deleted_at IS NOT NULL) "
		   "AND greatest(m.edited_at, m.deleted_at) >= s.horizon_at - interval '10 min' "
		   "AND age(m.xmin) <= age(s.horizon::xid) AND (m.room_id, m.seq) > ($1, $2) "
		   "AND NOT EXISTS (SELECT FROM rt.events e WHERE e.room_id = m.room_id AND e.seq = m.seq "
		   "AND e.event IN ('chat-message-edited', 'chat-message-deleted') "
		   "AND e.at >= greatest(m.edited_at, m.deleted_at)) "
		   "ORDER BY m.room_id, m.seq LIMIT $3",
	.nargs = 3,
	.types = {INT8OID, INT8OID, INT8OID},
};

struct rt_rescan *
rt_rescan_new(MemoryContext parent, bool standings)
{
	MemoryContext context = AllocSetContextCreate(parent, "rt rescan", ALLOCSET_DEFAULT_SIZES);
	struct rt_rescan *r = MemoryContextAllocZero(context, sizeof(*r));
	HASHCTL ctl = {0};

	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(struct reached);
	ctl.hcxt = context;
	r->context = context;
	r->at.phase = r->kept.phase = standings ? AT_LOSS : IN_ROOMS;
	r->reached = hash_create("rt rooms rescanned", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return r;
}

void
rt_rescan_free(struct rt_rescan *r)
{
	MemoryContextDelete(r->context);
}

static int64
int64_column(uint64 row, int column)
{
	bool isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull));
}

static void
add_command(struct rt_batch *b, const char *name, const char *payload)
{
	const struct rt_batch_event e = {
		.name = name, .route = TO_GATEWAYS, .payload = payload, .at = GetCurrentTimestamp(), .logged = true};

	rt_batch_add(b, &e);
}

static void
add_standing(struct rt_rescan *r, struct rt_batch *b, uint64 row)
{
	HeapTuple tuple = SPI_tuptable->vals[row];

	add_command(b, "rt:standing", SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2));
	strlcpy(r->at.user_id, SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1), sizeof(r->at.user_id));
}

static void
fill_from_standings(struct rt_rescan *r, struct rt_batch *b)
{
	Datum values[2] = {CStringGetTextDatum(r->at.user_id), Int64GetDatum(PAGE_USERS)};
	uint64 n;
	uint64 i;

	SPI_connect();
	n = rt_query_run(&find_standings, values, NULL, false);
	for (i = 0; i < n && !rt_batch_is_full(b); i++)
		add_standing(r, b, i);
	SPI_finish();
	if (i == n && n < PAGE_USERS)
		r->at.phase = IN_ROOMS;
}

/* last_seq and the messages up to it were committed together, so whatever `reached` covers is visible to the
 * reads of the ranges.  `reached` is not undone with the page: the page is read again before the feed asks. */
static void
read_rooms(struct rt_rescan *r)
{
	Datum values[2] = {Int64GetDatum(r->at.room_id), Int64GetDatum(PAGE_ROOMS)};
	uint64 n;

	SPI_connect();
	n = rt_query_run(&find_rooms, values, NULL, false);
	for (uint64 i = 0; i < n; i++)
	{
		struct range *range = &r->ranges[i];
		struct reached *reached;

		range->room_id = int64_column(i, 1);
		range->from = int64_column(i, 2);
		range->to = int64_column(i, 3);
		reached = hash_search(r->reached, &range->room_id, HASH_ENTER, NULL);
		reached->seq = range->to;
	}
	SPI_finish();
	r->nranges = n;
	r->next_range = 0;
	r->last_page = n < PAGE_ROOMS;
}

static void
enter_changes(struct rt_rescan *r)
{
	r->at.phase = IN_CHANGES;
	r->at.room_id = 0;
	r->at.seq = 0;
}

static void
fill_from_rooms(struct rt_rescan *r, struct rt_batch *b)
{
	while (!rt_batch_is_full(b))
	{
		struct range *range;

		if (r->next_range == r->nranges)
		{
			if (r->last_page)
			{
				enter_changes(r);
				return;
			}
			read_rooms(r);
			continue;
		}
		range = &r->ranges[r->next_range];
		range->from = rt_batch_add_range(b, range->room_id, range->from, range->to, GetCurrentTimestamp());
		if (range->from <= range->to)
			return;
		r->at.room_id = range->room_id;
		r->next_range++;
	}
}

static void
add_change(struct rt_rescan *r, struct rt_batch *b, uint64 row)
{
	struct rt_batch_event e = {0};

	e.name = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 3);
	e.payload = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 4);
	e.room_id = r->at.room_id = int64_column(row, 1);
	e.seq = r->at.seq = int64_column(row, 2);
	e.at = GetCurrentTimestamp();
	e.logged = true;
	rt_batch_add(b, &e);
}

static void
fill_from_changes(struct rt_rescan *r, struct rt_batch *b)
{
	Datum values[3] = {Int64GetDatum(r->at.room_id), Int64GetDatum(r->at.seq), Int64GetDatum(PAGE_CHANGES)};
	uint64 n;
	uint64 i;

	SPI_connect();
	n = rt_query_run(rt_version_has_places() ? &find_changes : &find_changes_without_places, values, NULL, false);
	for (i = 0; i < n && !rt_batch_is_full(b); i++)
		add_change(r, b, i);
	SPI_finish();
	if (i == n && n < PAGE_CHANGES)
		r->at.phase = DONE;
}

bool
rt_rescan_fill(struct rt_rescan *r, struct rt_batch *b)
{
	if (r->at.phase == AT_LOSS)
	{
		add_command(b, "rt:lost", "{}");
		r->at.phase = IN_STANDINGS;
	}
	if (r->at.phase == IN_STANDINGS && !rt_batch_is_full(b))
		fill_from_standings(r, b);
	if (r->at.phase == IN_ROOMS && !rt_batch_is_full(b))
		fill_from_rooms(r, b);
	if (r->at.phase == IN_CHANGES && !rt_batch_is_full(b))
		fill_from_changes(r, b);
	return r->at.phase != DONE || rt_batch_count(b) > 0;
}

void
rt_rescan_keep(struct rt_rescan *r)
{
	r->kept = r->at;
}

void
rt_rescan_undo(struct rt_rescan *r)
{
	r->at = r->kept;
	r->nranges = 0;
	r->next_range = 0;
	r->last_page = false;
}

int64
rt_rescan_reached(const struct rt_rescan *r, int64 room_id)
{
	struct reached *reached = hash_search(r->reached, &room_id, HASH_FIND, NULL);

	return reached != NULL ? reached->seq : 0;
}
