/* thread_place.c: remembers where a transaction has written the threads' rows last; see thread_place.h and
 * schema/46_pins_threads.sql.
 *
 * Each reply writes a new version of its thread's row, and whoever looks for the row by its key walks through all
 * versions that the transaction has written before.  So many replies to one message would take the square of their
 * number.  The last version's place is remembered instead.
 *
 * A place is a hint: whoever uses it checks that the row there is visible, and the thread's.  The row may have been
 * deleted or written anew by other means, and then it is looked for by its key.
 *
 * Invariants: `log` holds what each place was before an open subtransaction changed it, in order.  `marks` says how
 * long the log was before each open subtransaction that appended to it.  When one aborts, the versions that it wrote
 * are gone, and the places before them are restored.
 *
 * Runs in the backend that writes, in its transaction; its memory is in TopTransactionContext.  Noting may raise.
 * What runs at the end of a subtransaction neither allocates nor raises. */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "storage/itemptr.h"
#include "utils/memutils.h"

#include "marks.h"
#include "thread_place.h"

PG_FUNCTION_INFO_V1(rt_thread_place);
PG_FUNCTION_INFO_V1(rt_note_thread_place);

#define FIRST_SIZE 8
#define FIRST_THREADS 2

struct key
{
	int64 room_id;
	int64 seq;
};

struct thread
{
	struct key key;
	ItemPointerData place;   /* invalid: not known */
	SubTransactionId writer; /* it has noted the place */
	char status;
};

#define SH_PREFIX threads
#define SH_ELEMENT_TYPE struct thread
#define SH_KEY_TYPE struct key
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) &(key), sizeof(key))
#define SH_EQUAL(tb, a, b) ((a).room_id == (b).room_id && (a).seq == (b).seq)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct former
{
	struct key key;
	ItemPointerData place;
	SubTransactionId writer;
};

/* The open transaction's. */
static struct
{
	threads_hash *threads; /* NULL: none yet */
	struct former *log;
	Size size;
	Size logged;
} places;

static struct rt_marks marks;

static void
begin(void)
{
	places.size = FIRST_SIZE;
	places.log = MemoryContextAlloc(TopTransactionContext, places.size * sizeof(*places.log));
	places.threads = threads_create(TopTransactionContext, FIRST_THREADS, NULL);
}

static void
append(const struct thread *thread)
{
	rt_marks_save(&marks, places.logged, 0);
	if (places.logged == places.size)
	{
		places.log = repalloc_huge(places.log, places.size * 2 * sizeof(*places.log));
		places.size *= 2;
	}
	places.log[places.logged].key = thread->key;
	places.log[places.logged].place = thread->place;
	places.log[places.logged++].writer = thread->writer;
}

static void
note(struct key key, ItemPointer place)
{
	SubTransactionId me = GetCurrentSubTransactionId();
	struct thread *thread;
	bool found;

	if (places.threads == NULL)
		begin();
	thread = threads_insert(places.threads, key, &found);
	if (!found)
	{
		ItemPointerSetInvalid(&thread->place);
		thread->writer = InvalidSubTransactionId;
	}
	if (GetCurrentTransactionNestLevel() > 1 && thread->writer != me)
		append(thread);
	thread->place = *place;
	thread->writer = me;
}

/* rt_private.note_thread_place(room_id bigint, seq bigint, place tid) */
Datum
rt_note_thread_place(PG_FUNCTION_ARGS)
{
	struct key key = {PG_GETARG_INT64(0), PG_GETARG_INT64(1)};

	note(key, (ItemPointer) PG_GETARG_POINTER(2));
	PG_RETURN_VOID();
}

/* rt_private.thread_place(room_id bigint, seq bigint): null if it is not known */
Datum
rt_thread_place(PG_FUNCTION_ARGS)
{
	struct key key = {PG_GETARG_INT64(0), PG_GETARG_INT64(1)};
	struct thread *thread = places.threads == NULL ? NULL : threads_lookup(places.threads, key);
	ItemPointer place;

	if (thread == NULL || !ItemPointerIsValid(&thread->place))
		PG_RETURN_NULL();
	place = palloc(sizeof(*place));
	*place = thread->place;
	PG_RETURN_POINTER(place);
}

static void
take_back(const Size *sizes)
{
	while (places.logged > sizes[0])
	{
		const struct former *f = &places.log[--places.logged];
		struct thread *thread = threads_lookup(places.threads, f->key);

		if (thread == NULL)
			continue;
		thread->place = f->place;
		thread->writer = f->writer;
	}
}

static void
settle(void)
{
	places.logged = 0;
}

static void
forget(void)
{
	memset(&places, 0, sizeof(places));
}

void
rt_thread_place_install(void)
{
	marks.take_back = take_back;
	marks.settle = settle;
	marks.forget = forget;
	rt_marks_install(&marks);
}
