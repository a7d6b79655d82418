/* retention.h: what is removed when its time is over. */
#ifndef RT_RETENTION_H
#define RT_RETENTION_H

/* Inside a transaction, by a session that suppresses events.  Each removes a bounded number of rows; true: there are
 * more. */
extern bool rt_retention_purge_log(void);      /* rt.recovery_window */
extern bool rt_retention_purge_messages(void); /* rt.retain_messages */
extern bool rt_retention_purge_audit(void);    /* rt.retain_audit */

#endif
