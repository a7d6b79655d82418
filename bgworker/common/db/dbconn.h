/* dbconn.h: one libpq connection on the loop: connects, comes back with back-off, flushes, and says when there
 * is input.  Knows nothing of what is sent over it. */
#ifndef RT_DBCONN_H
#define RT_DBCONN_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "bgworker/common/loop.h"

struct rt_dbconn;

struct rt_dbconn_user
{
	void (*on_up)(void *arg);    /* connected, session settings done */
	void (*on_input)(void *arg); /* PQconsumeInput() was called: look for results and notifications */
	void (*on_down)(void *arg);  /* it was up and is lost; a new attempt follows by itself */
	void *arg;
};

struct rt_dbconn *rt_dbconn_new(struct rt_loop *l, const char *conninfo, int statement_timeout_ms,
								int lock_timeout_ms, const struct rt_dbconn_user *user);
void rt_dbconn_free(struct rt_dbconn *c); /* without on_down; NULL is fine */

bool rt_dbconn_up(const struct rt_dbconn *c);
PGconn *rt_dbconn_pg(struct rt_dbconn *c);                 /* lent while up */
void rt_dbconn_flush(struct rt_dbconn *c);                 /* after anything was sent */
void rt_dbconn_drop(struct rt_dbconn *c, const char *why); /* on_down comes at once; reconnects */

#endif
