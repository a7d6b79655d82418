/* search_walk.c: a page of a search, newest first, which stops where the page is full.
 *
 * The rooms are walked from their newest message backwards, by the primary key, and always that room which may have
 * the newest unseen message: its `bound`.  In a room times rise with numbers, for only such rooms are given
 * (order.h), so the bound is the time of what was seen last.  Once a page is full and all bounds are older than its
 * last hit, the page is exact.
 *
 * At first each message is read and compared, for as long as that has taken less than the index would, as far as
 * what was compared tells.  That fills the page of a word that is in each thousandth message.  Of a rarer one the
 * index tells the places (a bitmap), and only entries of the primary key are compared with these: an entry costs a
 * fraction of a microsecond, and a message is read only if it matches.  A word that is so rare that reading all
 * matches is cheaper is left to rt_private.search_index(), as are rooms whose times do not rise.
 *
 * Runs in the backend that searches, under its active snapshot, and reads only.  Locks: AccessShareLock on the table
 * and two of its indexes, until the transaction ends.  Allocates in the caller's context: an entry of 48 bytes for
 * each page of the table with a match, and what the index scan needs, at most work_mem. */
#include "postgres.h"

#include "access/genam.h"
#include "access/gin.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "nodes/tidbitmap.h"
#include "storage/bufmgr.h"
#include "tsearch/ts_utils.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "row.h"
#include "search.h"

#define MATCHES_STRATEGY 1 /* @@ in tsvector_ops */

/* Costs count in the time that it takes to look at an entry of the primary key, about 0.3 us. */
#define COST_MESSAGE 16 /* to read one and compare it */
#define COST_BYTES 64   /* of a long one so many bytes cost as an entry */
#define COST_MATCH 10   /* what search_index() spends on a match */
#define COST_INDEX 5000 /* and besides */
#define COST_PLACE 1    /* to read an entry of the search index and intersect it */
#define COST_BITMAP 3   /* to read an entry of the search index and keep its place */

#define TRIAL_MESSAGES 300 /* are compared before anything is estimated */
#define READING_SHARE 0.5
#define PLACES_SKIPPED 8 /* to a place of the rarest word so many of the others are read at most */

/* By how much the walk must promise to be cheaper than search_index(): the promise is an estimate, and what was spent
 * in vain comes on top. */
#define WALKING_GAIN 1.3

#define READING_STEP 8 /* entries of a room at a time */
#define WALKING_STEP_MAX 256
#define GALLOP_END 64 /* entries that are walked rather than halved */

#define ROWS_A_PAGE 50

#define PAGE_WORDS (MaxHeapTuplesPerPage / 64 + 1)

struct heap_page
{
	BlockNumber block; /* key */
	char status;
	bool all; /* the bitmap lost its rows */
	uint64 rows[PAGE_WORDS];
};

#define SH_PREFIX pages
#define SH_ELEMENT_TYPE struct heap_page
#define SH_KEY_TYPE BlockNumber
#define SH_KEY block
#define SH_HASH_KEY(tb, key) murmurhash32(key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct room
{
	int64 id;
	int64 hidden;      /* messages up to this number are not the reader's */
	int64 next;        /* those up to this number have not been looked at */
	TimestampTz bound; /* nor is any of them newer */
	TimestampTz seen;  /* time of the oldest message that was */
};

struct hit
{
	ItemPointerData tid;
	TimestampTz created_at;
	int64 room_id;
	int64 seq;
};

struct filter
{
	TSQuery words;
	const text *sender; /* NULL: any */
	TimestampTz before; /* all three: infinite if not asked for */
	TimestampTz after;
	TimestampTz at; /* with room and seq the last hit of the page before */
	int64 room_id;
	int64 seq;
};

struct walk
{
	struct filter filter;
	Relation messages;
	Relation key;
	IndexScanDesc scan;
	TupleTableSlot *slot;
	AttrNumber created_at, content, sender_id, deleted_at;
	struct room *rooms;
	binaryheap *heap;  /* of those rooms that are not finished; the highest bound first */
	pages_hash *pages; /* NULL: not asked yet */
	struct hit *hits;  /* sorted */
	int nhits;
	int most;
	int step;
	int compared; /* messages with the words, */
	int *counts;  /* and how many of them had each, before the index was asked */
	int64 spent;
	bool disordered;
};

