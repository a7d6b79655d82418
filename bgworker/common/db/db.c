/* db.c: see db.h.  Here are the pool and what waits for it; a connection's pipeline is dbpipe.c's.
 *
 *     call ──> turns (dbturns.c) ──its user's turn──> lane's queue ──a pipe has room──> pipe ──> answer
 *
 * What must stay true:
 *
 * - A call is answered once: by the server, or with `unavailable` when it waited its lane's wait_limits_ms, when its
 *   connection broke, or when there is no room for it.  It is never answered within rt_db_call(): refusals
 *   wait for the end of the turn.
 * - Calls of one user on one lane begin in their order.
 * - A heavy call, which checks a password, keeps a processor of the server busy as long as it runs.  So heavy calls
 *   have half of a lane's connections at the most, one call on each.  Those that had to wait for their turn, and
 *   those that had not, begin alternately: who logs in once does not wait behind all addresses that try passwords.
 * - A call that has waited for a lock before is held: it is under way on half of a lane's connections at the most.
 *   Others go by the other half as long as that takes any, so they do not wait for what somebody's transaction locks.
 * - waiting and waiting_bytes count what no pipe has: in a lane's queues, or with dbturns.c.
 *
 * Limits: max_waiting calls and MAX_WAITING_BYTES, over all lanes. */
#include "db.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dbconn.h"
#include "dberror.h"
#include "dblisten.h"
#include "dbpipe.h"
#include "dbturns.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/metric.h"

#define MAX_PIPES 32
#define CHECK_EVERY_MS 1000
#define MAX_WAITING_BYTES (128u << 20)

#define LOCK_BACKOFF_MS 250
#define LOCK_BACKOFF_MOST_MS 2000
#define DELAYED_EVERY_MS 50

/* A call that does not get a lock within 0.5 s gives its connection to others and is tried again: see
 * rt_dbpipe_new(). */
static const struct rt_dbpipe_limits limits[] = {
	[RT_DB_FAST] = {.statement_timeout_ms = 10000, .lock_timeout_ms = 500},
	[RT_DB_LOCKING] = {.statement_timeout_ms = 10000, .lock_timeout_ms = 250},
	[RT_DB_SLOW] = {.statement_timeout_ms = 30000, .lock_timeout_ms = 500},
	[RT_DB_OWN] = {.statement_timeout_ms = 10000, .lock_timeout_ms = 5000},
};

/* A call that no connection took by then is refused.  Passwords are slow by design, and an address's are checked one
 * after the other: an office that comes to work gets in all the same. */
static const uint64_t wait_limits_ms[] = {
	[RT_DB_FAST] = 8000, [RT_DB_LOCKING] = 8000, [RT_DB_SLOW] = 25000, [RT_DB_OWN] = 8000};

/* Calls that wait, the oldest first. */
struct calls
{
	struct rt_dbcall *head;
	struct rt_dbcall **tail;
};

/* The connections of one lane and the calls that wait for them. */
struct lane
{
	struct rt_dbpipe *pipes[MAX_PIPES];
	int npipes;
	struct calls calls;
	struct calls held;
	struct calls heavy[2]; /* [1]: of those that waited for a turn */
	int next_heavy;        /* of the two: which is first now */
	int heavy_under_way;
	struct rt_dbturns *turns[RT_DB_TURNS]; /* the second after the first */
};

struct rt_db
{
	struct rt_loop *loop;
	struct rt_dbconn_login login;
	struct lane lanes[RT_DB_LANES];
	struct rt_dblisten *listener;
	struct rt_timer *timer;
	struct rt_dbcall *delayed; /* could not get a lock: tried again when they are due */
	struct rt_timer *delayed_timer;
	size_t waiting;
	size_t waiting_bytes;
	size_t max_waiting;
	struct rt_dbcall *refused; /* answered at the end of the turn, so never within rt_db_call() */
	struct rt_histogram durations[RT_DB_LANES];
	bool dispatching;
	bool closing;
};

static void
count_waiting(struct rt_db *db, const struct rt_dbcall *call)
{
	db->waiting++;
	db->waiting_bytes += call->req_len;
}

