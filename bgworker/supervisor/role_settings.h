/* role_settings.h: what is set for the roles of the programs (ALTER ROLE … SET). */
#ifndef RT_ROLE_SETTINGS_H
#define RT_ROLE_SETTINGS_H

#include "postgres.h"

/* Whether the role has what it needs, and nothing else.  In the caller's transaction. */
extern bool rt_role_settings_are_right(Oid role);

/* In the caller's transaction, which holds a lock on the role against its other supervisors. */
extern void rt_role_settings_reset(Oid role, const char *name);

#endif
