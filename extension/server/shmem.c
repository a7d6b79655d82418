/* shmem.c: makes rt's shared memory at server start (and again after a crash), and hands out the slots of
 * databases; see rt_shmem.h.  Freeing a slot is the launcher's.
 *
 * Made by the postmaster, before any backend runs, under AddinShmemInitLock; an error there ends the start.  The
 * size is fixed: rt.max_databases slots, each with a ring of rt.ring_size.  Secrets are made anew each time, and
 * are constant until the next.
 *
 * Invariant: a database has one slot at most.  So a slot is looked for again under the exclusive lock before a
 * free one is taken.  With none free, rt_database_find() returns NULL and the database is not served.  Finding
 * and taking run in any backend or worker, under rt_shared.lock, and raise nothing. */
#include "postgres.h"

#include "common/base64.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "rt_shmem.h"
#include "extension/config/settings.h"

rt_shared *rt_shared_state = NULL;

const uint64 rt_lag_bounds_us[RT_LAG_BUCKETS - 1] = {1000,   2500,   5000,   10000,   25000,  50000,
													 100000, 250000, 500000, 1000000, 5000000};

#if PG_VERSION_NUM >= 150000
static shmem_request_hook_type previous_request_hook;
#endif
static shmem_startup_hook_type previous_startup_hook;

static Size
ring_bytes(void)
{
	return (Size) rt_ring_size_kb * 1024;
}

static Size
slots_offset(void)
{
	return MAXALIGN(sizeof(rt_shared));
}

static Size
rings_offset(void)
{
	return add_size(slots_offset(), mul_size(rt_max_databases, MAXALIGN(sizeof(rt_database))));
}

static Size
shared_bytes(void)
{
	return add_size(rings_offset(), mul_size(rt_max_databases, ring_bytes()));
}

rt_database *
rt_database_slot(int i)
{
	return (rt_database *) ((char *) rt_shared_state + slots_offset() + i * MAXALIGN(sizeof(rt_database)));
}

char *
rt_ring_data(rt_database *db)
{
	Size i = ((char *) db - (char *) rt_database_slot(0)) / MAXALIGN(sizeof(rt_database));

	return (char *) rt_shared_state + rings_offset() + i * ring_bytes();
}

static void
request_memory(void)
{
#if PG_VERSION_NUM >= 150000
	if (previous_request_hook != NULL)
		previous_request_hook();
#endif
	RequestAddinShmemSpace(shared_bytes());
}