static void
discount_waiting(struct rt_db *db, const struct rt_dbcall *call)
{
	db->waiting--;
	db->waiting_bytes -= call->req_len;
}

static struct calls *
queue_of(struct lane *lane, const struct rt_dbcall *call)
{
	if (call->is_heavy && !call->has_heavy_place)
		return &lane->heavy[call->waited_for_turn];
	return call->lock_waits > 0 ? &lane->held : &lane->calls;
}

static void
append(struct rt_db *db, struct rt_dbcall *call)
{
	struct calls *calls = queue_of(&db->lanes[call->lane], call);

	call->next = NULL;
	*calls->tail = call;
	calls->tail = &call->next;
	count_waiting(db, call);
}

static struct rt_dbcall *
pop(struct rt_db *db, struct calls *calls)
{
	struct rt_dbcall *call = calls->head;

	if (call == NULL)
		return NULL;
	calls->head = call->next;
	if (calls->head == NULL)
		calls->tail = &calls->head;
	call->next = NULL;
	discount_waiting(db, call);
	return call;
}

/* A pipe without held calls, if there is one with room. */
static struct rt_dbpipe *
shallowest(const struct lane *lane)
{
	struct rt_dbpipe *best = NULL;

	for (int i = 0; i < lane->npipes; i++)
	{
		struct rt_dbpipe *p = lane->pipes[i];
		bool is_free = rt_dbpipe_held(p) == 0;
		bool best_is_free = best != NULL && rt_dbpipe_held(best) == 0;

		if (!rt_dbpipe_has_room(p))
			continue;
		if (best == NULL || (is_free && !best_is_free) ||
			(is_free == best_is_free && rt_dbpipe_depth(p) < rt_dbpipe_depth(best)))
			best = p;
	}
	return best;
}

static int
half(const struct lane *lane)
{
	return lane->npipes > 1 ? lane->npipes / 2 : 1;
}

static bool
takes_held(const struct lane *lane)
{
	int n = 0;

	for (int i = 0; i < lane->npipes; i++)
		n += rt_dbpipe_held(lane->pipes[i]);
	return n < half(lane);
}

/* The queue of heavy calls that is first, or NULL. */
static struct calls *
first_heavy(struct lane *lane)
{
	int which = lane->heavy[lane->next_heavy].head != NULL ? lane->next_heavy : !lane->next_heavy;

	return lane->heavy_under_way < half(lane) && lane->heavy[which].head != NULL ? &lane->heavy[which] : NULL;
}

static void
send_heavy(struct rt_db *db, struct lane *lane, struct rt_dbpipe *p, struct calls *from)
{
	struct rt_dbcall *call = pop(db, from);

	lane->next_heavy = from == &lane->heavy[0];
	lane->heavy_under_way++;
	call->has_heavy_place = true;
	rt_dbpipe_send(p, call);
}

static void
dispatch_lane(struct rt_db *db, struct lane *lane)
{
	struct rt_dbpipe *p;
	struct calls *heavy;

	while ((heavy = first_heavy(lane)) != NULL && (p = shallowest(lane)) != NULL)
		send_heavy(db, lane, p, heavy);
	while (lane->held.head != NULL && takes_held(lane) && (p = shallowest(lane)) != NULL)
		rt_dbpipe_send(p, pop(db, &lane->held));
	while (lane->calls.head != NULL && (p = shallowest(lane)) != NULL)
		rt_dbpipe_send(p, pop(db, &lane->calls));
	for (int i = 0; i < lane->npipes; i++)
		rt_dbpipe_flush(lane->pipes[i]);
}

static void
dispatch(struct rt_db *db)
{
	/* A connection that breaks while it is written to answers its calls, and those may call again. */
	if (db->dispatching || db->closing)
		return;
	db->dispatching = true;
	for (int i = 0; i < RT_DB_LANES; i++)
		dispatch_lane(db, &db->lanes[i]);
	db->dispatching = false;
}

static void
on_room(void *arg)
{
	dispatch(arg);
}

