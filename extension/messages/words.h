/* words.h: entries for a GIN index over texts, gathered for many rows before they are inserted.
 *
 * A row's words, inserted one row after the other, touch an entry of the index each, or wait in its pending list and
 * are sorted later.  Gathered, a word of a thousand rows is one insertion. */
#ifndef RT_WORDS_H
#define RT_WORDS_H

#include "postgres.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

struct rt_words;

/* For an index over one tsvector, open until rt_words_free().  Raises for any other. */
extern struct rt_words *rt_words_new(Relation index);

/* The row at tid has these words; null: the indexed value is null.  What exceeds maintenance_work_mem is flushed. */
extern void rt_words_add(struct rt_words *w, ItemPointer tid, Datum tsvector, bool null);

/* Inserts what was gathered. */
extern void rt_words_flush(struct rt_words *w);
extern void rt_words_free(struct rt_words *w);

#endif
