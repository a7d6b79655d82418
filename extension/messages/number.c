/* number.c: gives messages their numbers; see number.h.  The row of rt.rooms is room.c's.
 *
 * Of each room that the transaction wrote to there is a chain of versions, one for each open subtransaction that
 * changed it: when one aborts, what it knew goes with it, as its changes of rt.rooms do.
 *
 * Invariants: `versions` is sorted by level, highest first.  A room has one version at most for each level, and
 * its top has the highest.  Only a room's top is in `open`, and it is there if, and only if, it is held.  While
 * held, `pending` is 0 or `row.last`.  No version is held between statements: rt_number_settle() ends that at the end
 * of each, and the commit is refused where it did not run.
 *
 * rt_number_settle() writes last_seq, too, until the transaction has written MOST_WRITTEN versions of the room's row:
 * whoever looks for the row by its key walks through all of them.  From then on the row is left behind: it gets the
 * last number before the commit or PREPARE TRANSACTION, and rt_private.last_seq() tells it until then.  A row that is
 * not held says `row.stored`, unless somebody else has changed it in this transaction, and is to say `row.last`;
 * these differ only where `row.behind` is set.  A row that somebody has changed is read and written anew with the
 * next number.
 *
 * Locks: the room's row, from the first number until the transaction has ended.  That makes numbers follow the
 * order of commits, and senders to one room wait for each other.  A transaction that writes to several rooms
 * locks them in the order of its rows; two that cross are a deadlock, which the server resolves by aborting one.
 *
 * Runs in the backend that writes, in its transaction; its memory is in TopTransactionContext.  Taking,
 * confirming and settling may raise.  What runs at the end of a subtransaction neither allocates nor raises. */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "number.h"
#include "order.h"
#include "room.h"
#include "row.h"

PG_FUNCTION_INFO_V1(rt_last_seq);

struct version
{
	int64 room_id;
	int level;             /* nesting level of the subtransaction that made it */
	struct version *older; /* of a lower level, or NULL */
	dlist_node by_age;
	dlist_node by_open;     /* in `open` if held */
	bool held;              /* numbers are counted here, in row.last; else it is as above */
	int64 pending;          /* held: the number of which it is not known whether it was used; 0: none */
	int64 first;            /* the first number that the transaction gave out; 0: none */
	int64 known;            /* the room has got at least so far */
	TimestampTz pending_at; /* the time of the pending message */
	TimestampTz reached;    /* known > 0: newest_at is at least this */
	int64 confirmed;        /* the highest number that rt_number_confirm() was told of */
	struct rt_room_row row; /* has_left: not acted upon yet */
};

struct room
{
	int64 id; /* key */
	struct version *top;
	char status;
};

#define SH_PREFIX rooms
#define SH_ELEMENT_TYPE struct room
#define SH_KEY_TYPE int64
#define SH_KEY id
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) &(key), sizeof(key))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Mostly a transaction writes to one. */
#define FIRST_ROOMS 2

/* Versions of a room's row: few enough to walk through for each statement that looks for the row, and so many that
 * the row is never behind in most transactions. */
#define MOST_WRITTEN 100

/* The open transaction's; its memory is the transaction's. */
static struct
{
	rooms_hash *rooms;   /* NULL: no message yet */
	dlist_head versions; /* newest first, and so levels fall */
	dlist_head open;     /* those that rt_number_settle() must look at */
	bool behind;         /* there are, or have been, rows that are behind */
} numbers;

static void
start_rooms(void)
{
	numbers.rooms = rooms_create(TopTransactionContext, FIRST_ROOMS, NULL);
	dlist_init(&numbers.versions);
	dlist_init(&numbers.open);
	numbers.behind = false;
}

static struct version *
find_version(int64 room_id)
{
	struct room *room;

	if (numbers.rooms == NULL)
		return NULL;
	room = rooms_lookup(numbers.rooms, room_id);
	return room != NULL ? room->top : NULL;
}

/* The version of the current subtransaction, made if need be. */
static struct version *
own_version(int64 room_id)
{
	int level = GetCurrentTransactionNestLevel();
	struct version *v = find_version(room_id);
	struct version *own;
	struct room *room;
	bool found;

	if (v != NULL && v->level == level)
		return v;
	if (numbers.rooms == NULL)
		start_rooms();
	own = MemoryContextAllocZero(TopTransactionContext, sizeof(*own));
	room = rooms_insert(numbers.rooms, room_id, &found);
	if (v != NULL)
	{
		*own = *v;
		if (v->held)
		{
			dlist_delete(&v->by_open);
			dlist_push_head(&numbers.open, &own->by_open);
		}
	}
	own->room_id = room_id;
	own->level = level;
	own->older = v;
	dlist_push_head(&numbers.versions, &own->by_age);
	room->top = own;
	return own;
}

static bool
is_row(Relation table, int64 room_id, int64 seq)
{
	Datum keys[2] = {Int64GetDatum(room_id), Int64GetDatum(seq)};
	struct rt_row row;
	bool found = rt_row_find(&row, table, SnapshotSelf, 2, keys);

	rt_row_done(&row);
	return found;
}

