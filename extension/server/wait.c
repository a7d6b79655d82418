/* wait.c: names what rt waits for; see wait.h.  Runs in any process of the server.  The number of a name is asked
 * for once in each process, which may raise and takes a lock of the server's: hold no LWLock meanwhile. */
#include "postgres.h"

#include "utils/wait_event.h"

#include "wait.h"

uint32
rt_wait_event(enum rt_wait which)
{
#if PG_VERSION_NUM >= 170000
	static const char *const names[RT_WAITS] = {"RtLauncherMain", "RtRelayMain", "RtSupervisorMain", "RtSuspend",
												"RtDurable"};
	static uint32 events[RT_WAITS];

	if (events[which] == 0)
		events[which] = WaitEventExtensionNew(names[which]);
	return events[which];
#else
	return PG_WAIT_EXTENSION;
#endif
}
