/* dbhosts.h: which of a connection string's hosts is tried first, and for how long.
 *
 * libpq tries them in their order, and waits for one that is silent as long as the attempt may take: its
 * connect_timeout holds for blocking calls alone.  So the host that has not answered, or was lost, is tried last the
 * next time, and an attempt is short at first; its limit doubles whenever all hosts have been late. */
#ifndef RT_DBHOSTS_H
#define RT_DBHOSTS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#define RT_DBHOSTS_REASON_BYTES 300

/* All zeros to begin with. */
struct rt_dbhosts
{
	int count; /* at the last attempt; 0: there was none */
	int first; /* counted from 0 */
	int nlate; /* attempts in a row that ended for want of an answer */
};

/* As PQconnectStart(). */
PGconn *rt_dbhosts_connect(struct rt_dbhosts *h, const char *conninfo);

/* Of the attempt that rt_dbhosts_connect() has begun. */
uint64_t rt_dbhosts_limit_ms(const struct rt_dbhosts *h);

/* The limit has passed; reason names the host that was waited for. */
void rt_dbhosts_late(struct rt_dbhosts *h, const PGconn *pg, char reason[RT_DBHOSTS_REASON_BYTES]);
void rt_dbhosts_answered(struct rt_dbhosts *h);
void rt_dbhosts_lost(struct rt_dbhosts *h); /* a connection that had been up */

/* Whether a keyword's value is a list with an item for each host, and how many a list has; 0: NULL. */
bool rt_dbhosts_lists(const char *keyword);
int rt_dbhosts_items(const char *list);

#endif
