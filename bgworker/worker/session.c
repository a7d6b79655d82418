/* session.c: fixes a worker's settings; see session.h.  What a DBA sets for sessions of people (time limits, read
 * only, serializable, another role) would stop a worker, or make it leave out what triggers do.
 *
 * Runs in the launcher, the probe, the relay and each supervisor as they start, and may raise, which ends them.
 * A reload does not change what is set here. */
#include "postgres.h"

#include "utils/guc.h"

#include "session.h"

static const char *const OPTIONS[][2] = {
	{"role", "none"},
	{"search_path", "pg_catalog, pg_temp"},
	{"statement_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
#if PG_VERSION_NUM >= 170000
	{"transaction_timeout", "0"},
#endif
	{"default_transaction_read_only", "off"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_deferrable", "off"},
	{"session_replication_role", "origin"},
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
	{"jit", "off"},
};

void
rt_session_prepare(void)
{
#if PG_VERSION_NUM >= 170000
	SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
#endif
}

void
rt_session_set(const char *lock_timeout)
{
	for (size_t i = 0; i < lengthof(OPTIONS); i++)
		SetConfigOption(OPTIONS[i][0], OPTIONS[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", lock_timeout, PGC_SUSET, PGC_S_OVERRIDE);
}
