/* dbread.h: reads that hot standbys answer, where there are some, and the primary where not.
 *
 * A read sees all that had committed before it was asked for, whoever wrote it: it goes to a standby with the
 * position that the primary's log has by then, and the standby answers once it has replayed that.  A standby that
 * lags, is slow, or does not answer is left out, its reads go to the primary, and it comes back once it answers a
 * probe. */
#ifndef RT_DBREAD_H
#define RT_DBREAD_H

#include <stddef.h>

#include "dbcall.h"

struct rt_db;
struct rt_dbread;
struct rt_loop;

struct rt_dbread_options
{
	const char *conninfo;      /* of the primary: what conninfo_read leaves out is taken from it */
	const char *conninfo_read; /* libpq's; each of its hosts is one standby; "": none */
	const char *role;          /* as in rt_db_options */
	int connections;           /* to each standby, for each lane */
};

/* primary is lent, and must live longer.  A connection string that cannot be read is logged, and there are no
 * standbys. */
struct rt_dbread *rt_dbread_new(struct rt_loop *l, struct rt_db *primary, const struct rt_dbread_options *o);
void rt_dbread_free(struct rt_dbread *rd); /* what is under way goes to the primary; NULL is fine */

/* As rt_db_call(), of a function that writes nothing and that rt_api.replica_read knows. */
void rt_dbread_call(struct rt_dbread *rd, enum rt_db_lane lane, const char *fn, const char *actor, const char *req,
					size_t req_len, rt_db_cb cb, void *arg);

/* What a confined program must be able to reach: a connection string with the hosts of both.  Freed by the caller. */
char *rt_dbread_targets(const char *conninfo, const char *conninfo_read);

#endif
