/* launcher.h: the one worker that finds the databases with extension rt and keeps a relay and a
 * supervisor running in each. */
#ifndef RT_LAUNCHER_H
#define RT_LAUNCHER_H

#include "postgres.h"

extern PGDLLEXPORT void rt_launcher_main(Datum main_arg);
extern PGDLLEXPORT void rt_probe_main(Datum main_arg); /* database oid: says whether rt is there, and ends */

/* Wakes the launcher, if it runs.  Raises nothing, takes no lock but rt_shared.lock. */
extern void rt_launcher_wake(void);

#endif
