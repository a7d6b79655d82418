/* supervisor.h: the worker, one for each served database, that keeps the programs running. */
#ifndef RT_SUPERVISOR_H
#define RT_SUPERVISOR_H

#include "postgres.h"

extern PGDLLEXPORT void rt_supervisor_main(Datum main_arg); /* database oid */

#endif
