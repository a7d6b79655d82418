/* foreign.c: see foreign.h.  Whoever writes asks for each statement, so what was found is kept in the process, for
 * TABLES tables, until a catalog of subscriptions changes (on_change, by invalidation).  Reads pg_subscription_rel
 * under its AccessShareLock; may raise.  No lock of its own: all state is the process's. */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_subscription_rel.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "replication/logicalworker.h"
#include "replication/worker_internal.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "extension/config/settings.h"
#include "foreign.h"
#include "query.h"

#define TABLES 32

PG_FUNCTION_INFO_V1(rt_is_foreign);
PG_FUNCTION_INFO_V1(rt_is_applying);
PG_FUNCTION_INFO_V1(rt_refuse_foreign);

static struct
{
	Oid relid;
	bool foreign;
} known[TABLES];
static int nknown;

static struct rt_query raise_foreign = {
	.sql = "SELECT rt_private.raise_foreign($1)",
	.nargs = 1,
	.types = {REGCLASSOID},
};

static void
on_change(Datum arg, int cache, uint32 hash)
{
	nknown = 0;
}

static bool
look_up(Oid relid)
{
	Relation relations = table_open(SubscriptionRelRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool found;

	ScanKeyInit(&key, Anum_pg_subscription_rel_srrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(relations, SubscriptionRelSrrelidSrsubidIndexId, true, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(relations, AccessShareLock);
	return found;
}

bool
rt_foreign_is(Oid relid)
{
	static bool listening = false;
	bool foreign;

	if (!listening)
		CacheRegisterSyscacheCallback(SUBSCRIPTIONRELMAP, on_change, (Datum) 0);
	listening = true;
	for (int i = 0; i < nknown; i++)
	{
		if (known[i].relid == relid)
			return known[i].foreign;
	}
	foreign = look_up(relid);
	if (nknown < TABLES)
	{
		known[nknown].relid = relid;
		known[nknown++].foreign = foreign;
	}
	return foreign;
}

bool
rt_foreign_is_applying(void)
{
	return IsLogicalWorker();
}

bool
rt_foreign_is_copying(void)
{
	return IsLogicalWorker() && am_tablesync_worker();
}

Datum
rt_is_foreign(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(rt_foreign_is(PG_GETARG_OID(0)));
}

Datum
rt_is_applying(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(rt_foreign_is_applying());
}

/* Not what rt's own workers remove: the writer's do the same there, and the removal is replicated. */
Datum
rt_refuse_foreign(PG_FUNCTION_ARGS)
{
	Oid relid;
	Datum values[1];

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("function can only be called as a trigger")));
	relid = RelationGetRelid(((TriggerData *) fcinfo->context)->tg_relation);
	if (!rt_foreign_is(relid) || rt_suppress_events || rt_foreign_is_applying())
		return PointerGetDatum(NULL);
	values[0] = ObjectIdGetDatum(relid);
	SPI_connect();
	rt_query_run(&raise_foreign, values, NULL, true);
	SPI_finish();
	return PointerGetDatum(NULL);
}
