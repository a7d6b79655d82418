/* query.c: prepares and runs statements; see query.h.  The caller has connected to SPI, and the result is SPI's.
 * Runs in a backend or the relay, inside a transaction, and may raise.  A plan is kept for the life of the
 * process; one that could not be prepared is tried again by the next run. */
#include "postgres.h"

#include "query.h"

static void
prepare(struct rt_query *q)
{
	SPIPlanPtr plan = SPI_prepare(q->sql, q->nargs, q->types);

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", q->sql, SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "could not keep the plan of \"%s\"", q->sql);
	q->plan = plan;
}

uint64
rt_query_run(struct rt_query *q, Datum *values, const char *nulls, bool read_only)
{
	int rc;

	if (q->plan == NULL)
		prepare(q);
	rc = SPI_execute_plan(q->plan, values, nulls, read_only, 0);
	if (rc < 0)
		elog(ERROR, "could not run \"%s\": %s", q->sql, SPI_result_code_string(rc));
	return SPI_processed;
}
