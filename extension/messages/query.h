/* query.h: statements that a session runs often, planned once and kept. */
#ifndef RT_QUERY_H
#define RT_QUERY_H

#include "postgres.h"
#include "executor/spi.h"

#define RT_QUERY_MAX_ARGS 8

/* Static; plan is filled in at the first run. */
struct rt_query
{
	const char *sql; /* qualifies every name, operators too: it runs with the caller's search_path */
	int nargs;
	Oid types[RT_QUERY_MAX_ARGS];
	SPIPlanPtr plan;
};

/* Inside SPI_connect().  Leaves the rows in SPI_tuptable and returns their number; raises if the statement
 * cannot be planned.  nulls may be NULL. */
extern uint64 rt_query_run(struct rt_query *q, Datum *values, const char *nulls, bool read_only);

#endif
