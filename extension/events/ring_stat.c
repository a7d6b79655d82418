/* ring_stat.c: the figures of a database's ring and relay, for rt.stat_relay.  Runs in any backend.  What is
 * under rt_database.lock is copied under it; the rest are atomics, each right for itself but not as of one
 * moment.  Rows are made without the lock, and may raise. */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "event.h"
#include "extension/server/rt_shmem.h"
#include "ring.h"

#define COLUMNS 22

PG_FUNCTION_INFO_V1(rt_stat_relay);
PG_FUNCTION_INFO_V1(rt_reset_relay_stats);

static Datum
figure(pg_atomic_uint64 *value)
{
	return Int64GetDatum((int64) pg_atomic_read_u64(value));
}

static Datum
microseconds(uint64 us)
{
	Interval *interval = palloc0(sizeof(*interval));

	interval->time = us;
	return IntervalPGetDatum(interval);
}

static Datum
bigint_array(Datum *values, int n)
{
	return PointerGetDatum(construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* What is under the slot's lock. */
struct locked
{
	int relay_pid;
	uint64 lost;
	TimestampTz stats_reset;
};

static struct locked
read_locked(rt_database *db)
{
	struct locked l;

	LWLockAcquire(&db->lock, LW_SHARED);
	l.relay_pid = db->relay_pid;
	l.lost = pg_atomic_read_u64(&db->ring.lost) - db->lost_before;
	l.stats_reset = db->stats_reset;
	LWLockRelease(&db->lock);
	return l;
}

/* Batches by their lag, each bucket for itself. */
static Datum
lag_counts(rt_database *db)
{
	Datum counts[RT_LAG_BUCKETS];

	for (int i = 0; i < RT_LAG_BUCKETS; i++)
		counts[i] = figure(&db->lag_counts[i]);
	return bigint_array(counts, RT_LAG_BUCKETS);
}

static Datum
lag_bounds(void)
{
	Datum bounds[RT_LAG_BUCKETS - 1];

	for (int i = 0; i < RT_LAG_BUCKETS - 1; i++)
		bounds[i] = Int64GetDatum((int64) rt_lag_bounds_us[i]);
	return bigint_array(bounds, RT_LAG_BUCKETS - 1);
}

/* Tail first: it never passes the head that is read after it. */
static Datum
bytes_used(rt_ring *ring)
{
	uint64 tail = pg_atomic_read_u64(&ring->tail);

	pg_read_barrier();
	return Int64GetDatum((int64) (pg_atomic_read_u64(&ring->head) - tail));
}

struct column
{
	const char *name;
	Datum value;
	bool isnull;
};

static void
read_columns(rt_database *db, struct column *columns)
{
	struct locked l = read_locked(db);
	struct rt_ring_wait oldest = {0};
	bool waits = rt_ring_oldest(db, &oldest);
	const struct column read[COLUMNS] = {
		{"pid", Int32GetDatum(l.relay_pid), l.relay_pid == 0},
		{"last_pos", figure(&db->last_pos)},
		{"events", figure(&db->events)},
		{"batches", figure(&db->batches)},
		{"largest_batch", figure(&db->largest_batch)},
		{"lag", microseconds(pg_atomic_read_u64(&db->lag_us))},
		{"largest_lag", microseconds(pg_atomic_read_u64(&db->largest_lag_us))},
		{"ring_bytes", Int64GetDatum((int64) db->ring.size)},
		{"ring_used", bytes_used(&db->ring)},
		{"ring_high_water", figure(&db->ring.high_water)},
		{"published", figure(&db->ring.published)},
		{"lost", Int64GetDatum((int64) l.lost)},
		{"rescans", figure(&db->rescans)},
		{"rescued", figure(&db->rescued)},
		{"notify_failures", figure(&db->notify_failures)},
		{"stats_reset", TimestampTzGetDatum(l.stats_reset)},
		{"oldest_wait", microseconds(waits ? Max(GetCurrentTimestamp() - oldest.at, 0) : 0), !waits},
		{"blocker_pid", Int32GetDatum(oldest.pid), !waits || oldest.pid == 0},
		{"rooms_held", figure(&db->rooms_held)},
		{"lag_sum", microseconds(pg_atomic_read_u64(&db->lag_sum_us))},
		{"lag_counts", lag_counts(db)},
		{"lag_bounds_us", lag_bounds()},
	};

	memcpy(columns, read, sizeof(read));
}

static const struct column *
find_column(const struct column *columns, const char *name)
{
	for (int i = 0; i < COLUMNS; i++)
	{
		if (columns[i].name != NULL && strcmp(columns[i].name, name) == 0)
			return &columns[i];
	}
	return NULL;
}

/* rt_private.stat_relay() returns a row; of nulls, while nothing has been emitted in this database.  Its columns go
 * by their names: those of an extension that has not been updated yet are others. */
Datum
rt_stat_relay(PG_FUNCTION_ARGS)
{
	rt_database *db;
	TupleDesc desc;
	struct column columns[COLUMNS] = {{0}};
	Datum *values;
	bool *nulls;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "rt_stat_relay must return a row");
	rt_event_require_loaded();
	db = rt_database_find(MyDatabaseId, false);
	if (db != NULL)
		read_columns(db, columns);
	values = palloc0(desc->natts * sizeof(Datum));
	nulls = palloc(desc->natts * sizeof(bool));
	for (int i = 0; i < desc->natts; i++)
	{
		const struct column *c = find_column(columns, NameStr(TupleDescAttr(desc, i)->attname));

		nulls[i] = c == NULL || c->isnull;
		values[i] = nulls[i] ? (Datum) 0 : c->value;
	}
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* rt_private.reset_relay_stats() returns void */
Datum
rt_reset_relay_stats(PG_FUNCTION_ARGS)
{
	rt_database *db;

	rt_event_require_loaded();
	db = rt_database_find(MyDatabaseId, false);
	if (db == NULL)
		PG_RETURN_VOID();
	LWLockAcquire(&db->lock, LW_EXCLUSIVE);
	rt_database_reset_figures(db);
	LWLockRelease(&db->lock);
	PG_RETURN_VOID();
}
