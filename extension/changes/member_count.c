/* member_count.c: remembers how many members a room has while a transaction changes them; see member_count.h and
 * schema/31_members.sql.
 *
 * Each event of a change says how many members the room has then.  To count them for each statement would take the
 * square of their number, so a count is kept for as long as the transaction lasts, and what the transaction adds and
 * removes is added to it.  What others commit meanwhile is seen at the next count, which a large room has after
 * changes for a 64th of it, and a small one (below 64) each time.
 *
 * Invariants: `log` holds each change that the transaction made, in order.  `marks` says how long it was before each
 * open subtransaction that appended to it.  When one aborts, its changes are taken back from the counts; a count that
 * was made within it holds them, too.
 *
 * Runs in the backend that writes, in its transaction; its memory is in TopTransactionContext.  Counting may raise.
 * What runs at the end of a subtransaction neither allocates nor raises. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/memutils.h"

#include "extension/messages/query.h"
#include "marks.h"
#include "member_count.h"

PG_FUNCTION_INFO_V1(rt_count_members);
PG_FUNCTION_INFO_V1(rt_forget_member_counts);

#define FIRST_SIZE 8
#define FIRST_ROOMS 2
#define SHARE_UNSEEN 64

struct room
{
	int64 id; /* key */
	char status;
	int64 members;
	int64 since; /* changes since it was counted */
};

#define SH_PREFIX counts
#define SH_ELEMENT_TYPE struct room
#define SH_KEY_TYPE int64
#define SH_KEY id
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) &(key), sizeof(key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct change
{
	int64 room_id;
	int64 delta;
};

/* The open transaction's. */
static struct
{
	counts_hash *rooms; /* NULL: none yet */
	struct change *log;
	Size size;
	Size logged;
} counts;

static struct rt_marks marks;

static struct rt_query count = {
	"SELECT pg_catalog.count(*) FROM rt.room_members AS m WHERE m.room_id OPERATOR(pg_catalog.=) $1",
	1,
	{INT8OID},
	NULL,
};

static void
begin(void)
{
	counts.size = FIRST_SIZE;
	counts.log = MemoryContextAlloc(TopTransactionContext, counts.size * sizeof(*counts.log));
	/* Last: it says that all is there. */
	counts.rooms = counts_create(TopTransactionContext, FIRST_ROOMS, NULL);
}

static void
append(int64 room_id, int64 delta)
{
	rt_marks_save(&marks, counts.logged, 0);
	if (counts.logged == counts.size)
	{
		counts.log = repalloc_huge(counts.log, counts.size * 2 * sizeof(*counts.log));
		counts.size *= 2;
	}
	counts.log[counts.logged].room_id = room_id;
	counts.log[counts.logged++].delta = delta;
}

static int64
count_all(int64 room_id)
{
	Datum values[1] = {Int64GetDatum(room_id)};
	bool is_null;
	int64 members;

	SPI_connect();
	(void) rt_query_run(&count, values, NULL, false);
	members = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	SPI_finish();
	return members;
}

static bool
is_recent(const struct room *room)
{
	return room->since < room->members / SHARE_UNSEEN;
}

static int64
count_members(int64 room_id, int64 delta)
{
	struct room *room;
	int64 members;
	bool found;

	if (counts.rooms == NULL)
		begin();
	room = counts_lookup(counts.rooms, room_id);
	if (room != NULL && is_recent(room))
	{
		append(room_id, delta);
		room->members += delta;
		room->since++;
		return room->members;
	}
	members = count_all(room_id); /* may raise; then there must be no change yet to take back */
	append(room_id, delta);
	room = counts_insert(counts.rooms, room_id, &found);
	room->members = members;
	room->since = 0;
	return members;
}

/* rt_private.count_members(room_id bigint, delta bigint): members, of which the statement has added delta */
Datum
rt_count_members(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(count_members(PG_GETARG_INT64(0), PG_GETARG_INT64(1)));
}

/* rt_private.forget_member_counts(): of a TRUNCATE no change is told. */
Datum
rt_forget_member_counts(PG_FUNCTION_ARGS)
{
	if (counts.rooms != NULL)
		counts_reset(counts.rooms);
	PG_RETURN_VOID();
}

static void
take_back(const Size *sizes)
{
	while (counts.logged > sizes[0])
	{
		struct change *c = &counts.log[--counts.logged];
		struct room *room = counts_lookup(counts.rooms, c->room_id);

		if (room != NULL)
			room->members -= c->delta;
	}
}

static void
forget(void)
{
	memset(&counts, 0, sizeof(counts));
}

void
rt_member_count_install(void)
{
	marks.take_back = take_back;
	marks.forget = forget;
	rt_marks_install(&marks);
}
