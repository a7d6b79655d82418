/* candidates.c: finds databases and looks into them; see candidates.h.  What to do with one that has rt is
 * launcher.c's.
 *
 * Locking: rt_shared.lock for the probe's answer and the requests to look again; the rest is the launcher's own.
 * Nothing else is done while it is held.
 *
 * One probe runs at a time.  probe_oid names its database until it has answered: InvalidOid is the answer "done",
 * with probe_found written before it under the same lock.  A probe that ends without one has failed, mostly to
 * connect, and is tried again after PROBE_RETRY_MS.
 *
 * Everything but rt_probe_main() runs in the launcher, which is connected to no database; the list is in the
 * context given at the start.  Catalog reads take transactions of their own, and may raise: the launcher then
 * ends, and the postmaster starts it anew.  rt_probe_main() is a worker of its own, "rt probe". */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "extension/server/rt_shmem.h"
#include "extension/config/setting_values.h"
#include "extension/config/settings_list.h"
#include "bgworker/supervisor/backoff.h"
#include "candidates.h"
#include "bgworker/worker/clock.h"
#include "bgworker/worker/session.h"

#define SCAN_INTERVAL_MS 60000 /* databases that became connectable are noticed at the latest then */
#define PROBE_RETRY_MS 10000   /* after a probe that could not connect */
#define INVALID_DATABASE (-2)  /* datconnlimit of what an interrupted DROP DATABASE left */

void
rt_candidates_init(struct rt_candidates *cs, MemoryContext context)
{
	memset(cs, 0, sizeof(*cs));
	cs->context = context;
}

struct rt_candidate *
rt_candidates_find(const struct rt_candidates *cs, Oid oid)
{
	ListCell *cell;

	foreach (cell, cs->list)
	{
		struct rt_candidate *c = lfirst(cell);

		if (c->oid == oid)
			return c;
	}
	return NULL;
}

bool
rt_candidates_exists(Oid oid)
{
	bool exists;

	StartTransactionCommand();
	exists = get_database_name(oid) != NULL;
	CommitTransactionCommand();
	return exists;
}

/* ---- the scan ---------------------------------------------------------------- */

/* The database's place in rt.databases with its ports; false where the list leaves it out. */
static bool
find_served(List *served, const char *name, int *rank, struct rt_served *entry)
{
	ListCell *cell;

	*rank = 0;
	*entry = (struct rt_served){.port = rt_port, .media_port = rt_media_port};
	if (served == NIL)
		return true;
	foreach (cell, served)
	{
		struct rt_served *s = lfirst(cell);

		++*rank;
		if (strcmp(s->name, name) == 0)
		{
			*entry = *s;
			return true;
		}
	}
	return false;
}

static void
list_database(struct rt_candidates *cs, List *served, Form_pg_database row)
{
	struct rt_served entry;
	struct rt_candidate *c;
	int rank;

	if (!row->datallowconn || row->datconnlimit == INVALID_DATABASE ||
		!find_served(served, NameStr(row->datname), &rank, &entry))
		return;
	if (rank == 0 && row->datistemplate)
		return;
	c = rt_candidates_find(cs, row->oid);
	if (c == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(cs->context);

		c = palloc0(sizeof(*c));
		c->oid = row->oid;
		cs->list = lappend(cs->list, c);
		MemoryContextSwitchTo(old);
	}
	strlcpy(c->name, NameStr(row->datname), sizeof(c->name));
	c->rank = rank;
	c->port = entry.port;
	c->media_port = entry.media_port;
	c->listed = true;
}

static int
compare(const ListCell *a, const ListCell *b)
{
	const struct rt_candidate *ca = lfirst(a);
	const struct rt_candidate *cb = lfirst(b);

	if (ca->rank != cb->rank)
		return ca->rank < cb->rank ? -1 : 1;
	return ca->oid < cb->oid ? -1 : ca->oid > cb->oid;
}

static void
forget_unlisted(struct rt_candidates *cs)
{
	ListCell *cell;

	foreach (cell, cs->list)
	{
		struct rt_candidate *c = lfirst(cell);

		if (c->listed)
			continue;
		cs->list = foreach_delete_current(cs->list, cell);
		pfree(c);
	}
}

/* Afterwards the list has exactly the databases that may be served, in the order of rt.databases, or of their
 * oids where that is empty: the first get slots and ports first.  A database that stays keeps what is known of
 * it. */
static void
scan(struct rt_candidates *cs)
{
	Relation rel;
	TableScanDesc rows;
	HeapTuple tuple;
	ListCell *cell;
	List *served;

	foreach (cell, cs->list)
		((struct rt_candidate *) lfirst(cell))->listed = false;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	served = rt_settings_served();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	rows = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(rows, ForwardScanDirection)))
		list_database(cs, served, (Form_pg_database) GETSTRUCT(tuple));
	table_endscan(rows);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();

	forget_unlisted(cs);
	list_sort(cs->list, compare);
	cs->next_scan = TimestampTzPlusMilliseconds(rt_clock_now(), SCAN_INTERVAL_MS);
}

void
rt_candidates_reload(struct rt_candidates *cs)
{
	ListCell *cell;

	cs->next_scan = 0;
	foreach (cell, cs->list)
		((struct rt_candidate *) lfirst(cell))->complained = false;
}

static void
look_again(struct rt_candidate *c)
{
	c->seen = RT_SEEN_UNKNOWN;
	c->probe_due = 0;
	c->complained = false;
}

/* Databases in which an extension came or went, or that somebody dropped, renamed or copied.  Where more than
 * RT_MAX_RECHECK were asked for between two turns, the list is incomplete and every database is looked at. */
