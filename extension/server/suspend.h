/* suspend.h: makes a database empty of rt's workers and programs, for as long as a transaction needs that. */
#ifndef RT_SUSPEND_H
#define RT_SUSPEND_H

#include "postgres.h"

/* Asks the launcher to end what runs there, waits for it (10 s at most), and ends the sessions of roles rt_gateway
 * and rt_media there.  Holds until the transaction ends, one way or the other.  Nothing to do where the database is
 * not served. */
extern void rt_suspend_database(Oid oid);

/* Asks the launcher to look at a database again, once the transaction has committed. */
extern void rt_recheck_at_commit(Oid oid);

/* For callbacks at the end of a transaction: carries out, or forgets, the two above. */
extern void rt_suspend_at_end(bool committed);

#endif