PG_FUNCTION_INFO_V1(rt_search_walk);

/* ---- the primary key ---------------------------------------------------------------- */

static void
seek(struct walk *w, int64 room_id, int64 seq)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(room_id));
	ScanKeyInit(&keys[1], 2, BTLessEqualStrategyNumber, F_INT8LE, Int64GetDatum(seq));
	index_rescan(w->scan, keys, 2, NULL, 0);
}

/* The next entry, downwards; its number in *seq. */
static ItemPointer
next_entry(struct walk *w, int64 *seq)
{
	ItemPointer tid = index_getnext_tid(w->scan, BackwardScanDirection);
	bool isnull;

	w->spent++;
	if (tid != NULL)
		*seq = DatumGetInt64(index_getattr(w->scan->xs_itup, 2, w->scan->xs_itupdesc, &isnull));
	return tid;
}

static TimestampTz
time_of(struct walk *w)
{
	bool isnull;

	return DatumGetTimestampTz(slot_getattr(w->slot, w->created_at, &isnull));
}

/* The newest visible message up to a number. */
static bool
probe(struct walk *w, const struct room *room, int64 upto, int64 *seq, TimestampTz *at)
{
	w->spent += COST_MESSAGE;
	seek(w, room->id, upto);
	while (next_entry(w, seq) != NULL)
	{
		if (*seq <= room->hidden)
			return false;
		if (!index_fetch_heap(w->scan, w->slot))
			continue;
		*at = time_of(w);
		return true;
	}
	return false;
}

/* ---- what matches -------------------------------------------------------------------- */

static bool
is_behind_cursor(const struct filter *f, TimestampTz created_at, const struct room *room, int64 seq)
{
	if (created_at != f->at)
		return created_at < f->at;
	return room->id > f->room_id || (room->id == f->room_id && seq < f->seq);
}

static bool
is_from(struct walk *w, const text *sender)
{
	bool isnull;
	Datum value = slot_getattr(w->slot, w->sender_id, &isnull);
	const text *id = isnull ? NULL : DatumGetTextPP(value);

	return id != NULL && VARSIZE_ANY_EXHDR(id) == VARSIZE_ANY_EXHDR(sender) &&
		   memcmp(VARDATA_ANY(id), VARDATA_ANY(sender), VARSIZE_ANY_EXHDR(id)) == 0;
}

static bool
has_words(struct walk *w)
{
	bool isnull;
	text *content = DatumGetTextPP(slot_getattr(w->slot, w->content, &isnull));

	w->spent += COST_MESSAGE + VARSIZE_ANY_EXHDR(content) / COST_BYTES;
	w->compared++;
	return rt_search_matches(w->filter.words, content, w->pages == NULL ? w->counts : NULL);
}

static bool
matches(struct walk *w, const struct room *room, int64 seq, TimestampTz created_at)
{
	const struct filter *f = &w->filter;

	if (created_at >= f->before || created_at <= f->after || !is_behind_cursor(f, created_at, room, seq))
		return false;
	if (!slot_attisnull(w->slot, w->deleted_at) || (f->sender != NULL && !is_from(w, f->sender)))
		return false;
	return has_words(w);
}

/* By time, the newest first; then by room; then the highest number first. */
static bool
comes_before(const struct hit *a, const struct hit *b)
{
	if (a->created_at != b->created_at)
		return a->created_at > b->created_at;
	return a->room_id != b->room_id ? a->room_id < b->room_id : a->seq > b->seq;
}

/* Keeps the first w->most of them. */
static void
add_hit(struct walk *w, const struct hit *hit)
{
	int i = w->nhits;

	if (i == w->most && !comes_before(hit, &w->hits[i - 1]))
		return;
	if (i == w->most)
		i--;
	else
		w->nhits++;
	for (; i > 0 && comes_before(hit, &w->hits[i - 1]); i--)
		w->hits[i] = w->hits[i - 1];
	w->hits[i] = *hit;
}

