/* relay.h: the worker, one for each served database, that numbers the events of committed transactions, writes them
 * to rt.events and notifies for them. */
#ifndef RT_RELAY_H
#define RT_RELAY_H

#include "postgres.h"

extern PGDLLEXPORT void rt_relay_main(Datum main_arg); /* database oid */

#endif