static void
take_rechecks(struct rt_candidates *cs)
{
	Oid oids[RT_MAX_RECHECK];
	int count;
	ListCell *cell;

	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	count = rt_shared_state->nrecheck;
	memcpy(oids, rt_shared_state->recheck, sizeof(oids));
	rt_shared_state->nrecheck = 0;
	LWLockRelease(&rt_shared_state->lock);
	if (count == 0)
		return;
	cs->next_scan = 0;
	foreach (cell, cs->list)
	{
		struct rt_candidate *c = lfirst(cell);
		bool named = count > RT_MAX_RECHECK;

		for (int i = 0; i < count && !named; i++)
			named = oids[i] == c->oid;
		if (named)
			look_again(c);
	}
}

/* ---- the probe --------------------------------------------------------------- */

/* The body of worker "rt probe". */
void
rt_probe_main(Datum main_arg)
{
	Oid database = DatumGetObjectId(main_arg);
	bool found;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	rt_session_prepare();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	rt_session_set("0");
	StartTransactionCommand();
	found = OidIsValid(get_extension_oid("rt", true));
	CommitTransactionCommand();

	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	if (rt_shared_state->probe_oid == database)
	{
		rt_shared_state->probe_found = found;
		rt_shared_state->probe_oid = InvalidOid;
	}
	LWLockRelease(&rt_shared_state->lock);
	proc_exit(0);
}

bool
rt_register_worker(const char *name, const char *function, Oid database, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;
	bool registered;
	MemoryContext old;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	strlcpy(worker.bgw_library_name, "rt", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, name, sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, name, sizeof(worker.bgw_type));
	/* The handle outlives what called us. */
	old = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, handle);
	MemoryContextSwitchTo(old);
	if (!registered)
		*handle = NULL;
	return registered;
}

void
rt_complain_of_workers(const char *name, const char *database)
{
	ereport(LOG, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				  errmsg("could not start \"%s\" for database \"%s\": no free background worker", name, database),
				  errhint("Increase max_worker_processes: rt needs one worker, two for each database that it "
						  "serves, and one to inspect new databases.")));
}

/* probe_oid is set before the worker exists: its answer cannot be overwritten.  Without a free worker, the next
 * try is after RT_BACKOFF_MAX_MS; the log is told once. */
static void
start_probe(struct rt_candidates *cs, struct rt_candidate *c)
{
	LWLockAcquire(&rt_shared_state->lock, LW_EXCLUSIVE);
	rt_shared_state->probe_oid = c->oid;
	rt_shared_state->probe_found = false;
	LWLockRelease(&rt_shared_state->lock);
	cs->probing = c->oid;
	if (rt_register_worker("rt probe", "rt_probe_main", c->oid, &cs->probe))
		return;
	if (!c->complained)
		rt_complain_of_workers("rt probe", c->name);
	c->complained = true;
	c->probe_due = TimestampTzPlusMilliseconds(rt_clock_now(), RT_BACKOFF_MAX_MS);
}

/* Takes the answer of a probe that has ended. */
static void
finish_probe(struct rt_candidates *cs)
{
	struct rt_candidate *c = rt_candidates_find(cs, cs->probing);
	bool answered;
	bool found;

	pfree(cs->probe);
	cs->probe = NULL;
	LWLockAcquire(&rt_shared_state->lock, LW_SHARED);
	answered = !OidIsValid(rt_shared_state->probe_oid);
	found = rt_shared_state->probe_found;
	LWLockRelease(&rt_shared_state->lock);
	if (c == NULL)
		return;
	if (!answered)
	{
		c->probe_due = TimestampTzPlusMilliseconds(rt_clock_now(), PROBE_RETRY_MS);
		return;
	}
	c->seen = found ? RT_SEEN_PRESENT : RT_SEEN_ABSENT;
	c->complained = false;
	if (!found && c->rank > 0)
		ereport(LOG, (errmsg("database \"%s\" is listed in rt.databases but does not have extension rt", c->name),
					  errhint("Run CREATE EXTENSION rt CASCADE in that database.")));
}

static bool
is_suspended(Oid oid)
{
	rt_database *db = rt_database_find(oid, false);
	bool suspended;

	if (db == NULL)
		return false;
	LWLockAcquire(&rt_shared_state->lock, LW_SHARED);
	suspended = db->suspended > 0;
	LWLockRelease(&rt_shared_state->lock);
	return suspended;
}

/* Returns when the next probe is due that could not be started now. */
static TimestampTz
probe_next(struct rt_candidates *cs)
{
	TimestampTz now = rt_clock_now();
	TimestampTz next = DT_NOEND;
	ListCell *cell;
	pid_t pid;

	if (cs->probe != NULL && GetBackgroundWorkerPid(cs->probe, &pid) == BGWH_STOPPED)
		finish_probe(cs);
	foreach (cell, cs->list)
	{
		struct rt_candidate *c = lfirst(cell);

		if (cs->probe != NULL)
			break;
		if (c->seen != RT_SEEN_UNKNOWN || is_suspended(c->oid))
			continue;
		if (c->probe_due <= now)
			start_probe(cs, c);
		if (c->probe_due > now)
			next = Min(next, c->probe_due);
	}
	return next;
}

TimestampTz
rt_candidates_turn(struct rt_candidates *cs)
{
	TimestampTz next;

	take_rechecks(cs);
	if (cs->next_scan <= rt_clock_now())
		scan(cs);
	next = probe_next(cs);
	return Min(next, cs->next_scan);
}
