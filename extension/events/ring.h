/* ring.h: the commit ring of a database: records of events, one for each transaction, in the order in which
 * the transactions reserved them.  Backends write, the relay reads; see docs/protocols.md for what that order
 * promises. */
#ifndef RT_RING_H
#define RT_RING_H

#include "postgres.h"

#include "extension/server/rt_shmem.h"

#define RT_EVENT_LOGGED 0x01  /* gets a position and a row in rt.events */
#define RT_EVENT_MESSAGE 0x02 /* a new message: name and route follow from room_id, and are left out */
#define RT_EVENT_RANGE 0x04   /* the messages seq to seq_to of room_id, without their payloads */

/* One event in the body of a record; the next one follows at len.  Behind it are name, route and payload, each
 * with a NUL that its length does not count. */
struct rt_ring_event
{
	uint32 len; /* of all, MAXALIGNed */
	uint16 flags;
	uint16 name_len;
	uint32 route_len;
	uint32 payload_len;
	int64 room_id; /* 0: none */
	int64 seq;     /* 0: none */
	int64 seq_to;
};

#define RT_EVENT_NAME(e) ((char *) (e) + MAXALIGN(sizeof(struct rt_ring_event)))
#define RT_EVENT_ROUTE(e) (RT_EVENT_NAME(e) + (e)->name_len + 1)
#define RT_EVENT_PAYLOAD(e) (RT_EVENT_ROUTE(e) + (e)->route_len + 1)

/* Filler at the ring's end has the first two fields alone. */
struct rt_ring_record
{
	uint32 len; /* of all, MAXALIGNed */
	pg_atomic_uint32 state;
	uint32 body_len;
	int pid;           /* the backend that reserved it */
	uint32 procno;     /* its PGPROC */
	TransactionId xid; /* its transaction; invalid: it has written no table */
	TimestampTz at;    /* when it was reserved */
};

#define RT_RECORD_BODY(r) ((char *) (r) + MAXALIGN(sizeof(struct rt_ring_record)))

/* ---- for backends ---- */

/* The largest body that will do. */
extern Size rt_ring_max_body(const rt_database *db);

/* Reserves a record and copies the body in.  False: there is no place; the transaction counts as `dropping`
 * until rt_ring_dropped().  Call before the commit is decided. */
extern bool rt_ring_reserve(rt_database *db, const char *body, Size len, uint64 *pos);

/* Leaves a transaction out although there might be place, because its events are more than a record holds. */
extern void rt_ring_refuse(rt_database *db);

/* These decide; they neither allocate nor raise. */
extern void rt_ring_publish(rt_database *db, uint64 pos);
extern void rt_ring_abort(rt_database *db, uint64 pos);
extern void rt_ring_dropped(rt_database *db, bool committed, bool had_commands);

/* ---- for anybody ---- */

/* This process's place among all PGPROCs. */
extern uint32 rt_ring_own_procno(void);

/* The oldest record that waits for the relay, or that the relay waits for. */
struct rt_ring_wait
{
	TimestampTz at;
	int pid; /* of the backend whose commit is not through yet, in synchronous replication say; 0: the relay has not
				come to it */
};

/* False: none waits. */
extern bool rt_ring_oldest(rt_database *db, struct rt_ring_wait *oldest);

/* ---- for the relay ---- */

/* The first committed record at or behind *pos; *pos is moved to it over aborted ones.  NULL: there is none yet, or
 * the one at *pos is not decided.  Lent until rt_ring_release() passes it. */
extern struct rt_ring_record *rt_ring_peek(rt_database *db, uint64 *pos);

/* The record at pos, which the caller knows to be whole. */
extern struct rt_ring_record *rt_ring_record_at(rt_database *db, uint64 pos);

/* What lies behind the first record that is not decided, and need not wait for it. */
struct rt_ring_look
{
	uint64 *passing; /* positions of committed records */
	int max;
	int npassing;
	TimestampTz held_before; /* records that were reserved later are about to be decided: they end the look */
	TimestampTz young;       /* out: when the record that ended it was reserved; 0: none did */
};

/* Looks behind pos.  See ring.c for why what it finds may pass. */
extern void rt_ring_look_past(rt_database *db, uint64 pos, struct rt_ring_look *look);

/* The relay has told of a record before those in front of it. */
extern void rt_ring_done(rt_database *db, uint64 pos);

/* Gives the bytes before pos back to the writers. */
extern void rt_ring_release(rt_database *db, uint64 pos);

/* True, and the ring takes records again, if it was full and everything up to pos is all there was. */
extern bool rt_ring_reopen(rt_database *db, uint64 pos);

extern bool rt_ring_is_full(rt_database *db);

#endif