static bool
may_match(struct walk *w, ItemPointer tid)
{
	struct heap_page *page;
	int row = ItemPointerGetOffsetNumber(tid);

	if (w->pages == NULL)
		return true;
	page = pages_lookup(w->pages, ItemPointerGetBlockNumber(tid));
	return page != NULL && (page->all || (page->rows[row / 64] & (UINT64CONST(1) << (row % 64))) != 0);
}

/* ---- rooms --------------------------------------------------------------------------- */

static int
compare_bounds(Datum a, Datum b, void *arg)
{
	TimestampTz l = ((struct room *) DatumGetPointer(a))->bound;
	TimestampTz r = ((struct room *) DatumGetPointer(b))->bound;

	return l > r ? 1 : l < r ? -1 : 0;
}

/* Moves to a number a little above the newest message that is not later than the limit. */
static void
go_to_time(struct walk *w, struct room *room, TimestampTz limit)
{
	int64 low = room->hidden;
	TimestampTz at;
	int64 seq;

	while (room->next - low > GALLOP_END)
	{
		int64 middle = low + (room->next - low) / 2;

		if (probe(w, room, middle, &seq, &at) && at > limit)
			room->next = seq;
		else
			low = middle;
	}
	room->bound = Min(room->bound, limit);
}

/* False if nothing of it can be on the page. */
static bool
start_room(struct walk *w, struct room *room)
{
	TimestampTz limit = Min(w->filter.before, w->filter.at);

	room->seen = DT_NOEND;
	if (!probe(w, room, PG_INT64_MAX, &room->next, &room->bound))
		return false;
	if (room->bound <= w->filter.after)
		return false;
	if (room->bound > limit)
		go_to_time(w, room, limit);
	return true;
}

/* The row that w->scan is at.  False: it is not visible. */
static bool
look_at(struct walk *w, struct room *room, int64 seq, bool compare)
{
	struct hit hit;

	if (!index_fetch_heap(w->scan, w->slot))
		return false;
	hit.created_at = time_of(w);
	w->disordered |= hit.created_at > room->seen;
	room->seen = hit.created_at;
	room->bound = Min(room->bound, room->seen);
	if (!compare || !matches(w, room, seq, hit.created_at))
		return true;
	hit.tid = w->slot->tts_tid;
	hit.room_id = room->id;
	hit.seq = seq;
	add_hit(w, &hit);
	return true;
}

/* Goes a step down a room.  The last message of the step is read in any case, since its time is the new bound.  False
 * if the room is at its end. */
static bool
step_down(struct walk *w, struct room *room)
{
	ItemPointer tid;
	int64 seq;
	int n = 0;

	seek(w, room->id, room->next);
	while ((tid = next_entry(w, &seq)) != NULL)
	{
		bool is_candidate = may_match(w, tid);

		if (seq <= room->hidden)
			return false;
		room->next = seq - 1;
		if (++n < w->step && !is_candidate)
			continue;
		if (look_at(w, room, seq, is_candidate) && n >= w->step)
			return room->bound > w->filter.after;
	}
	return false;
}

static bool
is_done(const struct walk *w)
{
	const struct room *room;

	if (binaryheap_empty(w->heap))
		return true;
	room = (struct room *) DatumGetPointer(binaryheap_first(w->heap));
	return w->nhits == w->most && room->bound < w->hits[w->most - 1].created_at;
}

static void
go_on(struct walk *w, int64 budget)
{
	while (w->spent < budget && !w->disordered && !is_done(w))
	{
		struct room *room = (struct room *) DatumGetPointer(binaryheap_first(w->heap));

		CHECK_FOR_INTERRUPTS();
		if (step_down(w, room))
			binaryheap_replace_first(w->heap, PointerGetDatum(room));
		else
			(void) binaryheap_remove_first(w->heap);
	}
}

