/* ring.c: reserving, publishing and reading the records of the commit ring.
 *
 * Locking: ring.lock is held exclusively while a backend reserves, which orders the records; copying, deciding
 * and reading are done without it.  A record's state is the hand-over: its body is written before the state says
 * COMMITTED, and read after.  No other lock is taken under ring.lock, and no process is woken.
 *
 * Invariants: tail <= head, head - tail <= size, and between them lie whole records.  The head moves past a
 * record only when its length and its state are written, so a reader always finds the next one.  Positions are
 * bytes since the slot was taken; they are 64 bits and do not wrap.
 *
 * The relay reads in the order of the reservations and stops at the first record that is not decided; rt.stat_relay
 * names its session.  A record H that stays undecided, in synchronous replication say, lets others pass
 * (rt_ring_look_past()).  What has to hold is that a transaction comes behind those that it has seen:
 *
 * - R, behind H, was found committed.  All statements of R had ended when it was reserved.
 * - After that, H's transaction was found in its PGPROC, under ProcArrayLock: no snapshot saw it as committed until
 *   then, so R has not seen it.  H still has its locks, so R has not waited for them: R has none of H's rows, and
 *   none of the rooms that H has written a message to.
 * - H was reserved before R, so H has not seen R either.  Nothing orders the two.
 *
 * With early_lock_release H has left its PGPROC before it waits.  Then nothing passes.
 *
 * At the limit nobody waits: a transaction that finds no place commits all the same, is counted as `dropping`,
 * and the relay finds its messages in the tables.  `full` is set and `dropping` raised under one hold of the lock,
 * so the relay never sees an open ring before it sees whom to wait for.
 *
 * Reserving runs in backends before the commit is decided, deciding right after; peek, release and reopen in the
 * relay.  Nothing here allocates.  A record is decided even if its session is terminated: that aborts the
 * transaction.  A crash makes shared memory anew. */
#include "postgres.h"

#include "access/xact.h"
#include "port/pg_bitutils.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "ring.h"

#define FILLER_BYTES offsetof(struct rt_ring_record, body_len)

StaticAssertDecl(FILLER_BYTES <= MAXIMUM_ALIGNOF, "a filler must fit into the smallest rest of the ring");

static struct rt_ring_record *
record_at(rt_database *db, uint64 pos)
{
	return (struct rt_ring_record *) (rt_ring_data(db) + pos % db->ring.size);
}