static uint64_t
lock_backoff_ms(const struct rt_dbcall *call)
{
	uint64_t ms = LOCK_BACKOFF_MS;

	for (int i = 1; i < call->lock_waits && ms < LOCK_BACKOFF_MOST_MS; i++)
		ms *= 2;
	return ms;
}

static void
on_delayed(void *arg)
{
	struct rt_db *db = arg;
	struct rt_dbcall **at = &db->delayed;
	uint64_t now_ms = rt_loop_now_ms(db->loop);

	while (*at != NULL)
	{
		struct rt_dbcall *call = *at;

		if (call->due_ms > now_ms)
		{
			at = &call->next;
			continue;
		}
		*at = call->next;
		discount_waiting(db, call);
		call->since_ms = now_ms;
		append(db, call);
	}
	dispatch(db);
	if (db->delayed != NULL)
		rt_timer_start(db->delayed_timer, DELAYED_EVERY_MS);
}

static void
on_retry(void *arg, struct rt_dbcall *call)
{
	struct rt_db *db = arg;

	if (call->due_ms == 0)
	{
		append(db, call);
		dispatch(db);
		return;
	}
	call->due_ms = rt_loop_now_ms(db->loop) + lock_backoff_ms(call);
	if (db->delayed == NULL)
		rt_timer_start(db->delayed_timer, DELAYED_EVERY_MS);
	count_waiting(db, call);
	call->next = db->delayed;
	db->delayed = call;
}

static void
answer_refused(void *arg)
{
	struct rt_db *db = arg;
	struct rt_dbcall *list = db->refused;

	db->refused = NULL;
	while (list != NULL)
	{
		struct rt_dbcall *call = list;

		list = call->next;
		rt_dbcall_refuse(call);
	}
}

static void
refuse(struct rt_db *db, struct rt_dbcall *call)
{
	if (db->refused == NULL)
		rt_loop_defer(db->loop, answer_refused, db);
	call->next = db->refused;
	db->refused = call;
}

static void
on_lost(void *arg, struct rt_dbcall *call)
{
	refuse(arg, call);
}

/* Takes the turns that the call still needs, and then it is in the lane. */
static void
take_turns(struct rt_db *db, struct rt_dbcall *call, int from)
{
	enum rt_result rc = RT_OK;

	for (int i = from; i < RT_DB_TURNS && rc == RT_OK; i++)
		rc = rt_dbturns_begin(db->lanes[call->lane].turns[i], call);
	if (rc == RT_OK)
		append(db, call);
	else if (rc == RT_AGAIN)
	{
		call->waited_for_turn = true;
		count_waiting(db, call);
	}
	else
		refuse(db, call); /* the turns that it has end with it */
}

/* Others take its places. */
static void
on_over(void *arg, struct rt_dbcall *call)
{
	struct rt_db *db = arg;

	db->lanes[call->lane].heavy_under_way -= call->has_heavy_place;
	call->has_heavy_place = false;
	for (int i = RT_DB_TURNS - 1; i >= 0; i--)
	{
		struct rt_dbcall *next = rt_dbturns_end(db->lanes[call->lane].turns[i], call);

		if (next == NULL)
			continue;
		discount_waiting(db, next);
		take_turns(db, next, i + 1);
	}
	dispatch(db);
}

static void
on_dropped(void *arg, struct rt_dbcall *call)
{
	discount_waiting(arg, call);
	refuse(arg, call);
}

static void
refuse_before(struct rt_db *db, struct calls *calls, uint64_t before_ms)
{
	while (calls->head != NULL && calls->head->since_ms < before_ms)
		refuse(db, pop(db, calls));
}

static void
refuse_late(struct rt_db *db, struct lane *lane, uint64_t now_ms)
{
	uint64_t limit_ms = wait_limits_ms[lane - db->lanes];
	uint64_t before_ms = now_ms > limit_ms ? now_ms - limit_ms : 0;

	refuse_before(db, &lane->calls, before_ms);
	refuse_before(db, &lane->held, before_ms);
	refuse_before(db, &lane->heavy[0], before_ms);
	refuse_before(db, &lane->heavy[1], before_ms);
	for (int i = 0; i < RT_DB_TURNS; i++)
		rt_dbturns_drop(lane->turns[i], before_ms, on_dropped, db);
}