/* ---- the search index ------------------------------------------------------------------ */

/* Its rows; a page whose rows were lost counts as full. */
static int
add_page(struct walk *w, BlockNumber block, const OffsetNumber *rows, int nrows)
{
	bool found;
	struct heap_page *page = pages_insert(w->pages, block, &found);

	memset(page->rows, 0, sizeof(page->rows));
	page->all = nrows < 0;
	for (int i = 0; i < nrows; i++)
		page->rows[rows[i] / 64] |= UINT64CONST(1) << (rows[i] % 64);
	return nrows < 0 ? MaxHeapTuplesPerPage / 4 : nrows;
}

static int64
add_pages(struct walk *w, TIDBitmap *bitmap)
{
	int64 n = 0;
#if PG_VERSION_NUM >= 180000
	TBMPrivateIterator *at = tbm_begin_private_iterate(bitmap);
	TBMIterateResult page;
	OffsetNumber rows[TBM_MAX_TUPLES_PER_PAGE];

	while (tbm_private_iterate(at, &page))
		n += add_page(w, page.blockno, rows, page.lossy ? -1 : tbm_extract_page_tuple(&page, rows, lengthof(rows)));
	tbm_end_private_iterate(at);
#else
	TBMIterator *at = tbm_begin_iterate(bitmap);
	TBMIterateResult *page;

	while ((page = tbm_iterate(at)) != NULL)
		n += add_page(w, page->blockno, page->offsets, page->ntuples);
	tbm_end_iterate(at);
#endif
	return n;
}

/* How many messages the index gives for these words, about; -1: there is no such index. */
static int64
ask_index(struct walk *w, TSQuery words)
{
	Oid oid = get_relname_relid("messages_search_idx", RelationGetNamespace(w->messages));
	Relation index = OidIsValid(oid) ? try_relation_open(oid, AccessShareLock) : NULL;
	TIDBitmap *bitmap;
	IndexScanDesc scan;
	ScanKeyData key;
	int64 n;

	if (index == NULL)
		return -1;
	bitmap = tbm_create((long) work_mem * 1024L, NULL);
	ScanKeyInit(&key, 1, MATCHES_STRATEGY, F_TS_MATCH_VQ, TSQueryGetDatum(words));
#if PG_VERSION_NUM >= 180000
	scan = index_beginscan_bitmap(index, GetActiveSnapshot(), NULL, 1);
#else
	scan = index_beginscan_bitmap(index, GetActiveSnapshot(), 1);
#endif
	index_rescan(scan, &key, 1, NULL, 0);
	(void) index_getbitmap(scan, bitmap);
	index_endscan(scan);
	w->pages = pages_create(CurrentMemoryContext, 1024, NULL);
	n = add_pages(w, bitmap);
	tbm_free(bitmap);
	relation_close(index, NoLock);
	return n;
}

static bool
is_word(const struct walk *w, int i)
{
	return GETQUERY(w->filter.words)[i].type == QI_VAL;
}

/* What the index is asked for.  All words must be in a message (rt_private.search_query() knows no other queries),
 * and to intersect the places of frequent ones takes longer than to compare the messages that have the rarest. *share
 * is how many of those have the other words too, by what was compared; *frequency that of the others together. */
