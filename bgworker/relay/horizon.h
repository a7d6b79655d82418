/* horizon.h: how far the log is known to be complete, in transaction ids, as the relay keeps it in
 * rt_private.relay_state for a rescan (rescan.h). */
#ifndef RT_HORIZON_H
#define RT_HORIZON_H

#include "postgres.h"
#include "access/transam.h"
#include "utils/timestamp.h"

/* A horizon that will hold once the ring has been drained up to head. */
struct rt_horizon
{
	bool open; /* the rest means something */
	FullTransactionId xmin;
	FullTransactionId xmax;
	uint64 head;
	TimestampTz taken;
	TimestampTz stored; /* when one was stored last, by clock.h */
	/* Every transaction from since_xid on began after since_at. */
	FullTransactionId since_xid;
	TimestampTz since_at;
	TimestampTz horizon_at; /* every transaction of the stored horizon or younger began after it; from relay_state */
};

/* What relay_state holds. */
struct rt_relay_state
{
	int64 last_pos; /* of it and rt.events, whichever is more */
	bool clean;     /* the last relay ended in order, and nothing of what it wrote is lost */
	TimestampTz horizon_at;
};

/* These run inside a transaction.  rt_horizon_begin() reads the transaction ids; the caller sets head afterwards,
 * and open, unless events are being left out. */
extern void rt_horizon_read_state(struct rt_relay_state *state);
/* Begins an epoch where the server's lineage has changed, and after a crash if `anew`.  The position behind which to
 * go on: after a crash, too, positions are left out. */
extern int64 rt_horizon_begin_epoch(int64 last_pos, bool crashed, bool anew);
extern void rt_horizon_mark(int64 last_pos, bool clean);
extern void rt_horizon_begin(struct rt_horizon *h);
extern void rt_horizon_store(struct rt_horizon *h, int64 last_pos);

#endif
