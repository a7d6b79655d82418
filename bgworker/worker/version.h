/* version.h: whether the extension in this database is of the library's version. */
#ifndef RT_BGWORKER_VERSION_H
#define RT_BGWORKER_VERSION_H

#include "postgres.h"

/* False: "ALTER EXTENSION rt UPDATE" has not been run yet, which the first call that sees it logs.  Takes a
 * transaction of its own. */
extern bool rt_version_matches(const char *database);

/* The relay works with the SQL of an older version too: whether rt.deleted_messages is there, as since 1.2. In a
 * transaction. */
extern bool rt_version_has_places(void);

#endif
