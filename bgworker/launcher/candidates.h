/* candidates.h: the databases that could be served, and whether extension rt is in them.
 *
 * A worker that is connected to no database sees pg_database but no database's extensions.  So in each database that
 * is not known yet a short "rt probe" worker looks, one at a time.  For the launcher alone. */
#ifndef RT_CANDIDATES_H
#define RT_CANDIDATES_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "postmaster/bgworker.h"
#include "utils/timestamp.h"

enum rt_seen
{
	RT_SEEN_UNKNOWN,
	RT_SEEN_ABSENT,
	RT_SEEN_PRESENT
};

/* One connectable database. */
struct rt_candidate
{
	Oid oid;
	char name[NAMEDATALEN];
	int rank; /* place in rt.databases, from 1; 0 where that is empty */
	int port;
	int media_port;
	enum rt_seen seen;
	TimestampTz probe_due;
	bool listed;     /* still there, by the scan under way */
	bool complained; /* one log line for what keeps it from being served */
};

struct rt_candidates
{
	MemoryContext context;
	List *list; /* of struct rt_candidate, in the order in which they get slots and ports */
	BackgroundWorkerHandle *probe;
	Oid probing;
	TimestampTz next_scan;
};

extern void rt_candidates_init(struct rt_candidates *cs, MemoryContext context);

/* Reads pg_database where that is due or a command asked for it, goes on with the probes, and returns when it wants
 * to be called again at the latest. */
extern TimestampTz rt_candidates_turn(struct rt_candidates *cs);

extern void rt_candidates_reload(struct rt_candidates *cs); /* the settings have changed */
extern struct rt_candidate *rt_candidates_find(const struct rt_candidates *cs, Oid oid);
extern bool rt_candidates_exists(Oid oid); /* asks the catalog */

/* Registers one of our workers, to run once in this database; the caller is told when it ends. */
extern bool rt_register_worker(const char *name, const char *function, Oid database, BackgroundWorkerHandle **handle);
extern void rt_complain_of_workers(const char *name, const char *database);

extern PGDLLEXPORT void rt_probe_main(Datum main_arg); /* database oid */

#endif
