/* feed.c: takes events from the ring, and from the tables what the ring had no place for; see feed.h.  What to
 * look for there is rescan.c's, what to write batch.c's.
 *
 * After the ring was full: it is drained, opened again, and once the last transaction that found no place has
 * ended, the tables are rescanned.  What has entered the ring in the meantime comes after that, without the
 * messages that the rescan has already found.
 *
 * RESCANNING reads the tables while records wait in the ring; DRAINING reads the ring.  The modes follow each
 * other as DRAINING, REOPENED, RESCANNING, DRAINING; the feed begins with RESCANNING.  In this order nothing is
 * missed: no record is behind the one that found no place until all before it are read, and the rescan's
 * snapshots are younger than the end of every transaction that was left out.  If the ring fills up again
 * meanwhile, the next DRAINING begins the round anew.
 *
 * Invariant: kept <= at <= head.  The ring's tail is kept.pos, so a batch that failed before it was filled can be
 * read again.
 *
 * Runs in the relay, which alone moves the tail and reopens the ring.  ring.lock is taken by ring.c, for a moment.
 * Memory is the relay's context; a fill may raise, as it runs SQL. */
#include "postgres.h"

#include "extension/events/early.h"
#include "extension/events/event_text.h"
#include "extension/events/ring.h"
#include "feed.h"
#include "rescan.h"

/* For a record to be passed. */
#define HELD_AFTER_MS 100
#define PASSING 500

/* Retention removes the log's first rows by their time: one that was held must not look like one of those. */
#define OLDEST_IN_LOG_MS 30000

enum mode
{
	RESCANNING,
	DRAINING,
	REOPENED /* waits for those that found no place */
};

struct cursor
{
	uint64 pos;     /* of a record */
	int passed;     /* records of `passing` that are behind us */
	uint32 offset;  /* in the body of the next one of these, else of that at pos */
	int64 next_seq; /* in the range there; 0: its first */
};

struct rt_feed
{
	MemoryContext context;
	rt_database *db;
	enum mode mode;
	struct cursor at;
	struct cursor kept;       /* as of the last committed batch */
	struct rt_rescan *rescan; /* NULL: the ring has nothing that a rescan has found */
	uint64 skip_until;        /* DRAINING: where the ring has nothing of that any more */
	uint64 lost_seen;
	uint64 commands_lost_seen;
	TimestampTz oldest;
	int rescued;

	/* Records behind the one at pos, which is not decided, that need not wait for it.  They are told before anything
	 * else, so nothing of pos is told while there are some. */
	uint64 passing[PASSING];
	int npassing;
	TimestampTz young; /* of the record that ended the last look behind pos; 0: none did */
};

static uint64
ring_head(struct rt_feed *f)
{
	return pg_atomic_read_u64(&f->db->ring.head);
}

static void
start_rescan(struct rt_feed *f)
{
	uint64 commands_lost;

	/* Before the rescan's snapshots: what is counted now, they see.  In this order: of a transaction that is counted
	 * in the first, the second knows too. */
	f->lost_seen = pg_atomic_read_u64(&f->db->ring.lost);
	pg_read_barrier();
	commands_lost = pg_atomic_read_u64(&f->db->ring.lost_commands);
	pg_memory_barrier();
	f->rescan = rt_rescan_new(f->context, commands_lost != f->commands_lost_seen);
	f->commands_lost_seen = commands_lost;
	f->mode = RESCANNING;
	pg_atomic_fetch_add_u64(&f->db->rescans, 1);
}

struct rt_feed *
rt_feed_new(MemoryContext parent, rt_database *db)
{
	struct rt_feed *f = MemoryContextAllocZero(parent, sizeof(*f));

	f->context = parent;
	f->db = db;
	f->at.pos = f->kept.pos = pg_atomic_read_u64(&db->ring.tail);
	start_rescan(f);
	return f;
}

void
rt_feed_discard(struct rt_feed *f)
{
	struct rt_ring_record *record;

	while ((record = rt_ring_peek(f->db, &f->at.pos)) != NULL)
		f->at.pos += record->len;
	f->kept = f->at;
	rt_ring_release(f->db, f->at.pos);
}

/* The rescan's memory of rooms is needed until all records that it may have seen are behind us. */
static void
forget_rescan(struct rt_feed *f)
{
	if (f->rescan == NULL || f->at.pos < f->skip_until)
		return;
	rt_rescan_free(f->rescan);
	f->rescan = NULL;
}

/* Nobody looks at a commit's first moments: it is decided before that would be worth it. */
static bool
look_past(struct rt_feed *f)
{
	struct rt_ring_look look = {.passing = f->passing, .max = PASSING};

	look.held_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -HELD_AFTER_MS);
	rt_ring_look_past(f->db, f->at.pos, &look);
	f->npassing = look.npassing;
	f->young = look.young;
	return f->npassing > 0;
}

/* What was passed, and is in the log. */
static void
keep_passed(struct rt_feed *f)
{
	for (int i = f->kept.passed; i < f->at.passed; i++)
		rt_ring_done(f->db, f->passing[i]);
	if (f->at.passed == f->npassing)
		f->at.passed = f->npassing = 0;
}

/* The ring has nothing for us.  A transaction left out that never ends, waiting for synchronous replication say,
 * holds up the rescan, and with it all events: they wait in the ring. */
static bool
look_after_full_ring(struct rt_feed *f)
{
	if (f->mode == DRAINING && rt_ring_is_full(f->db) && rt_ring_reopen(f->db, f->at.pos))
		f->mode = REOPENED;
	if (f->mode != REOPENED || pg_atomic_read_u32(&f->db->ring.dropping) != 0)
		return false;
	start_rescan(f);
	return true;
}