static void
on_check(void *arg)
{
	struct rt_db *db = arg;
	uint64_t now_ms = rt_loop_now_ms(db->loop);

	for (int i = 0; i < RT_DB_LANES; i++)
	{
		for (int j = 0; j < db->lanes[i].npipes; j++)
			rt_dbpipe_check(db->lanes[i].pipes[j], now_ms);
		refuse_late(db, &db->lanes[i], now_ms);
	}
	rt_timer_start(db->timer, CHECK_EVERY_MS);
}

static void
open_lane(struct rt_db *db, enum rt_db_lane which, int n)
{
	struct lane *lane = &db->lanes[which];
	struct rt_dbpipe_owner owner = {.on_room = on_room, .on_retry = on_retry, .on_lost = on_lost, .arg = db};

	lane->calls.tail = &lane->calls.head;
	lane->held.tail = &lane->held.head;
	for (int i = 0; i < 2; i++)
		lane->heavy[i].tail = &lane->heavy[i].head;
	lane->npipes = n > MAX_PIPES ? MAX_PIPES : n;
	/* One connection at least is left to the other users. */
	lane->turns[0] = rt_dbturns_new(0, lane->npipes > 1 ? lane->npipes - 1 : 1);
	lane->turns[1] = rt_dbturns_new(1, 1);
	for (int i = 0; i < lane->npipes; i++)
		lane->pipes[i] = rt_dbpipe_new(db->loop, &db->login, &limits[which], &owner);
}

enum rt_result
rt_db_new(struct rt_db **dbp, struct rt_loop *l, const struct rt_db_options *o)
{
	struct rt_db *db = rt_alloc(sizeof(*db));

	db->loop = l;
	db->login = (struct rt_dbconn_login){.conninfo = rt_strdup(o->conninfo), .role = o->role};
	db->max_waiting = o->max_waiting;
	/* The last ones are the first to follow another one to a server that was promoted (dbconn.c). */
	open_lane(db, RT_DB_SLOW, o->slow_connections);
	open_lane(db, RT_DB_LOCKING, o->locking_connections);
	open_lane(db, RT_DB_OWN, o->own_connections);
	open_lane(db, RT_DB_FAST, o->fast_connections);
	db->delayed_timer = rt_timer_new(l, on_delayed, db);
	db->timer = rt_timer_new(l, on_check, db);
	rt_timer_start(db->timer, CHECK_EVERY_MS);
	*dbp = db;
	return RT_OK;
}

static void
drop_conninfo(struct rt_db *db)
{
	explicit_bzero(db->login.conninfo, strlen(db->login.conninfo));
	free(db->login.conninfo);
}

void
rt_db_set_conninfo(struct rt_db *db, const char *conninfo)
{
	drop_conninfo(db);
	db->login.conninfo = rt_strdup(conninfo);
}

static struct rt_dbcall *
pop_any(struct rt_db *db, struct lane *lane)
{
	struct calls *all[] = {&lane->calls, &lane->held, &lane->heavy[0], &lane->heavy[1]};
	struct rt_dbcall *call = NULL;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && call == NULL; i++)
		call = pop(db, all[i]);
	return call;
}

void
rt_db_free(struct rt_db *db)
{
	struct rt_dbcall *call;

	if (db == NULL)
		return;
	db->closing = true;
	rt_timer_free(db->timer);
	rt_timer_free(db->delayed_timer);
	while ((call = db->delayed) != NULL)
	{
		db->delayed = call->next;
		rt_dbcall_refuse(call);
	}
	rt_dblisten_free(db->listener);
	for (int i = 0; i < RT_DB_LANES; i++)
	{
		for (int j = 0; j < RT_DB_TURNS; j++)
			rt_dbturns_drop(db->lanes[i].turns[j], UINT64_MAX, on_dropped, db);
		for (int j = 0; j < db->lanes[i].npipes; j++)
			rt_dbpipe_free(db->lanes[i].pipes[j]);
		while ((call = pop_any(db, &db->lanes[i])) != NULL)
			rt_dbcall_refuse(call);
	}
	answer_refused(db);
	for (int i = 0; i < RT_DB_LANES; i++)
		for (int j = 0; j < RT_DB_TURNS; j++)
			rt_dbturns_free(db->lanes[i].turns[j]);
	drop_conninfo(db);
	/* Behind an answer_refused() that may still be deferred. */
	rt_loop_defer(db->loop, free, db);
}