/* Whether there is such a row, the running statement's own included, or its place: a trigger may have deleted it
 * already. */
static bool
is_used(Relation messages, int64 room_id, int64 seq)
{
	Relation deleted;
	bool used = is_row(messages, room_id, seq);

	if (used)
		return true;
	deleted = rt_row_try_open_table("deleted_messages", AccessShareLock);
	if (deleted == NULL)
		return false;
	used = is_row(deleted, room_id, seq);
	table_close(deleted, NoLock);
	return used;
}

static void
hold(struct version *v, int64 seq, TimestampTz created_at)
{
	v->held = true;
	v->pending = seq;
	v->pending_at = created_at;
	v->known = seq;
	v->reached = v->row.newest;
	if (v->first == 0)
		v->first = seq;
	dlist_push_head(&numbers.open, &v->by_open);
}

/* The row has been written often enough: the number is counted here alone. */
static void
leave_behind(struct version *v, TimestampTz *created_at)
{
	if (*created_at == RT_ORDER_NONE)
		*created_at = rt_order_now(v->row.newest);
	v->row.behind = true;
	v->row.last++;
	v->row.last_at = GetCurrentTimestamp();
	numbers.behind = true;
}

static int64
take_first(int64 room_id, TimestampTz *created_at)
{
	struct version *v = own_version(room_id);

	if (v->row.written >= MOST_WRITTEN && rt_room_is_unchanged(room_id, &v->row, &v->row.has_left))
		leave_behind(v, created_at);
	else
		(void) rt_room_take_seq(room_id, created_at, &v->row);
	hold(v, v->row.last, *created_at);
	return v->row.last;
}

static void
use_pending(struct version *v)
{
	v->pending = 0;
	v->row.newest = rt_order_add(v->row.newest, v->pending_at);
}

int64
rt_number_take(Relation messages, int64 room_id, TimestampTz *created_at)
{
	struct version *v = find_version(room_id);

	if (v == NULL || !v->held)
		return take_first(room_id, created_at);
	v = own_version(room_id);
	if (v->pending != 0 && is_used(messages, room_id, v->pending))
		use_pending(v);
	if (v->pending == 0)
		v->row.last++;
	if (*created_at == RT_ORDER_NONE)
		*created_at = rt_order_now(v->row.newest);
	v->pending = v->row.last;
	v->pending_at = *created_at;
	return v->pending;
}

int64
rt_number_take_used(int64 room_id, TimestampTz created_at)
{
	struct version *v = find_version(room_id);

	if (v == NULL || !v->held)
	{
		(void) take_first(room_id, &created_at);
		v = find_version(room_id);
	}
	else if (v->pending != 0)
		elog(ERROR, "numbers taken within a statement that inserts messages");
	else
	{
		v = own_version(room_id);
		v->row.last++;
		v->pending_at = created_at;
	}
	use_pending(v);
	return v->row.last;
}

static void
lose_order(struct version *v)
{
	v->reached = RT_ORDER_LOST;
	if (v->held)
		v->row.newest = RT_ORDER_LOST; /* it is written with the numbers */
	else
		rt_room_lose_order(v->room_id, &v->row);
}

static void
check_order(Relation messages, struct version *v, int64 seq, TimestampTz created_at)
{
	if (v->reached < RT_ORDER_UNKNOWN &&
		(created_at > v->reached || !rt_order_fits(messages, v->room_id, seq, created_at)))
		lose_order(own_version(v->room_id));
}

/* The reference to a room whose number was taken is not looked at (reference.c), but it may have been deleted since.
 */
static bool
is_still_there(const struct version *v)
{
	return v->first == 0 || rt_room_is_unchanged(v->room_id, &v->row, NULL);
}

void
rt_number_check(Relation messages, int64 room_id, int64 seq, TimestampTz created_at)
{
	struct version *v = find_version(room_id);
	TimestampTz newest;
	int64 last;

	if (seq <= 0)
		ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION), errmsg("seq of a message must be positive")));
	if (v != NULL && seq <= Max(v->known, v->held ? v->row.last : 0) && created_at <= v->reached && is_still_there(v))
	{
		check_order(messages, v, seq, created_at);
		return;
	}
	last = rt_room_read(room_id, v != NULL ? &v->row : NULL, &newest);
	if (seq > last)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("message number " INT64_FORMAT " is above the last one of its room", seq),
						errdetail("The last_seq of room " INT64_FORMAT " is " INT64_FORMAT ".", room_id, last),
						errhint("Omit seq to have it assigned. To restore messages, load rt.rooms first.")));
	v = own_version(room_id);
	v->known = last;
	v->reached = newest;
	check_order(messages, v, seq, created_at);
}

int64
rt_number_last(int64 room_id)
{
	struct version *v = find_version(room_id);

	return rt_room_read(room_id, v != NULL ? &v->row : NULL, NULL);
}

