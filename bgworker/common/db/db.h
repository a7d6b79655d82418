/* db.h: the way to PostgreSQL: a small pool of libpq connections in pipeline mode, and one that LISTENs.
 *
 * A callback never runs before rt_db_call() has returned.
 *
 * Of one actor's calls fewer are under way than there are connections, so that nobody keeps all of them busy.
 *
 * Every request is one call of a function in rt_api, in a transaction of its own, prepared once a
 * connection.  Calls that wait while no connection is up are kept up to a limit, then answered
 * `unavailable`; so is a call whose connection breaks before its answer (it may have been carried out:
 * what must not happen twice carries its own key, as clientId does). */
#ifndef RT_DB_H
#define RT_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "dbcall.h"
#include "dblisten.h"

struct rt_histogram;
struct rt_loop;
struct rt_db;

struct rt_db_options
{
	const char *conninfo;
	const char *role;     /* that each session takes on; NULL: none.  Lent, and must live as long */
	int fast_connections; /* 4 */
	int locking_connections;
	int slow_connections; /* 1; a lane without connections must not be called */
	int own_connections;  /* 1 */
	size_t max_waiting;   /* calls, 10,000 */
};

enum rt_result rt_db_new(struct rt_db **dbp, struct rt_loop *l, const struct rt_db_options *o);
void rt_db_set_conninfo(struct rt_db *db, const char *conninfo); /* for connections that begin later */
void rt_db_free(struct rt_db *db); /* callbacks of open calls are run with `unavailable` */

/* rt_api.<fn>(actor, req).  fn is a literal; actor may be NULL; req is JSON text, copied. */
void rt_db_call(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *actor, const char *req,
				size_t req_len, rt_db_cb cb, void *arg);

/* The same for a call that will probably wait for a lock, as the last one of its kind did: see db.c. */
void rt_db_call_held(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *req, size_t req_len,
					 rt_db_cb cb, void *arg);

/* Whether a call did not get a lock in time. */
bool rt_db_reply_is_held(const struct rt_db_reply *reply);

/* The same for a call that checks a password: half of the lane's connections take such calls at the most.  Not the
 * actor takes turns, but first and then second (either may be NULL); of second one call is under way at a time. */
void rt_db_call_heavy(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *actor, const char *first,
					  const char *second, const char *req, size_t req_len, rt_db_cb cb, void *arg);

/* One channel; the callbacks run from the loop. */
void rt_db_listen(struct rt_db *db, const char *channel, rt_db_notify_cb on_notify, rt_db_listen_cb on_listen,
				  void *arg);
/* Over a new connection; the callback may run at once. */
void rt_db_listen_again(struct rt_db *db, const char *why);

bool rt_db_lane_up(const struct rt_db *db, enum rt_db_lane lane); /* at least one of its connections is */
bool rt_db_up(const struct rt_db *db);                            /* at least one fast connection, and the LISTEN */

/* Calls that no connection has taken yet, those that wait for their user's turn too. */
size_t rt_db_waiting(const struct rt_db *db);

/* Of calls that were answered, their waiting included. */
const struct rt_histogram *rt_db_durations(const struct rt_db *db, enum rt_db_lane lane);

#endif