static struct rt_dbcall *
make_call(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *actor, const char *req, size_t req_len,
		  rt_db_cb cb, void *arg)
{
	struct rt_dbcall *call = rt_alloc(sizeof(*call));

	assert(db->lanes[lane].npipes > 0);
	call->lane = lane;
	call->fn = fn;
	call->actor = actor == NULL ? NULL : rt_strdup(actor);
	call->req = rt_strndup(req, req_len);
	call->req_len = req_len;
	call->cb = cb;
	call->arg = arg;
	call->on_over = on_over;
	call->over_arg = db;
	call->since_ms = rt_loop_now_ms(db->loop);
	call->began_us = rt_clock_us();
	call->durations = &db->durations[lane == RT_DB_LOCKING ? RT_DB_FAST : lane];
	return call;
}

static void
begin_call(struct rt_db *db, struct rt_dbcall *call)
{
	if (db->closing || db->waiting >= db->max_waiting || db->waiting_bytes + call->req_len > MAX_WAITING_BYTES)
	{
		refuse(db, call);
		return;
	}
	take_turns(db, call, 0);
	dispatch(db);
}

void
rt_db_call(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *actor, const char *req, size_t req_len,
		   rt_db_cb cb, void *arg)
{
	struct rt_dbcall *call = make_call(db, lane, fn, actor, req, req_len, cb, arg);

	call->turns[0] = call->actor;
	begin_call(db, call);
}

void
rt_db_call_heavy(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *actor, const char *first,
				 const char *second, const char *req, size_t req_len, rt_db_cb cb, void *arg)
{
	struct rt_dbcall *call = make_call(db, lane, fn, actor, req, req_len, cb, arg);

	call->is_heavy = true;
	call->turns[0] = first == NULL ? NULL : rt_strdup(first);
	call->turns[1] = second == NULL ? NULL : rt_strdup(second);
	begin_call(db, call);
}

void
rt_db_call_held(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *req, size_t req_len, rt_db_cb cb,
				void *arg)
{
	struct rt_dbcall *call = make_call(db, lane, fn, NULL, req, req_len, cb, arg);

	call->lock_waits = 1;
	begin_call(db, call);
}

bool
rt_db_reply_is_held(const struct rt_db_reply *reply)
{
	return !reply->ok && rt_dberror_is_lock_timeout(reply->sqlstate);
}

static void
on_silent(void *arg)
{
	struct rt_db *db = arg;

	for (int i = 0; i < RT_DB_LANES; i++)
		for (int j = 0; j < db->lanes[i].npipes; j++)
			rt_dbpipe_leave_silent(db->lanes[i].pipes[j]);
}

void
rt_db_listen(struct rt_db *db, const char *channel, rt_db_notify_cb on_notify, rt_db_listen_cb on_listen, void *arg)
{
	db->listener = rt_dblisten_new(db->loop, &db->login, channel, on_notify, on_listen, arg, on_silent, db);
}

void
rt_db_listen_again(struct rt_db *db, const char *why)
{
	rt_dblisten_again(db->listener, why);
}

bool
rt_db_lane_up(const struct rt_db *db, enum rt_db_lane lane)
{
	for (int i = 0; i < db->lanes[lane].npipes; i++)
	{
		if (rt_dbpipe_up(db->lanes[lane].pipes[i]))
			return true;
	}
	return false;
}

bool
rt_db_up(const struct rt_db *db)
{
	return db->listener != NULL && rt_dblisten_up(db->listener) && rt_db_lane_up(db, RT_DB_FAST);
}

size_t
rt_db_waiting(const struct rt_db *db)
{
	return db->waiting;
}

const struct rt_histogram *
rt_db_durations(const struct rt_db *db, enum rt_db_lane lane)
{
	return &db->durations[lane];
}
