/* row.h: one row of one of rt's own tables, found by its primary key without the executor.  For what is done once for
 * each message that is sent: a statement by SPI, its plan kept, takes several times as long. */
#ifndef RT_ROW_H
#define RT_ROW_H

#include "postgres.h"
#include "access/genam.h"
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

/* keys: values of the primary key's columns, which are of type bigint or text.  rt_row_done() whatever the result. */
extern bool rt_row_find(struct rt_row *row, Relation table, Snapshot snapshot, int nkeys, const Datum *keys);
extern void rt_row_done(struct rt_row *row);

/* A column by its name; raises if there is none. */
extern AttrNumber rt_row_column(TupleDesc desc, const char *name);

#endif
