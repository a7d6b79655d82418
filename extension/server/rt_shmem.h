/* rt_shmem.h: every type in shared memory, for the extension and for the two background workers.
 *
 * One rt_shared in all; one rt_database for each served database, in slots that are taken under
 * rt_shared.lock, and freed when no backend can use them: the database is gone, or has neither rt nor sessions.  The
 * rings' bytes lie behind the slots.
 * Each field says its lock or its one writer. */
#ifndef RT_SHMEM_H
#define RT_SHMEM_H

#include "postgres.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#define RT_MAX_PROGRAMS 96 /* children of one supervisor: gateways, media workers, and gateways that drain */
#define RT_SECRET_LEN 43   /* base64url of 32 random bytes */
#define RT_LAG_BUCKETS 12  /* of the relay's lag; the last one has no upper bound */
#define RT_TURN_MS 2000    /* the launcher and the supervisors turn as often, at the least */
#define RT_SILENT_MS 10000 /* one that has not turned for so long hangs, or was stopped */
#define RT_MAX_RECHECK 32  /* databases that wait for the launcher's look; more of them: it looks at all */

/* States of a ring record.  RESERVED -> COMMITTED or ABORTED by the backend that reserved it. */
enum rt_ring_state
{
	RT_RING_RESERVED = 1,
	RT_RING_COMMITTED,
	RT_RING_ABORTED
};

/* Byte ring of records, each MAXALIGNed.  head is moved by backends under lock; tail by the relay alone.
 * Both only grow; a position's place in data is position % size.  A record never wraps: the space up to
 * the end is then filled with an ABORTED record.
 *
 * Once a record has found no place, `full` keeps all others out too: what came later must not be seen before
 * it.  The relay empties the ring, opens it again, and finds in the tables what was left out. */
typedef struct rt_ring
{
	LWLock lock;
	uint64 size;                /* bytes in data; constant */
	pg_atomic_uint64 head;      /* written under lock, read without */
	bool full;                  /* lock; set by backends, cleared by the relay */
	pg_atomic_uint64 tail;      /* relay writes */
	pg_atomic_uint32 dropping;  /* transactions that were left out and have not ended yet */
	pg_atomic_uint64 published; /* records committed, for statistics */
	pg_atomic_uint64 lost;      /* records left out, and committed; the relay rescans when it rises */
	pg_atomic_uint64
		lost_commands; /* those of them that had commands for gateways; the relay then tells all standings */
	pg_atomic_uint64 high_water; /* most bytes ever in use */
} rt_ring;

/* What a supervisor knows of one program.  Written by the supervisor alone; readers take rt_database.lock. */
typedef struct rt_program
{
	bool used;
	int pid;  /* 0: not running */
	int kind; /* 0 gateway, 1 media */
	int worker;
	int state; /* 0 waits for its start, 1 runs, 2 is told to stop, 3 drains, 4 is silent */
	int restarts;
	bool ready;
	TimestampTz since; /* of its start, or of its end */
} rt_program;

typedef struct rt_database
{
	LWLock lock;                        /* protects what does not name another writer */
	Oid oid;                            /* InvalidOid: slot is free.  rt_shared.lock */
	bool wanted;                        /* launcher: workers should run.  rt_shared.lock */
	int suspended;                      /* sessions that want the workers gone (DROP DATABASE).  rt_shared.lock */
	bool quiet;                         /* launcher: suspended, and nothing runs nor starts.  rt_shared.lock */
	bool absent;                        /* a worker looked: no extension rt here.  rt_shared.lock */
	int port;                           /* launcher: the gateway's; 0: another database has it.  rt_shared.lock */
	int media_port;                     /* launcher: the first media worker's; likewise.  rt_shared.lock */
	int relay_pid;                      /* 0: not running.  lock */
	int supervisor_pid;                 /* lock */
	pg_atomic_uint64 supervisor_turned; /* when, by clock.h; 0: it does not run.  supervisor writes */
	Latch *relay_latch;            /* NULL: not running.  lock; set by backends without it through relay_procno */
	pg_atomic_uint32 relay_procno; /* the relay's pgprocno + 1, 0: none.  relay writes */
	pg_atomic_uint32 relay_wakeup; /* 1: a backend has set the latch and the relay has not looked yet */
	rt_program programs[RT_MAX_PROGRAMS];
	pg_atomic_uint32 early;       /* commits that are visible and not durable yet; backends write, see early.c */
	pg_atomic_uint32 early_level; /* the strictest synchronous_commit of them; only rises */

	/* relay's figures; the relay writes, anybody reads */
	pg_atomic_uint64 last_pos;
	pg_atomic_uint64 rooms_held; /* rooms that retention's last pass could not empty */
	pg_atomic_uint64 events;
	pg_atomic_uint64 batches;
	pg_atomic_uint64 largest_batch;
	pg_atomic_uint64 rescans;
	pg_atomic_uint64 rescued; /* messages that a rescan found */
	pg_atomic_uint64 notify_failures;
	pg_atomic_uint64 lag_us; /* age of the oldest event of the last batch */
	pg_atomic_uint64 largest_lag_us;
	pg_atomic_uint64 lag_sum_us;
	pg_atomic_uint64 lag_counts[RT_LAG_BUCKETS]; /* batches by their lag: see rt_lag_bounds_us */

	/* what rt.reset_stats() leaves */
	TimestampTz stats_reset; /* lock */
	uint64 lost_before;      /* of ring.lost, which the relay needs as it is.  lock */

	rt_ring ring;
} rt_database;

typedef struct rt_shared
{
	LWLock lock;
	int ndatabases;                         /* constant: rt.max_databases */
	int launcher_pid;                       /* lock */
	Latch *launcher_latch;                  /* lock */
	pg_atomic_uint64 launcher_turned;       /* when, by clock.h; 0: it does not run.  launcher writes */
	ConditionVariable changed;              /* broadcast when workers come or go */
	Oid recheck[RT_MAX_RECHECK];            /* CREATE or DROP EXTENSION committed there.  lock */
	int nrecheck;                           /* above RT_MAX_RECHECK: look at every database.  lock */
	Oid probe_oid;                          /* database that "rt probe" looks at, or InvalidOid.  lock */
	bool probe_found;                       /* what it saw.  lock */
	char gateway_secret[RT_SECRET_LEN + 1]; /* made at server start; never logged, never in argv */
	char media_secret[RT_SECRET_LEN + 1];
	/* rt_database databases[ndatabases], then the rings' bytes */
} rt_shared;

/* NULL where rt is not in shared_preload_libraries. */
extern rt_shared *rt_shared_state;

/* Upper bounds of the buckets of lag_counts. */
extern const uint64 rt_lag_bounds_us[RT_LAG_BUCKETS - 1];

extern rt_database *rt_database_slot(int i);
extern char *rt_ring_data(rt_database *db);

/* Sets what rt.stat_relay counts back to 0; the lock of the slot is held, or nobody has it yet. */
extern void rt_database_reset_figures(rt_database *db);

/* For _PG_init: asks the server for the memory, and makes and finds it once it is there. */
extern void rt_shmem_install(void);

/* The slot of a database, or NULL.  With create, takes a free one, if there is one (rt.max_databases). */
extern rt_database *rt_database_find(Oid oid, bool create);

/* Wakes the launcher, if it runs.  Raises nothing; takes rt_shared.lock. */
extern void rt_shmem_wake_launcher(void);

#endif
