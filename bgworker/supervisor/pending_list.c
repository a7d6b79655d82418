/* pending_list.c: empties the pending list of the search index, so that no sender has to; see pending_list.h.
 *
 * A GIN index with fastupdate takes new entries into a list.  Whoever makes it longer than gin_pending_list_limit
 * (4 MB by default) moves all of it to the tree, within the own INSERT: of a thousand senders a second, some dozens
 * would wait for that, and each search reads the whole list.  So the list is emptied here while it is short.
 *
 * Locks: AccessShareLock on the index while its metapage is read, RowExclusiveLock while the list is emptied, as
 * gin_clean_pending_list() takes it; one that does not come within LOCK_TIMEOUT is left to the next turn.  Senders
 * go on adding to the list's end meanwhile.
 *
 * Runs in the supervisor, in a transaction of its own.  A standby's list is emptied by its primary's WAL. */
#include "postgres.h"

#include "access/gin.h"
#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "bgworker/worker/clock.h"
#include "bgworker/worker/tx.h"
#include "pending_list.h"

#define INDEX_NAME "messages_search_idx"
#define INTERVAL_MS 1000
#define LOCK_TIMEOUT "100ms"

/* About what 1,000 messages bring. */
#define ENOUGH_PAGES 64

struct rt_pending_list
{
	TimestampTz due;
	struct rt_tx tx;
};

struct rt_pending_list *
rt_pending_list_new(void)
{
	struct rt_pending_list *p = MemoryContextAllocZero(TopMemoryContext, sizeof(*p));

	p->tx.context = TopMemoryContext;
	p->tx.name = "rt supervisor";
	return p;
}

static bool
is_long(Oid id)
{
	Relation index = try_relation_open(id, AccessShareLock);
	GinStatsData stats = {0};

	if (index == NULL)
		return false;
	if (index->rd_rel->relkind == RELKIND_INDEX && index->rd_rel->relam == GIN_AM_OID)
		ginGetStats(index, &stats);
	relation_close(index, AccessShareLock);
	return stats.nPendingPages >= ENOUGH_PAGES;
}

static void
empty(void *arg)
{
	Oid schema = get_namespace_oid("rt", true);
	Oid id = OidIsValid(schema) ? get_relname_relid(INDEX_NAME, schema) : InvalidOid;
	ListCell *cell;

	(void) arg;
	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_SUSET, PGC_S_OVERRIDE, GUC_ACTION_LOCAL, true, 0,
							 false);
	if (!OidIsValid(id))
		return;
	/* Of a partitioned table each partition has a list. */
	foreach (cell, find_all_inheritors(id, AccessShareLock, NULL))
	{
		if (is_long(lfirst_oid(cell)))
			(void) DirectFunctionCall1(gin_clean_pending_list, ObjectIdGetDatum(lfirst_oid(cell)));
	}
}

void
rt_pending_list_turn(struct rt_pending_list *p)
{
	if (p->due > rt_clock_now() || RecoveryInProgress())
		return;
	p->due = TimestampTzPlusMilliseconds(rt_clock_now(), INTERVAL_MS);
	(void) rt_tx_try(&p->tx, "emptying the pending list of the search index", empty, NULL,
					 ERRCODE_LOCK_NOT_AVAILABLE);
	pgstat_report_activity(STATE_IDLE, NULL);
}
