/* horizon.c: reads and writes rt_private.relay_state; see horizon.h.  When a horizon holds is relay.c's to say.
 *
 * Invariant: each transaction older than the stored horizon had ended, and its events were in the log, when the
 * horizon was stored.  It is the xmin of a snapshot; horizon_at moves later, once all that began before it has
 * ended.
 *
 * Runs in the relay, inside the caller's transaction, and may raise.  The row is locked by its UPDATE alone. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/xid8.h"

#include "extension/messages/query.h"
#include "bgworker/worker/clock.h"
#include "horizon.h"

static struct rt_query read_state = {
	.sql = "SELECT greatest(s.last_pos, (SELECT max(e.pos) FROM rt.events e)), s.clean, s.horizon_at "
		   "FROM rt_private.relay_state s",
};
static struct rt_query mark_state = {
	.sql = "UPDATE rt_private.relay_state SET last_pos = $1, clean = $2",
	.nargs = 2,
	.types = {INT8OID, BOOLOID},
};
static struct rt_query begin_epoch = {
	.sql = "SELECT rt_private.begin_epoch($1, $2, $3)",
	.nargs = 3,
	.types = {INT8OID, BOOLOID, BOOLOID},
};
static struct rt_query read_xids = {
	.sql = "SELECT pg_snapshot_xmin(s), pg_snapshot_xmax(s) FROM pg_current_snapshot() s",
};
static struct rt_query store_state = {
	.sql = "UPDATE rt_private.relay_state SET last_pos = $1, horizon = $2, horizon_at = $3",
	.nargs = 3,
	.types = {INT8OID, XID8OID, TIMESTAMPTZOID},
};

void
rt_horizon_read_state(struct rt_relay_state *state)
{
	bool isnull;

	SPI_connect();
	if (rt_query_run(&read_state, NULL, NULL, false) != 1)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("rt_private.relay_state must have one row")));
	state->last_pos = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	state->clean = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	state->horizon_at = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &isnull));
	SPI_finish();
}

int64
rt_horizon_begin_epoch(int64 last_pos, bool crashed, bool anew)
{
	Datum values[3] = {Int64GetDatum(last_pos), BoolGetDatum(crashed), BoolGetDatum(anew)};
	int64 from_pos;
	bool isnull;

	SPI_connect();
	rt_query_run(&begin_epoch, values, NULL, false);
	from_pos = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return from_pos;
}

void
rt_horizon_mark(int64 last_pos, bool clean)
{
	Datum values[2] = {Int64GetDatum(last_pos), BoolGetDatum(clean)};

	SPI_connect();
	rt_query_run(&mark_state, values, NULL, false);
	SPI_finish();
}

void
rt_horizon_begin(struct rt_horizon *h)
{
	bool isnull;

	h->taken = GetCurrentTimestamp();
	SPI_connect();
	rt_query_run(&read_xids, NULL, NULL, false);
	h->xmin = DatumGetFullTransactionId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	h->xmax = DatumGetFullTransactionId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	SPI_finish();
}

/* Moves horizon_at on if all transactions that began before since_at have ended. */
static void
advance_time(struct rt_horizon *h)
{
	if (FullTransactionIdIsValid(h->since_xid))
	{
		if (FullTransactionIdPrecedes(h->xmin, h->since_xid))
			return;
		h->horizon_at = h->since_at;
	}
	h->since_xid = h->xmax;
	h->since_at = h->taken;
}

void
rt_horizon_store(struct rt_horizon *h, int64 last_pos)
{
	Datum values[3];

	advance_time(h);
	values[0] = Int64GetDatum(last_pos);
	values[1] = FullTransactionIdGetDatum(h->xmin);
	values[2] = TimestampTzGetDatum(h->horizon_at);
	SPI_connect();
	rt_query_run(&store_state, values, NULL, false);
	SPI_finish();
	h->open = false;
	h->stored = rt_clock_now();
}
