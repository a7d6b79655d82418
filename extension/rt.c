/* rt.c: what happens as the server loads the library: settings, shared memory, hooks, workers.  What each of them
 * does is in the module that installs it.
 *
 * _PG_init() runs in the postmaster, which every backend is forked from, or in a session that loads the library
 * itself.  No lock is held, and there is no shared memory yet.  An error in the postmaster ends the server's
 * start. */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"

#include "bgworker/launcher/launcher.h"
#include "extension/events/event.h"
#include "extension/server/discretion.h"
#include "extension/server/hooks.h"
#include "extension/changes/change.h"
#include "extension/changes/member_count.h"
#include "extension/changes/thread_place.h"
#include "extension/messages/number.h"
#include "extension/server/rt_shmem.h"
#include "extension/config/settings.h"

#define LAUNCHER_RESTART_S 5

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

/* It starts the relays and supervisors.  On a standby it waits for the promotion. */
static void
register_launcher(void)
{
	BackgroundWorker worker = {0};

	strlcpy(worker.bgw_name, "rt launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "rt launcher", sizeof(worker.bgw_type));
	strlcpy(worker.bgw_library_name, "rt", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "rt_launcher_main", sizeof(worker.bgw_function_name));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = LAUNCHER_RESTART_S;
	RegisterBackgroundWorker(&worker);
}

/* Loaded by a session of a server without shared_preload_libraries, the library still serves what needs no shared
 * memory, tokens among it; rows are stored but no event leaves, and the session is warned once
 * (extension/events/event.c). */
void
_PG_init(void)
{
	rt_settings_define();
	rt_event_install();
	rt_number_install();
	rt_change_install();
	rt_member_count_install();
	rt_thread_place_install();
	if (!process_shared_preload_libraries_in_progress)
		return;
	rt_shmem_install();
	rt_hooks_install();
	rt_discretion_install();
	register_launcher();
}
