/* dbpipe.h: one connection in pipeline mode, and the calls that are under way on it, in their order. */
#ifndef RT_DBPIPE_H
#define RT_DBPIPE_H

#include <stdbool.h>

#include "bgworker/common/loop.h"
#include "dbcall.h"

struct rt_dbconn_login;
struct rt_dbpipe;

struct rt_dbpipe_owner
{
	void (*on_room)(void *arg);                          /* the pipe can take calls (again) */
	void (*on_retry)(void *arg, struct rt_dbcall *call); /* takes the call back */
	void (*on_lost)(void *arg, struct rt_dbcall *call);  /* likewise; it may have been carried out */
	void *arg;
};

struct rt_dbpipe_limits
{
	int statement_timeout_ms;
	int lock_timeout_ms; /* beyond that the call is handed to on_retry(), with due_ms set: later, with a growing pause
						  */
};

struct rt_dbpipe *rt_dbpipe_new(struct rt_loop *l, struct rt_dbconn_login *login,
								const struct rt_dbpipe_limits *limits, const struct rt_dbpipe_owner *owner);
void rt_dbpipe_free(struct rt_dbpipe *p); /* answers what is under way with `unavailable`; NULL is fine */

bool rt_dbpipe_up(const struct rt_dbpipe *p);
int rt_dbpipe_depth(const struct rt_dbpipe *p);                   /* calls under way */
int rt_dbpipe_held(const struct rt_dbpipe *p);                    /* of these, which may wait for a lock */
bool rt_dbpipe_has_room(const struct rt_dbpipe *p);               /* up, and not too deep */
void rt_dbpipe_send(struct rt_dbpipe *p, struct rt_dbcall *call); /* takes the call */
void rt_dbpipe_flush(struct rt_dbpipe *p);                        /* after one or several calls were sent */
void rt_dbpipe_check(struct rt_dbpipe *p, uint64_t now_ms);       /* drops a connection that has stopped answering */
void rt_dbpipe_leave_silent(struct rt_dbpipe *p);                 /* the server is silent: so is this connection */

#endif
