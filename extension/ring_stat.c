/* ring_stat.c: the figures of a database's ring and relay, for rt.stat_relay. */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "extension/event.h"
#include "extension/rt_shmem.h"

#define COLUMNS 14

PG_FUNCTION_INFO_V1(rt_stat_relay);

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

static int
relay_pid(rt_database *db)
{
	int pid;

	LWLockAcquire(&db->lock, LW_SHARED);
	pid = db->relay_pid;
	LWLockRelease(&db->lock);
	return pid;
}

/* Tail first: it never passes the head that is read after it. */
static Datum
bytes_used(rt_ring *ring)
{
	uint64 tail = pg_atomic_read_u64(&ring->tail);

	pg_read_barrier();
	return Int64GetDatum((int64) (pg_atomic_read_u64(&ring->head) - tail));
}

/* rt_private.stat_relay() returns a row; of nulls, while nothing has been emitted in this database */
Datum
rt_stat_relay(PG_FUNCTION_ARGS)
{
	rt_database *db;
	TupleDesc desc;
	Datum values[COLUMNS] = {0};
	bool nulls[COLUMNS];
	int n = 0;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != COLUMNS)
		elog(ERROR, "rt_stat_relay must return a row of %d columns", COLUMNS);
	rt_event_require_loaded();
	db = rt_database_find(MyDatabaseId, false);
	memset(nulls, db == NULL, sizeof(nulls));
	if (db != NULL)
	{
		nulls[n] = relay_pid(db) == 0;
		values[n++] = Int32GetDatum(relay_pid(db));
		values[n++] = figure(&db->last_pos);
		values[n++] = figure(&db->events);
		values[n++] = figure(&db->batches);
		values[n++] = figure(&db->largest_batch);
		values[n++] = microseconds(pg_atomic_read_u64(&db->lag_us));
		values[n++] = Int64GetDatum((int64) db->ring.size);
		values[n++] = bytes_used(&db->ring);
		values[n++] = figure(&db->ring.high_water);
		values[n++] = figure(&db->ring.published);
		values[n++] = figure(&db->ring.lost);
		values[n++] = figure(&db->rescans);
		values[n++] = figure(&db->rescued);
		values[n++] = figure(&db->notify_failures);
	}
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
