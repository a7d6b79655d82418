/* marks.c: see marks.h.
 *
 * Invariants: levels of `marks` rise, and none is above that of the open subtransaction.  A mark says what the sizes
 * were before the first change at its level.  Outside of subtransactions there is none: if all aborts, nothing stays.
 *
 * Runs in the backend that writes, in its transaction; its memory is in TopTransactionContext.  Saving may raise.
 * What runs at the end of a subtransaction neither allocates nor raises. */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "marks.h"

#define FIRST_SIZE 8

static void
make_space(struct rt_marks *m)
{
	int size = Max(m->size * 2, FIRST_SIZE);

	if (m->count < m->size)
		return;
	if (m->marks == NULL)
		m->marks = MemoryContextAlloc(TopTransactionContext, size * sizeof(*m->marks));
	else
		m->marks = repalloc(m->marks, size * sizeof(*m->marks));
	m->size = size;
}

void
rt_marks_save(struct rt_marks *m, Size first, Size second)
{
	int level = GetCurrentTransactionNestLevel();

	if (level == 1 || (m->count > 0 && m->marks[m->count - 1].level == level))
		return;
	make_space(m);
	m->marks[m->count++] = (struct rt_mark){level, {first, second}};
}

static void
on_commit_sub(struct rt_marks *m, int level)
{
	struct rt_mark *last = &m->marks[m->count - 1];

	if (last->level < level)
		return;
	last->level = level - 1;
	if (level == 2 || (m->count > 1 && last[-1].level == level - 1))
		m->count--; /* the older one says what was before both */
	if (m->count == 0 && m->settle != NULL)
		m->settle();
}

static void
on_abort_sub(struct rt_marks *m, int level)
{
	while (m->count > 0 && m->marks[m->count - 1].level >= level)
		m->take_back(m->marks[--m->count].sizes);
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	struct rt_marks *m = arg;

	if (m->count == 0)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		on_commit_sub(m, GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		on_abort_sub(m, GetCurrentTransactionNestLevel());
}

static void
on_transaction(XactEvent event, void *arg)
{
	struct rt_marks *m = arg;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	m->marks = NULL;
	m->size = 0;
	m->count = 0;
	m->forget();
}

void
rt_marks_install(struct rt_marks *m)
{
	RegisterXactCallback(on_transaction, m);
	RegisterSubXactCallback(on_subtransaction, m);
}
