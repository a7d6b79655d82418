/* dbconn.h: one libpq connection on the loop: connects, comes back with back-off, flushes, and says when there
 * is input.  Knows nothing of what is sent over it. */
#ifndef RT_DBCONN_H
#define RT_DBCONN_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "bgworker/common/loop.h"

struct rt_dbconn;

/* Where the connections of a program go.  Its owner may change conninfo and role: each new attempt looks here. */
struct rt_dbconn_login
{
	char *conninfo;
	const char *role;        /* that sessions take on by SET ROLE; NULL: none */
	struct rt_dbconn *conns; /* dbconn.c's: all that have this login, the youngest first; NULL to begin with */
};

struct rt_dbconn_user
{
	void (*on_up)(void *arg);    /* connected, session settings done */
	void (*on_input)(void *arg); /* PQconsumeInput() was called: look for results and notifications */
	void (*on_down)(void *arg);  /* it was up and is lost; a new attempt follows by itself */
	void *arg;
};

/* The login is lent, and must live as long. */
struct rt_dbconn *rt_dbconn_new(struct rt_loop *l, struct rt_dbconn_login *login, int statement_timeout_ms,
								int lock_timeout_ms, const struct rt_dbconn_user *user);
void rt_dbconn_free(struct rt_dbconn *c); /* without on_down; NULL is fine */

/* Whether a failed attempt's reason, with its SQLSTATE, says that the role or database is wrong or kept out. */
bool rt_dbconn_is_login_refused(const char *reason);

bool rt_dbconn_up(const struct rt_dbconn *c);
bool rt_dbconn_has_several_hosts(const struct rt_dbconn *c);
uint64_t rt_dbconn_heard_ms(const struct rt_dbconn *c);    /* when anything came last, by the loop's clock */
PGconn *rt_dbconn_pg(struct rt_dbconn *c);                 /* lent while up */
void rt_dbconn_flush(struct rt_dbconn *c);                 /* after anything was sent */
void rt_dbconn_read(struct rt_dbconn *c);                  /* what is there already; on_input may run */
void rt_dbconn_drop(struct rt_dbconn *c, const char *why); /* on_down comes at once; reconnects */

#endif