/* rt_private.last_seq(room_id bigint, stored bigint) */
Datum
rt_last_seq(PG_FUNCTION_ARGS)
{
	const struct version *v = find_version(PG_GETARG_INT64(0));
	int64 stored = PG_GETARG_INT64(1);

	PG_RETURN_INT64(v != NULL && v->row.behind && v->row.stored == stored ? v->row.last : stored);
}

bool
rt_number_is_taken_in(int64 room_id)
{
	struct version *v = find_version(room_id);

	return v != NULL && v->first != 0;
}

bool
rt_number_hides(int64 room_id)
{
	struct version *v = find_version(room_id);

	return v != NULL && v->row.hides;
}

bool
rt_number_take_has_left(int64 room_id)
{
	struct version *v = find_version(room_id);

	if (v == NULL || !v->row.has_left)
		return false;
	own_version(room_id)->row.has_left = false;
	return true;
}

bool
rt_number_confirm(int64 room_id, int64 seq, bool *late)
{
	struct version *v = find_version(room_id);

	if (v == NULL)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("a trigger moved a message to another room after its number was assigned"),
						errhint("Give that trigger a name that sorts before \"zz_rt_before_insert\".")));
	if (v->first == 0 || seq < v->first)
		return false;
	v = own_version(room_id);
	if (v->held && v->pending == seq)
		use_pending(v);
	*late = seq < v->confirmed;
	v->confirmed = Max(v->confirmed, seq);
	return true;
}

/* The search reads of the row that the order is lost, so that does not wait. */
static bool
may_stay_behind(const struct rt_room_row *row)
{
	return row->written >= MOST_WRITTEN && row->last >= row->stored &&
		   (row->newest != RT_ORDER_LOST || row->stored_newest == RT_ORDER_LOST);
}

static void
settle_row(int64 room_id, struct rt_room_row *row)
{
	if (row->last == row->stored && row->newest == row->stored_newest)
		row->behind = false;
	else if (!may_stay_behind(row))
		rt_room_set(room_id, row);
	else if (!row->behind)
	{
		row->behind = true;
		row->last_at = GetCurrentTimestamp();
		numbers.behind = true;
	}
}

static void
settle_room(Relation messages, struct version *v)
{
	v = own_version(v->room_id);
	if (v->pending != 0 && is_used(messages, v->room_id, v->pending))
		use_pending(v);
	else if (v->pending != 0)
		v->row.last = v->pending - 1;
	v->pending = 0;
	settle_row(v->room_id, &v->row);
	v->held = false;
	v->known = v->row.last;
	v->reached = v->row.newest;
	dlist_delete(&v->by_open);
}

void
rt_number_settle(Relation messages)
{
	if (numbers.rooms == NULL)
		return;
	while (!dlist_is_empty(&numbers.open))
		settle_room(messages, dlist_head_element(struct version, by_open, &numbers.open));
}

static void
merge_into_parent(int level)
{
	dlist_node *node = dlist_is_empty(&numbers.versions) ? NULL : dlist_head_node(&numbers.versions);

	while (node != NULL)
	{
		struct version *v = dlist_container(struct version, by_age, node);
		struct version *older = v->older;

		if (v->level < level)
			return;
		v->level = level - 1;
		if (older != NULL && older->level == level - 1)
		{
			v->older = older->older;
			dlist_delete(&older->by_age);
			pfree(older);
		}
		node = dlist_has_next(&numbers.versions, node) ? dlist_next_node(&numbers.versions, node) : NULL;
	}
}

static void
restore_older(struct version *v)
{
	struct room *room = rooms_lookup(numbers.rooms, v->room_id);

	dlist_delete(&v->by_age);
	if (v->held)
		dlist_delete(&v->by_open);
	if (v->older == NULL)
		rooms_delete(numbers.rooms, v->room_id);
	else
	{
		room->top = v->older;
		if (v->older->held)
			dlist_push_head(&numbers.open, &v->older->by_open);
	}
	pfree(v);
}

static void
drop_aborted(int level)
{
	while (!dlist_is_empty(&numbers.versions))
	{
		struct version *v = dlist_head_element(struct version, by_age, &numbers.versions);

		if (v->level < level)
			return;
		restore_older(v);
	}
}

/* The transaction has no subtransaction any more. */
static void
catch_up(void)
{
	dlist_iter iter;

	dlist_foreach(iter, &numbers.versions)
	{
		struct version *v = dlist_container(struct version, by_age, iter.cur);

		if (v->row.behind)
			rt_room_catch_up(v->room_id, &v->row);
	}
}

static void
before_commit(void)
{
	if (!dlist_is_empty(&numbers.open))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("message numbers were assigned but not confirmed"),
						errhint("Enable all triggers of table rt.messages, or none.")));
	if (numbers.behind)
		catch_up();
}

static void
on_transaction(XactEvent event, void *arg)
{
	if (numbers.rooms == NULL)
		return;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		before_commit();
	else
		numbers.rooms = NULL;
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (numbers.rooms == NULL)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		merge_into_parent(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		drop_aborted(GetCurrentTransactionNestLevel());
}

void
rt_number_install(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}
