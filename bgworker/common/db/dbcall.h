/* dbcall.h: one call of a function in rt_api: what was asked, and its answer.
 *
 * A call has one owner at a time: the pool while it waits (db.c), a connection while it is under way (dbpipe.c). It
 * ends in rt_dbcall_answer() or rt_dbcall_refuse(), exactly once; that runs the caller's callback and frees it. */
#ifndef RT_DBCALL_H
#define RT_DBCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_histogram;

/* What a call came to.  Lent for the time of the callback. */
struct rt_db_reply
{
	bool ok;
	const char *json; /* ok: the function's result; "null" if it gave none */
	size_t json_len;
	const char *code;    /* !ok: code of the wire contract, static */
	const char *message; /* !ok: for people */
	const char *sqlstate;
};

typedef void (*rt_db_cb)(void *arg, const struct rt_db_reply *reply);

/* Slow calls (password hashing, search) have connections of their own, so that chat does not wait behind them; so
 * have calls that wait for locks which a transaction of anybody's may hold for long, so that no reader waits behind
 * them; and one is for what the program does for itself, so that no load of its clients' makes it look dead. */
enum rt_db_lane
{
	RT_DB_FAST,
	RT_DB_LOCKING,
	RT_DB_SLOW,
	RT_DB_OWN,
	RT_DB_LANES
};

/* A call may need a turn of two: its user, or its address and its account. */
#define RT_DB_TURNS 2

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
	char *turns[RT_DB_TURNS]; /* of whom it takes a turn, see dbturns.h; NULL: of nobody */
	bool has_turn[RT_DB_TURNS];
	bool waited_for_turn;
	bool is_heavy;        /* keeps a processor busy: see db.c */
	bool has_heavy_place; /* from when it is sent until it is over */
	bool retried;
	int lock_waits;  /* times that it gave its connection up, because it did not get a lock in time; > 0: held */
	uint64_t due_ms; /* after one: when it is tried again */
	bool prepares;   /* its Prepare has not succeeded yet */
};

void rt_dbcall_answer(struct rt_dbcall *call, const struct rt_db_reply *reply); /* and frees it */
void rt_dbcall_refuse(struct rt_dbcall *call);                                  /* `unavailable`; frees it */

#endif
