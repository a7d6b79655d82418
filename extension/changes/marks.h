/* marks.h: how long the lists of an open transaction were before each of its subtransactions, so that what an aborted
 * one has appended can be taken back. */
#ifndef RT_MARKS_H
#define RT_MARKS_H

#include "postgres.h"

/* Lists, or places in one, that a client keeps sizes of. */
#define RT_MARKS_SIZES 2

struct rt_mark
{
	int level; /* nesting level of the subtransaction; above 1 */
	Size sizes[RT_MARKS_SIZES];
};

/* A client's, in static memory. */
struct rt_marks
{
	/* A subtransaction aborts: the sizes are these again.  Must neither allocate nor raise. */
	void (*take_back)(const Size *sizes);

	/* The last mark has gone with a subtransaction that committed: nothing is taken back any more.  NULL is fine. */
	void (*settle)(void);

	/* The transaction has ended, and with it TopTransactionContext will. */
	void (*forget)(void);

	struct rt_mark *marks; /* by rising levels; NULL: none yet */
	int size;
	int count;
};

/* For _PG_init, once the callbacks are set. */
extern void rt_marks_install(struct rt_marks *m);

/* To be called before the sizes change.  Raises for want of memory alone. */
extern void rt_marks_save(struct rt_marks *m, Size first, Size second);

#endif
