/* words.c: see words.h.
 *
 * The index is written as an INSERT with fastupdate = off writes it (ginEntryInsert), so readers, other writers and
 * vacuum may go on.
 *
 * Runs in the backend that imports, in its transaction, and may raise.  Buffers are locked by ginEntryInsert() alone,
 * an entry at a time.  Above maintenance_work_mem what was gathered is inserted, and gathering begins anew; memory is
 * looked at every ROWS_A_LOOK rows, so it may be exceeded by what these bring.  The caller flushes what is left. */
#include "postgres.h"

#include "access/gin_private.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "tsearch/ts_type.h"
#include "tsearch/ts_utils.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "words.h"

#define FIRST_TIDS 4
/* Memory is looked at once in so many rows. */
#define ROWS_A_LOOK 1024

struct lexeme
{
	const char *bytes;
	uint32 length;
};

struct word
{
	struct lexeme lexeme; /* within text */
	text *text;
	ItemPointerData *tids;
	uint32 ntids;
	uint32 size;
	uint32 hash;
	char status;
};

#define SH_PREFIX table
#define SH_ELEMENT_TYPE struct word
#define SH_KEY_TYPE struct lexeme
#define SH_KEY lexeme
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key).bytes, (int) (key).length)
#define SH_EQUAL(tb, a, b) ((a).length == (b).length && memcmp((a).bytes, (b).bytes, (a).length) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, element) (element)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct rt_words
{
	GinState gin;
	MemoryContext context; /* table, words and tids: reset by each flush */
	MemoryContext entry;   /* what one insertion allocates */
	table_hash *table;
	struct word empty; /* rows without a word, which the index has too */
	struct word null;  /* rows without a value */
	uint32 rows;       /* since the last flush */
	ItemPointerData last;
	bool sorted; /* rows came by tid, and so lie in each word's */
};

static void
start(struct rt_words *w)
{
	w->table = table_create(w->context, 16384, NULL);
	w->rows = 0;
	w->sorted = true;
	memset(&w->empty, 0, sizeof(w->empty));
	memset(&w->null, 0, sizeof(w->null));
}

struct rt_words *
rt_words_new(Relation index)
{
	struct rt_words *w;

	if (index->rd_rel->relam != GIN_AM_OID || index->rd_att->natts != 1 || index->rd_opcintype[0] != TSVECTOROID)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a GIN index over one tsvector", RelationGetRelationName(index))));
	w = palloc0(sizeof(*w));
	initGinState(&w->gin, index);
	w->context = AllocSetContextCreate(CurrentMemoryContext, "rt words", ALLOCSET_DEFAULT_SIZES);
	w->entry = AllocSetContextCreate(CurrentMemoryContext, "rt words, entry", ALLOCSET_DEFAULT_SIZES);
	start(w);
	return w;
}

static void
add_tid(struct rt_words *w, struct word *word, ItemPointer tid)
{
	if (word->ntids == word->size)
	{
		Size size = word->size == 0 ? FIRST_TIDS : (Size) word->size * 2;

		word->tids = word->tids == NULL ? MemoryContextAlloc(w->context, size * sizeof(*tid))
										: repalloc_huge(word->tids, size * sizeof(*tid));
		word->size = size;
	}
	word->tids[word->ntids++] = *tid;
}

static struct word *
find_word(struct rt_words *w, struct lexeme lexeme)
{
	bool found;
	struct word *word = table_insert(w->table, lexeme, &found);

	if (!found)
	{
		MemoryContext old = MemoryContextSwitchTo(w->context);

		word->text = cstring_to_text_with_len(lexeme.bytes, (int) lexeme.length);
		word->lexeme.bytes = VARDATA(word->text);
		word->tids = NULL;
		word->ntids = 0;
		word->size = 0;
		MemoryContextSwitchTo(old);
	}
	return word;
}

void
rt_words_add(struct rt_words *w, ItemPointer tid, Datum tsvector, bool null)
{
	TSVector vector = null ? NULL : DatumGetTSVector(tsvector);

	if (w->rows > 0 && ItemPointerCompare(&w->last, tid) > 0)
		w->sorted = false;
	w->last = *tid;
	if (null)
		add_tid(w, &w->null, tid);
	else if (vector->size == 0)
		add_tid(w, &w->empty, tid);
	else
		for (int i = 0; i < vector->size; i++)
		{
			WordEntry *entry = &ARRPTR(vector)[i];
			struct lexeme lexeme = {STRPTR(vector) + entry->pos, entry->len};

			add_tid(w, find_word(w, lexeme), tid);
		}
	if (++w->rows % ROWS_A_LOOK == 0 &&
		MemoryContextMemAllocated(w->context, true) / 1024 > (Size) maintenance_work_mem)
		rt_words_flush(w);
}

static int
compare_tids(const void *a, const void *b)
{
	return ItemPointerCompare((ItemPointer) a, (ItemPointer) b);
}

static void
insert_word(struct rt_words *w, struct word *word, GinNullCategory category)
{
	MemoryContext old;

	if (word->ntids == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	if (!w->sorted)
		qsort(word->tids, word->ntids, sizeof(*word->tids), compare_tids);
	old = MemoryContextSwitchTo(w->entry);
	ginEntryInsert(&w->gin, FirstOffsetNumber, PointerGetDatum(word->text), category, word->tids, word->ntids, NULL);
	MemoryContextSwitchTo(old);
	MemoryContextReset(w->entry);
}

/* The index's own order, so that neighbours are on the page that was just read. */
static int
compare_words(const void *a, const void *b)
{
	const struct lexeme *l = &(*(struct word *const *) a)->lexeme;
	const struct lexeme *r = &(*(struct word *const *) b)->lexeme;

	return tsCompareString((char *) l->bytes, (int) l->length, (char *) r->bytes, (int) r->length, false);
}

void
rt_words_flush(struct rt_words *w)
{
	struct word **sorted = MemoryContextAllocHuge(w->context, ((Size) w->table->members + 1) * sizeof(*sorted));
	uint32 n = 0;
	table_iterator at;
	struct word *word;

	table_start_iterate(w->table, &at);
	while ((word = table_iterate(w->table, &at)) != NULL)
		sorted[n++] = word;
	qsort(sorted, n, sizeof(*sorted), compare_words);
	for (uint32 i = 0; i < n; i++)
		insert_word(w, sorted[i], GIN_CAT_NORM_KEY);
	insert_word(w, &w->empty, GIN_CAT_EMPTY_ITEM);
	insert_word(w, &w->null, GIN_CAT_NULL_ITEM);
	MemoryContextReset(w->context);
	start(w);
}

void
rt_words_free(struct rt_words *w)
{
	MemoryContextDelete(w->context);
	MemoryContextDelete(w->entry);
	pfree(w);
}
