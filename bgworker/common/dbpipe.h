/* dbpipe.h: one connection in pipeline mode, and the calls that are under way on it, in their order. */
#ifndef RT_DBPIPE_H
#define RT_DBPIPE_H

#include <stdbool.h>

#include "db.h"
#include "loop.h"

/* One call.  Owned by the pool while it waits, by the pipe while it is under way. */
struct rt_dbcall
{
	struct rt_dbcall *next;
	const char *fn;
	char *actor;
	char *req;
	size_t req_len;
	rt_db_cb cb;
	void *arg;
	void (*on_over)(void *arg, struct rt_dbcall *call); /* behind the callback, in front of the end */
	void *over_arg;
	uint64_t since_ms; /* when it came, then when the server can have begun with it */
	uint64_t began_us; /* when it came */
	struct rt_histogram *durations;
	enum rt_db_lane lane;
	bool has_turn; /* of its user's, see dbturns.h */
	bool retried;
	bool prepares; /* its Prepare has not succeeded yet */
};

struct rt_dbpipe;

struct rt_dbpipe_owner
{
	void (*on_room)(void *arg);                          /* the pipe can take calls (again) */
	void (*on_retry)(void *arg, struct rt_dbcall *call); /* takes the call back */
	void (*on_lost)(void *arg, struct rt_dbcall *call);  /* likewise; it may have been carried out */
	void *arg;
};

struct rt_dbpipe *rt_dbpipe_new(struct rt_loop *l, const char *conninfo, int statement_timeout_ms,
								const struct rt_dbpipe_owner *owner);
void rt_dbpipe_free(struct rt_dbpipe *p); /* answers what is under way with `unavailable`; NULL is fine */

bool rt_dbpipe_up(const struct rt_dbpipe *p);
int rt_dbpipe_depth(const struct rt_dbpipe *p);                   /* calls under way */
bool rt_dbpipe_has_room(const struct rt_dbpipe *p);               /* up, and not too deep */
void rt_dbpipe_send(struct rt_dbpipe *p, struct rt_dbcall *call); /* takes the call */
void rt_dbpipe_flush(struct rt_dbpipe *p);                        /* after one or several calls were sent */
void rt_dbpipe_check(struct rt_dbpipe *p, uint64_t now_ms);       /* drops a connection that has stopped answering */

void rt_dbcall_answer(struct rt_dbcall *call, const struct rt_db_reply *reply); /* and frees it */
void rt_dbcall_refuse(struct rt_dbcall *call);                                  /* `unavailable`; frees it */

#endif
