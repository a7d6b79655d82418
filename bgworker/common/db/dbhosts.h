/* dbhosts.h: the hosts of a connection string, one by one.
 *
 * libpq tries them in their order, and waits for one that is silent as long as the attempt may take: its
 * connect_timeout holds for blocking calls alone.  So a program tries each host by itself (rt_dbhosts_connect_to(),
 * as dbconn.c does).  Who can only wait for one attempt at a time begins with another host each time: the one that
 * has not answered is tried last, and an attempt is short at first; its limit doubles whenever all have been late. */
#ifndef RT_DBHOSTS_H
#define RT_DBHOSTS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#define RT_DBHOSTS_REASON_BYTES 300
#define RT_DBHOSTS_MOST 8 /* of more, libpq makes one attempt after the other */

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

/* How many hosts there are to be tried by themselves, 1 to RT_DBHOSTS_MOST; 1 where libpq has to choose. */
int rt_dbhosts_count(const char *conninfo);

/* As PQconnectStart(), of host number i alone, counted from 0. */
PGconn *rt_dbhosts_connect_to(const char *conninfo, int i);
void rt_dbhosts_explain(const PGconn *pg, int count, char reason[RT_DBHOSTS_REASON_BYTES]); /* that it is late */

/* Whether a keyword's value is a list with an item for each host, and how many a list has; 0: NULL. */
bool rt_dbhosts_lists(const char *keyword);
int rt_dbhosts_items(const char *list);

#endif