static TSQuery
rarest_words(const struct walk *w, double *share, double *frequency)
{
	TSQuery all = w->filter.words;
	StringInfoData out;
	int rarest = -1;

	initStringInfo(&out);
	*share = 1;
	*frequency = 0;
	for (int i = 0; i < all->size; i++)
		if (is_word(w, i) && (rarest < 0 || w->counts[i] < w->counts[rarest]))
			rarest = i;
	for (int i = 0; i < all->size; i++)
	{
		QueryOperand *word = &GETQUERY(all)[i].qoperand;

		if (!is_word(w, i))
			continue;
		if (i == rarest || w->counts[i] == 0)
			appendStringInfo(&out, "%s'%.*s'%s", out.len > 0 ? "&" : "", (int) word->length,
							 GETOPERAND(all) + word->distance, word->prefix ? ":*" : "");
		else
		{
			*share *= (double) w->counts[i] / w->compared;
			*frequency += (double) w->counts[i] / w->compared;
		}
	}
	return DatumGetTSQuery(
		DirectFunctionCall3(tsqueryin, CStringGetDatum(out.data), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* As many as the table is known to have; before its first vacuum, as many as usually fit its pages. */
static double
count_messages(Relation messages)
{
	double known = messages->rd_rel->reltuples;

	return known > 0 ? known : Max(1.0, (double) RelationGetNumberOfBlocks(messages) * ROWS_A_PAGE);
}

static double
walking_cost(const struct walk *w, double messages, double hits, double candidates)
{
	return messages / hits * (w->most - w->nhits) * (1 + candidates / messages * COST_MESSAGE);
}

/* What the index would take, by what was compared: to walk by it, or to read all matches. */
struct estimate
{
	double walking;
	double matching; /* what search_index() takes */
};

/* A word that was not seen counts as seen half a time, so that only the index tells how rare it is.  Words occur
 * together as if by chance, until hits tell more. */
static struct estimate
estimate(const struct walk *w, double messages)
{
	double chance = 1;
	double sum = 0;
	double rarest = 1;
	double share;

	for (int i = 0; i < w->filter.words->size; i++)
		if (is_word(w, i))
		{
			double frequency = Max(w->counts[i], 0.5) / Max(w->compared, 1);

			chance *= frequency;
			sum += frequency;
			rarest = Min(rarest, frequency);
		}
	share = (w->nhits + chance * TRIAL_MESSAGES) / (w->compared + TRIAL_MESSAGES);
	return (struct estimate){
		COST_INDEX + messages * rarest * COST_BITMAP + walking_cost(w, messages, messages * share, messages * rarest),
		COST_INDEX + messages * (share * COST_MATCH + Min(sum, rarest * PLACES_SKIPPED) * COST_PLACE)};
}

/* To ask takes about as long as search_index() does for several words of which each is frequent but few messages have
 * all. */
static bool
is_worth_asking(const struct walk *w, double messages)
{
	struct estimate e = estimate(w, messages);

	return w->filter.words->size == 1 || w->compared == 0 || e.walking < e.matching;
}

/* Goes on by the index, if that is cheaper than reading all matches. */
static void
go_on_by_index(struct walk *w, double messages)
{
	double share;
	double frequency;
	double candidates;
	double budget;

	if (!is_worth_asking(w, messages))
		return;
	candidates = (double) ask_index(w, rarest_words(w, &share, &frequency));
	if (candidates <= 0)
		return;
	budget = COST_INDEX + candidates * share * COST_MATCH + messages * frequency * COST_PLACE;
	w->step = (int) Min(Max(messages / candidates, READING_STEP), WALKING_STEP_MAX);
	if (walking_cost(w, messages, candidates * share, candidates) < budget / WALKING_GAIN)
		go_on(w, w->spent + (int64) budget);
}

/* ---- the page -------------------------------------------------------------------------- */

static void
open_tables(struct walk *w)
{
	TupleDesc desc;

	w->messages = rt_row_open_table("messages", AccessShareLock);
	w->key = rt_row_open_primary_key(w->messages);
	desc = RelationGetDescr(w->messages);
	w->created_at = rt_row_column(desc, "created_at");
	w->content = rt_row_column(desc, "content");
	w->sender_id = rt_row_column(desc, "sender_id");
	w->deleted_at = rt_row_column(desc, "deleted_at");
	w->slot = table_slot_create(w->messages, NULL);
#if PG_VERSION_NUM >= 180000
	w->scan = index_beginscan(w->messages, w->key, GetActiveSnapshot(), NULL, 2, 0);
#else
	w->scan = index_beginscan(w->messages, w->key, GetActiveSnapshot(), 2, 0);
#endif
	w->scan->xs_want_itup = true;
}

static void
close_tables(struct walk *w)
{
	ExecDropSingleTupleTableSlot(w->slot);
	index_endscan(w->scan);
	index_close(w->key, NoLock);
	table_close(w->messages, NoLock);
}

static void
start_rooms(struct walk *w, ArrayType *ids, ArrayType *hidden)
{
	Datum *id;
	Datum *number = NULL;
	int n;
	int nhidden = 0;

	deconstruct_array(ids, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &id, NULL, &n);
	if (hidden != NULL)
		deconstruct_array(hidden, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &number, NULL, &nhidden);
	w->rooms = palloc0((Size) Max(n, 1) * sizeof(*w->rooms));
	w->heap = binaryheap_allocate(Max(n, 1), compare_bounds, NULL);
	for (int i = 0; i < n && !w->disordered; i++)
	{
		CHECK_FOR_INTERRUPTS();
		w->rooms[i].id = DatumGetInt64(id[i]);
		w->rooms[i].hidden = i < nhidden ? DatumGetInt64(number[i]) : 0;
		if (start_room(w, &w->rooms[i]))
			binaryheap_add_unordered(w->heap, PointerGetDatum(&w->rooms[i]));
	}
	binaryheap_build(w->heap);
}

/* Reads messages until that has taken a good part of what the index would, so in vain it costs no more than that;
 * then goes by the index. */
static void
fill_page(struct walk *w)
{
	double messages = count_messages(w->messages);
	int64 begin = w->spent;
	int64 enough = TRIAL_MESSAGES * COST_MESSAGE;

	w->step = READING_STEP;
	while (w->spent - begin < enough && !w->disordered && !is_done(w))
	{
		struct estimate e;

		go_on(w, begin + Min(enough, Max(2 * (w->spent - begin), TRIAL_MESSAGES * COST_MESSAGE)));
		/* Where a filter leaves out most of what is read, nothing can be told of the words. */
		if (w->compared * COST_MESSAGE * 2 < w->spent - begin)
			break;
		e = estimate(w, messages);
		enough = (int64) (READING_SHARE * Min(e.walking, e.matching));
	}
	if (!w->disordered && !is_done(w))
		go_on_by_index(w, messages);
}

static ArrayType *
places_of(const struct walk *w)
{
	Datum *tids = palloc((Size) Max(w->nhits, 1) * sizeof(*tids));

	for (int i = 0; i < w->nhits; i++)
		tids[i] = PointerGetDatum(&w->hits[i].tid);
	return construct_array(tids, w->nhits, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT);
}

/* search_walk(words tsquery, rooms bigint[], hidden bigint[], sender text, before, after, at timestamptz, room
 * bigint, seq bigint, most integer) returns tid[]: the places of the first messages; null: not found out. */
Datum
rt_search_walk(PG_FUNCTION_ARGS)
{
	struct walk w = {.most = PG_GETARG_INT32(9)};
	ArrayType *places = NULL;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || w.most < 1)
		PG_RETURN_NULL();
	w.filter.words = PG_GETARG_TSQUERY(0);
	w.filter.sender = PG_ARGISNULL(3) ? NULL : PG_GETARG_TEXT_PP(3);
	w.filter.before = PG_ARGISNULL(4) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(4);
	w.filter.after = PG_ARGISNULL(5) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(5);
	w.filter.at = PG_ARGISNULL(6) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(6);
	w.filter.room_id = PG_ARGISNULL(7) ? 0 : PG_GETARG_INT64(7);
	w.filter.seq = PG_ARGISNULL(8) ? 0 : PG_GETARG_INT64(8);
	w.counts = palloc0((Size) Max(w.filter.words->size, 1) * sizeof(*w.counts));
	w.hits = palloc((Size) w.most * sizeof(*w.hits));
	open_tables(&w);
	start_rooms(&w, PG_GETARG_ARRAYTYPE_P(1), PG_ARGISNULL(2) ? NULL : PG_GETARG_ARRAYTYPE_P(2));
	fill_page(&w);
	if (!w.disordered && is_done(&w))
		places = places_of(&w);
	close_tables(&w);
	if (places == NULL)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(places);
}
