/* session.c: fixes a worker's settings; see session.h.  What a DBA sets for sessions of people (time limits, read
 * only, serializable, another role) would stop a worker, or make it leave out what triggers do.
 *
 * Runs in the launcher, the probe, the relay and each supervisor as they start, and may raise, which ends them.
 * A reload does not change what is set here. */
#include "postgres.h"

#include "utils/guc.h"

#include "bgworker/common/db/session_settings.h"
#include "session.h"

static const char *const OPTIONS[][2] = {
	RT_SERVER_SETTINGS,
	RT_SESSION_SETTINGS,
#if PG_VERSION_NUM >= 170000
	RT_SESSION_SETTINGS_17,
#endif
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
