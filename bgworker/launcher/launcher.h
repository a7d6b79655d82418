/* launcher.h: the one worker that finds the databases with extension rt and keeps a relay and a supervisor running
 * in each. */
#ifndef RT_LAUNCHER_H
#define RT_LAUNCHER_H

#include "postgres.h"

extern PGDLLEXPORT void rt_launcher_main(Datum main_arg);

#endif
