/* row.h: one row of one of rt's own tables, found by its primary key without the executor.  For what is done once for
 * each message that is sent: a statement by SPI, its plan kept, takes several times as long. */
#ifndef RT_ROW_H
#define RT_ROW_H

#include "postgres.h"
#include "access/genam.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

struct rt_row
{
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *slot; /* holds the row, if it was found, until rt_row_done() */
};

/* A table of schema rt; close it with table_close(). */
extern Relation rt_row_open_table(const char *name, LOCKMODE lock);

/* NULL: there is none, since ALTER EXTENSION rt UPDATE was not run yet. */
extern Relation rt_row_try_open_table(const char *name, LOCKMODE lock);

/* Under AccessShareLock. */
extern Relation rt_row_open_primary_key(Relation table);

/* keys: values of the primary key's columns, which are of type bigint or text.  rt_row_done() whatever the result. */
extern bool rt_row_find(struct rt_row *row, Relation table, Snapshot snapshot, int nkeys, const Datum *keys);
extern void rt_row_done(struct rt_row *row);

/* Which indexes need to be told of a new version of a row. */
#if PG_VERSION_NUM >= 160000
typedef TU_UpdateIndexes rt_row_indexes;
#define RT_ROW_NO_INDEX TU_None
#define RT_ROW_ALL_INDEXES TU_All
#else
typedef bool rt_row_indexes;
#define RT_ROW_NO_INDEX false
#define RT_ROW_ALL_INDEXES true
#endif

/* For rows that are in the table.  Mostly there is nothing to do for one that was changed: the new version has found
 * a place in the page of the old one. */
extern void rt_row_add_to_indexes(Relation table, TupleTableSlot **slots, int n, rt_row_indexes which);

/* New rows, as COPY writes them: without constraints and triggers. */
extern void rt_row_insert(Relation table, TupleTableSlot **slots, int n);

/* A column by its name; raises if there is none. */
extern AttrNumber rt_row_column(TupleDesc desc, const char *name);

#endif