/* 32 random bytes as base64url, which needs no quoting anywhere. */
static void
make_secret(char *secret)
{
	uint8 bytes[32];
	char encoded[RT_SECRET_LEN + 2];

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(FATAL, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes for rt")));
	if (pg_b64_encode((const void *) bytes, sizeof(bytes), encoded, sizeof(encoded)) < RT_SECRET_LEN)
		elog(FATAL, "could not encode a secret");
	encoded[RT_SECRET_LEN] = '\0';
	for (char *p = encoded; *p != '\0'; p++)
	{
		if (*p == '+')
			*p = '-';
		else if (*p == '/')
			*p = '_';
	}
	memcpy(secret, encoded, RT_SECRET_LEN + 1);
	explicit_bzero(bytes, sizeof(bytes));
	explicit_bzero(encoded, sizeof(encoded));
}

/* Makes a slot as it is for a database that nobody has served yet. */
static void
reset_ring(rt_ring *ring)
{
	ring->size = ring_bytes();
	pg_atomic_write_u64(&ring->head, 0);
	ring->full = false;
	pg_atomic_write_u64(&ring->tail, 0);
	pg_atomic_write_u32(&ring->dropping, 0);
	pg_atomic_write_u64(&ring->lost, 0);
	pg_atomic_write_u64(&ring->lost_commands, 0);
}

void
rt_database_reset_figures(rt_database *db)
{
	pg_atomic_write_u64(&db->events, 0);
	pg_atomic_write_u64(&db->batches, 0);
	pg_atomic_write_u64(&db->largest_batch, 0);
	pg_atomic_write_u64(&db->rescans, 0);
	pg_atomic_write_u64(&db->rescued, 0);
	pg_atomic_write_u64(&db->notify_failures, 0);
	pg_atomic_write_u64(&db->largest_lag_us, 0);
	pg_atomic_write_u64(&db->lag_sum_us, 0);
	for (int i = 0; i < RT_LAG_BUCKETS; i++)
		pg_atomic_write_u64(&db->lag_counts[i], 0);
	pg_atomic_write_u64(&db->ring.published, 0);
	pg_atomic_write_u64(&db->ring.high_water, 0);
	db->lost_before = pg_atomic_read_u64(&db->ring.lost);
	db->stats_reset = GetCurrentTimestamp();
}

static void
reset_slot(rt_database *db)
{
	reset_ring(&db->ring);
	pg_atomic_write_u64(&db->supervisor_turned, 0);
	pg_atomic_write_u64(&db->last_pos, 0);
	pg_atomic_write_u64(&db->rooms_held, 0);
	pg_atomic_write_u64(&db->lag_us, 0);
	rt_database_reset_figures(db);
}

static int
new_tranche(const char *name)
{
	int tranche = LWLockNewTrancheId();

	LWLockRegisterTranche(tranche, name);
	return tranche;
}

/* The rings' bytes need no clearing: a ring whose head is its tail has no record. */
static void
init_shared(void)
{
	int shared_tranche = new_tranche("rt");
	int ring_tranche = new_tranche("rt_ring");

	memset(rt_shared_state, 0, rings_offset());
	LWLockInitialize(&rt_shared_state->lock, shared_tranche);
	ConditionVariableInit(&rt_shared_state->changed);
	rt_shared_state->ndatabases = rt_max_databases;
	pg_atomic_init_u64(&rt_shared_state->launcher_turned, 0);
	make_secret(rt_shared_state->gateway_secret);
	make_secret(rt_shared_state->media_secret);
	for (int i = 0; i < rt_max_databases; i++)
	{
		rt_database *db = rt_database_slot(i);

		LWLockInitialize(&db->lock, shared_tranche);
		LWLockInitialize(&db->ring.lock, ring_tranche);
		pg_atomic_init_u32(&db->relay_procno, 0);
		pg_atomic_init_u32(&db->relay_wakeup, 0);
		pg_atomic_init_u32(&db->early, 0);
		pg_atomic_init_u32(&db->early_level, 0);
		reset_slot(db);
	}
}

static void
start_memory(void)
{
	bool found;

	if (previous_startup_hook != NULL)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	rt_shared_state = ShmemInitStruct("rt", shared_bytes(), &found);
	if (!found)
		init_shared();
	LWLockRelease(AddinShmemInitLock);
}

void
rt_shmem_install(void)
{
#if PG_VERSION_NUM >= 150000
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
#else
	request_memory();
#endif
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

static rt_database *
find_slot(Oid oid)
{
	for (int i = 0; i < rt_shared_state->ndatabases; i++)
	{
		rt_database *db = rt_database_slot(i);

		if (db->oid == oid)
			return db;
	}
	return NULL;
}

/* Makes a free slot that database's.  The lock is held exclusively.  Nobody else uses the slot's ring: the launcher
 * frees a slot only when no backend can (rt_shmem.h). */
static void
take_slot(rt_database *db, Oid oid)
{
	db->wanted = false;
	db->suspended = 0;
	db->absent = false;
	pg_atomic_write_u32(&db->relay_wakeup, 0);
	reset_slot(db);
	db->oid = oid;
}

rt_database *
rt_database_find(Oid oid, bool create)
{
	rt_database *db;

	LWLockAcquire(&rt_shared_state->lock, LW_SHARED);
	db = find_slot(oid);
	LWLockRelease(&rt_shared_state->lock);
	if (db != NULL || !create)
		return db;

	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	db = find_slot(oid);
	if (db == NULL)
	{
		db = find_slot(InvalidOid);
		if (db != NULL)
			take_slot(db, oid);
	}
	LWLockRelease(&rt_shared_state->lock);
	return db;
}

void
rt_shmem_wake_launcher(void)
{
	LWLockAcquire(&rt_shared_state->lock, LW_SHARED);
	if (rt_shared_state->launcher_latch != NULL)
		SetLatch(rt_shared_state->launcher_latch);
	LWLockRelease(&rt_shared_state->lock);
}
