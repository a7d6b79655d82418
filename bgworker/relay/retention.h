/* retention.h: what is removed when its time is over. */
#ifndef RT_RETENTION_H
#define RT_RETENTION_H

#include "extension/server/rt_shmem.h"

/* Inside a transaction, by a session that suppresses events.  Each removes a bounded number of rows; true: there are
 * more. */
extern bool rt_retention_purge_log(rt_database *db);      /* rt.recovery_window */
extern bool rt_retention_purge_messages(rt_database *db); /* rt.retain_messages */
extern bool rt_retention_purge_places(rt_database *db);   /* the same: of deleted messages */
extern bool rt_retention_purge_audit(rt_database *db);    /* rt.retain_audit */

#endif
