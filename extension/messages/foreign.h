/* foreign.h: tables that a subscription fills, and the workers that fill them. */
#ifndef RT_FOREIGN_H
#define RT_FOREIGN_H

#include "postgres.h"

/* A subscription of this database, enabled or not, has the table. */
extern bool rt_foreign_is(Oid relid);

/* This process is a worker of a subscription; and it makes the first copy of a table. */
extern bool rt_foreign_is_applying(void);
extern bool rt_foreign_is_copying(void);

#endif
