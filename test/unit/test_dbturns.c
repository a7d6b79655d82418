/* test_dbturns.c: one user's calls wait for one another, not for those of others. */
#include <stdlib.h>

#include "bgworker/common/db/dbpipe.h"
#include "bgworker/common/db/dbturns.h"
#include "tap.h"

#define MOST 2

static struct rt_dbturns *turns;
static struct rt_dbcall calls[6];

static struct rt_dbcall *
call_of(int i, char *actor, uint64_t since_ms)
{
	calls[i] = (struct rt_dbcall){.turns = {actor}, .since_ms = since_ms};
	return &calls[i];
}

static void
test_order(void)
{
	for (int i = 0; i < MOST; i++)
		ok(rt_dbturns_begin(turns, call_of(i, "ann", 0)) == RT_OK, "ann's call %d begins", i);
	ok(rt_dbturns_begin(turns, call_of(2, "ann", 0)) == RT_AGAIN &&
		   rt_dbturns_begin(turns, call_of(3, "ann", 0)) == RT_AGAIN,
	   "two more wait");
	ok(rt_dbturns_begin(turns, call_of(4, "bob", 0)) == RT_OK, "another user's does not");
	ok(rt_dbturns_begin(turns, call_of(5, NULL, 0)) == RT_OK, "nor one of nobody's");
	ok(rt_dbturns_end(turns, &calls[5]) == NULL && rt_dbturns_end(turns, &calls[4]) == NULL, "these end without ado");
	ok(rt_dbturns_end(turns, &calls[1]) == &calls[2] && rt_dbturns_end(turns, &calls[0]) == &calls[3],
	   "who has waited longest goes first");
	ok(rt_dbturns_begin(turns, call_of(0, "ann", 0)) == RT_AGAIN, "whose turn it is then counts");
	ok(rt_dbturns_end(turns, &calls[2]) == &calls[0], "and passes it on");
	ok(rt_dbturns_end(turns, &calls[0]) == NULL && rt_dbturns_end(turns, &calls[3]) == NULL, "nobody waits");
	ok(rt_dbturns_end(turns, &calls[3]) == NULL, "a call without a turn ends none");
}

static int dropped;

static void
on_dropped(void *arg, struct rt_dbcall *call)
{
	dropped++;
	ok(call == arg, "the one that waits for longer");
}

static void
test_late(void)
{
	rt_dbturns_begin(turns, call_of(0, "ann", 1));
	rt_dbturns_begin(turns, call_of(1, "ann", 1));
	rt_dbturns_begin(turns, call_of(2, "ann", 2));
	rt_dbturns_begin(turns, call_of(3, "ann", 5));
	rt_dbturns_drop(turns, 5, on_dropped, &calls[2]);
	ok(dropped == 1, "one came too late");
	ok(rt_dbturns_end(turns, &calls[2]) == NULL, "it had no turn");
	ok(rt_dbturns_end(turns, &calls[0]) == &calls[3], "the other has its turn all the same");
	ok(rt_dbturns_end(turns, &calls[3]) == NULL && rt_dbturns_end(turns, &calls[1]) == NULL, "and all end");
}

static void
free_call(void *arg, struct rt_dbcall *call)
{
	++*(int *) arg;
	free(call);
}

static void
test_limit(void)
{
	int waiting = 0;
	int freed = 0;
	struct rt_dbcall *call;

	rt_dbturns_begin(turns, call_of(0, "ann", 0));
	rt_dbturns_begin(turns, call_of(1, "ann", 0));
	for (;; waiting++)
	{
		call = calloc(1, sizeof(*call));
		call->turns[0] = "ann";
		if (rt_dbturns_begin(turns, call) != RT_AGAIN)
			break;
	}
	ok(waiting == 2500, "so many wait, and no more");
	free(call);
	rt_dbturns_drop(turns, UINT64_MAX, free_call, &freed);
	ok(freed == waiting, "all are handed back");
	ok(rt_dbturns_begin(turns, call_of(2, "ann", 0)) == RT_AGAIN, "and there is room again");
	rt_dbturns_end(turns, &calls[0]);
	rt_dbturns_end(turns, &calls[1]);
	ok(rt_dbturns_end(turns, &calls[2]) == NULL, "until the end");
}

int
main(void)
{
	turns = rt_dbturns_new(0, MOST);
	test_order();
	test_late();
	test_limit();
	rt_dbturns_free(turns);
	return tap_done();
}