uint32
rt_ring_own_procno(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

Size
rt_ring_max_body(const rt_database *db)
{
	/* Half of the ring, so that an empty ring has place for it whereever its head stands. */
	return db->ring.size / 2 - MAXALIGN(sizeof(struct rt_ring_record));
}

static void
note_use(rt_ring *ring, uint64 used)
{
	if (used > pg_atomic_read_u64(&ring->high_water))
		pg_atomic_write_u64(&ring->high_water, used);
}

/* Takes len bytes in one piece; the lock is held.  False: there is no place. */
static bool
take_space(rt_database *db, Size len, TimestampTz now, uint64 *pos)
{
	rt_ring *ring = &db->ring;
	uint64 head = pg_atomic_read_u64(&ring->head);
	uint64 rest = ring->size - head % ring->size;
	uint64 filler = rest < len ? rest : 0;
	uint64 used = head + filler + len - pg_atomic_read_u64(&ring->tail);
	struct rt_ring_record *record;

	if (ring->full || used > ring->size)
		return false;
	/* The relay has read what is overwritten from here on. */
	pg_memory_barrier();
	if (filler > 0)
	{
		record = record_at(db, head);
		record->len = filler;
		pg_atomic_init_u32(&record->state, RT_RING_ABORTED);
	}
	record = record_at(db, head + filler);
	record->len = len;
	record->at = now;
	record->pid = MyProcPid;
	record->procno = rt_ring_own_procno();
	record->xid = GetTopTransactionIdIfAny();
	pg_atomic_init_u32(&record->state, RT_RING_RESERVED);
	note_use(ring, used);
	pg_write_barrier();
	pg_atomic_write_u64(&ring->head, head + filler + len);
	*pos = head + filler;
	return true;
}

bool
rt_ring_reserve(rt_database *db, const char *body, Size len, uint64 *pos)
{
	Size record_len = MAXALIGN(sizeof(struct rt_ring_record)) + MAXALIGN(len);
	struct rt_ring_record *record;
	TimestampTz now = GetCurrentTimestamp();
	bool taken;

	LWLockAcquire(&db->ring.lock, LW_EXCLUSIVE);
	taken = take_space(db, record_len, now, pos);
	if (!taken)
	{
		db->ring.full = true;
		pg_atomic_fetch_add_u32(&db->ring.dropping, 1);
	}
	LWLockRelease(&db->ring.lock);
	if (!taken)
		return false;

	record = record_at(db, *pos);
	record->body_len = len;
	memcpy(RT_RECORD_BODY(record), body, len);
	return true;
}

void
rt_ring_refuse(rt_database *db)
{
	LWLockAcquire(&db->ring.lock, LW_EXCLUSIVE);
	db->ring.full = true;
	pg_atomic_fetch_add_u32(&db->ring.dropping, 1);
	LWLockRelease(&db->ring.lock);
}

/* At most once until the relay has looked: it clears the flag before it looks, so a wake-up is not lost. */
static void
wake_relay(rt_database *db)
{
	uint32 procno;

	if (pg_atomic_exchange_u32(&db->relay_wakeup, 1) != 0)
		return;
	procno = pg_atomic_read_u32(&db->relay_procno);
	if (procno != 0)
		SetLatch(&ProcGlobal->allProcs[procno - 1].procLatch);
}

void
rt_ring_publish(rt_database *db, uint64 pos)
{
	pg_write_barrier();
	pg_atomic_write_u32(&record_at(db, pos)->state, RT_RING_COMMITTED);
	pg_atomic_fetch_add_u64(&db->ring.published, 1);
	wake_relay(db);
}

void
rt_ring_abort(rt_database *db, uint64 pos)
{
	pg_atomic_write_u32(&record_at(db, pos)->state, RT_RING_ABORTED);
	/* It may be what the relay waits at. */
	pg_memory_barrier();
	wake_relay(db);
}

void
rt_ring_dropped(rt_database *db, bool committed, bool had_commands)
{
	if (committed && had_commands)
		pg_atomic_fetch_add_u64(&db->ring.lost_commands, 1);
	/* In this order, so that the relay sees one of the two at any time. */
	if (committed)
		pg_atomic_fetch_add_u64(&db->ring.lost, 1);
	pg_atomic_fetch_sub_u32(&db->ring.dropping, 1);
	wake_relay(db);
}

struct rt_ring_record *
rt_ring_peek(rt_database *db, uint64 *pos)
{
	uint64 head = pg_atomic_read_u64(&db->ring.head);

	pg_read_barrier();
	while (*pos < head)
	{
		struct rt_ring_record *record = record_at(db, *pos);
		uint32 state = pg_atomic_read_u32(&record->state);

		pg_read_barrier();
		if (state == RT_RING_COMMITTED)
			return record;
		if (state == RT_RING_RESERVED)
			return NULL;
		*pos += record->len;
	}
	return NULL;
}

struct rt_ring_record *
rt_ring_record_at(rt_database *db, uint64 pos)
{
	return record_at(db, pos);
}

/* Records to look past at once, and their positions. */
#define MAX_HELD 64

struct held
{
	uint64 pos;
	uint32 procno;
	TransactionId xid;
};

/* Told ones become one, so that the next look is short.  Gives back the one that the next may join.  A filler has no
 * place for more. */
static struct rt_ring_record *
join_told(struct rt_ring_record *first, struct rt_ring_record *next)
{
	if (first != NULL && first->len <= PG_INT32_MAX - next->len)
	{
		first->len += next->len;
		return first;
	}
	return next->len > FILLER_BYTES ? next : NULL;
}

/* Where the first record lies that others may have seen, and that is not decided; `end`: none is such. */
static uint64
first_visible(const struct held *held, int nheld, uint64 end)
{
	uint64 found = end;

	LWLockAcquire(ProcArrayLock, LW_SHARED);
	for (int i = 0; i < nheld && found == end; i++)
	{
		if (!TransactionIdIsValid(held[i].xid) || ProcGlobal->allProcs[held[i].procno].xid != held[i].xid)
			found = held[i].pos;
	}
	LWLockRelease(ProcArrayLock);
	return found;
}

/* Only the relay joins records, and only such as are decided, so nobody else writes their length. */
void
rt_ring_look_past(rt_database *db, uint64 pos, struct rt_ring_look *look)
{
	uint64 head = pg_atomic_read_u64(&db->ring.head);
	struct held held[MAX_HELD];
	int nheld = 0;
	struct rt_ring_record *told = NULL;
	uint64 end;

	look->npassing = 0;
	look->young = 0;
	pg_read_barrier();
	while (pos < head && look->npassing < look->max)
	{
		struct rt_ring_record *record = record_at(db, pos);
		uint32 len = record->len;
		uint32 state = pg_atomic_read_u32(&record->state);

		pg_read_barrier();
		if (state == RT_RING_RESERVED && record->at > look->held_before)
		{
			look->young = record->at;
			break;
		}
		if (state == RT_RING_RESERVED && nheld == MAX_HELD)
			break;
		if (state == RT_RING_RESERVED)
			held[nheld++] = (struct held){pos, record->procno, record->xid};
		else if (state == RT_RING_COMMITTED)
			look->passing[look->npassing++] = pos;
		told = state == RT_RING_ABORTED ? join_told(told, record) : NULL;
		pos += len;
	}
	end = first_visible(held, nheld, pos);
	while (look->npassing > 0 && look->passing[look->npassing - 1] > end)
		look->npassing--;
}

void
rt_ring_done(rt_database *db, uint64 pos)
{
	pg_atomic_write_u32(&record_at(db, pos)->state, RT_RING_ABORTED);
}

/* Reads without a lock: what lies between tail and head stays as it is until the tail passes it, so what was read is
 * right if the tail has not moved meanwhile.  After some tries the relay is busy rather than stalled. */
bool
rt_ring_oldest(rt_database *db, struct rt_ring_wait *oldest)
{
	for (int try = 0; try < 10; try++)
	{
		uint64 tail = pg_atomic_read_u64(&db->ring.tail);
		uint64 head;
		uint64 pos = tail;
		uint32 state = RT_RING_ABORTED;

		pg_read_barrier();
		head = pg_atomic_read_u64(&db->ring.head);
		pg_read_barrier();
		while (pos < head)
		{
			struct rt_ring_record *record = record_at(db, pos);
			uint32 len = record->len;

			state = pg_atomic_read_u32(&record->state);
			if (state != RT_RING_ABORTED)
			{
				oldest->at = record->at;
				oldest->pid = state == RT_RING_RESERVED ? record->pid : 0;
				break;
			}
			if (len == 0)
				break;
			pos += len;
		}
		pg_read_barrier();
		if (pg_atomic_read_u64(&db->ring.tail) == tail)
			return pos < head && state != RT_RING_ABORTED;
	}
	return false;
}

/* What was read is read before a writer may overwrite it. */
void
rt_ring_release(rt_database *db, uint64 pos)
{
	pg_memory_barrier();
	pg_atomic_write_u64(&db->ring.tail, pos);
}

bool
rt_ring_is_full(rt_database *db)
{
	bool full;

	LWLockAcquire(&db->ring.lock, LW_SHARED);
	full = db->ring.full;
	LWLockRelease(&db->ring.lock);
	return full;
}

/* Under the lock nobody can reserve in between: the ring opens only when the relay has read all of it. */
bool
rt_ring_reopen(rt_database *db, uint64 pos)
{
	bool reopened = false;

	LWLockAcquire(&db->ring.lock, LW_EXCLUSIVE);
	if (db->ring.full && pg_atomic_read_u64(&db->ring.head) == pos)
	{
		db->ring.full = false;
		reopened = true;
	}
	LWLockRelease(&db->ring.lock);
	return reopened;
}