bool
rt_feed_has_work(struct rt_feed *f)
{
	if (f->mode == RESCANNING)
		return true;
	f->young = 0;
	if (f->mode == DRAINING && (f->npassing > 0 || rt_ring_peek(f->db, &f->at.pos) != NULL))
		return true;
	if (f->mode == DRAINING)
	{
		f->kept = f->at;
		rt_ring_release(f->db, f->at.pos);
		forget_rescan(f);
		if (f->at.pos < ring_head(f) && look_past(f))
			return true;
	}
	return look_after_full_ring(f);
}

long
rt_feed_look_again_ms(const struct rt_feed *f, long timeout_ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(f->young, HELD_AFTER_MS + 1);

	return f->young == 0 ? timeout_ms
						 : Min(timeout_ms, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until));
}

static int64
reached(const struct rt_feed *f, int64 room_id)
{
	return f->rescan != NULL ? rt_rescan_reached(f->rescan, room_id) : 0;
}

/* False: the batch was full before the range was finished. */
static bool
fill_range(struct rt_feed *f, struct rt_batch *b, const struct rt_ring_event *event, TimestampTz at)
{
	int64 from = Max(Max(event->seq, f->at.next_seq), reached(f, event->room_id) + 1);

	while (from <= event->seq_to && !rt_batch_is_full(b))
		from = rt_batch_add_range(b, event->room_id, from, event->seq_to, at);
	rt_early_wait(f->db);
	f->at.next_seq = from;
	return from > event->seq_to;
}

static bool
fill_event(struct rt_feed *f, struct rt_batch *b, const struct rt_ring_event *event, TimestampTz at)
{
	struct rt_batch_event e = {0};

	if (event->flags & RT_EVENT_RANGE)
		return fill_range(f, b, event, at);
	e.message = (event->flags & RT_EVENT_MESSAGE) != 0;
	if (e.message && event->seq <= reached(f, event->room_id))
		return true;
	e.name = e.message ? RT_MESSAGE_EVENT : RT_EVENT_NAME(event);
	e.route = e.message ? NULL : RT_EVENT_ROUTE(event);
	e.payload = RT_EVENT_PAYLOAD(event);
	e.room_id = event->room_id;
	e.seq = event->seq;
	e.at = at;
	e.logged = (event->flags & RT_EVENT_LOGGED) != 0;
	rt_batch_add(b, &e);
	return true;
}

/* Of the record at the cursor, what the batch has room for. */
static void
fill_from_record(struct rt_feed *f, struct rt_batch *b, struct rt_ring_record *record)
{
	TimestampTz at = Max(record->at, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -OLDEST_IN_LOG_MS));

	while (f->at.offset < record->body_len && !rt_batch_is_full(b))
	{
		const struct rt_ring_event *event = (struct rt_ring_event *) (RT_RECORD_BODY(record) + f->at.offset);

		if (!fill_event(f, b, event, at))
			return;
		f->at.offset += event->len;
		f->at.next_seq = 0;
	}
	if (f->at.offset < record->body_len)
		return;
	if (f->npassing > 0)
		f->at.passed++;
	else
		f->at.pos += record->len;
	f->at.offset = 0;
}

/* After those that pass the batch ends, so that their states are set before anybody comes to them again. */
static struct rt_ring_record *
next_record(struct rt_feed *f)
{
	if (f->npassing == 0)
		return rt_ring_peek(f->db, &f->at.pos);
	return f->at.passed < f->npassing ? rt_ring_record_at(f->db, f->passing[f->at.passed]) : NULL;
}

static void
fill_from_ring(struct rt_feed *f, struct rt_batch *b)
{
	struct rt_ring_record *record;

	while (!rt_batch_is_full(b) && (record = next_record(f)) != NULL)
	{
		if (f->oldest == 0)
			f->oldest = record->at;
		fill_from_record(f, b, record);
	}
}

static void
fill_from_rescan(struct rt_feed *f, struct rt_batch *b)
{
	if (rt_rescan_fill(f->rescan, b))
	{
		/* It may have read what a crash would still take back. */
		rt_early_wait(f->db);
		f->rescued = rt_batch_count(b);
		return;
	}
	/* All that the rescan saw was reserved before now. */
	f->skip_until = ring_head(f);
	f->mode = DRAINING;
}

void
rt_feed_fill(struct rt_feed *f, struct rt_batch *b)
{
	f->oldest = 0;
	f->rescued = 0;
	if (f->mode == RESCANNING)
		fill_from_rescan(f, b);
	else if (f->mode == DRAINING)
		fill_from_ring(f, b);
}

void
rt_feed_keep(struct rt_feed *f)
{
	if (f->mode == RESCANNING)
		rt_rescan_keep(f->rescan);
	keep_passed(f);
	f->kept = f->at;
	rt_ring_release(f->db, f->at.pos);
	if (f->mode == DRAINING)
		forget_rescan(f);
}

void
rt_feed_undo(struct rt_feed *f)
{
	if (f->mode == RESCANNING)
		rt_rescan_undo(f->rescan);
	f->at = f->kept;
}

bool
rt_feed_is_complete(struct rt_feed *f, uint64 *head)
{
	/* In this order: a transaction that was left out is counted in one of the two at any time. */
	bool complete = f->mode == DRAINING && pg_atomic_read_u32(&f->db->ring.dropping) == 0;

	pg_memory_barrier();
	complete = complete && pg_atomic_read_u64(&f->db->ring.lost) == f->lost_seen;
	*head = ring_head(f);
	return complete;
}

uint64
rt_feed_position(const struct rt_feed *f)
{
	return f->at.pos;
}

TimestampTz
rt_feed_oldest(const struct rt_feed *f)
{
	return f->oldest;
}

int
rt_feed_rescued(const struct rt_feed *f)
{
	return f->rescued;
}
