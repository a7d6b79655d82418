/* rescan.h: finds what was committed and never logged: after a server crash, which takes the ring and perhaps the
 * end of the log along, and after a full ring has left transactions out.  Where these had commands for gateways, it
 * begins with what each connected user is in: who was removed must get nothing of what comes behind.
 *
 * The horizon is a transaction id: all older transactions had ended, and their events were logged, when the relay
 * stored it.  So only rows of it and of younger ones can be missing. */
#ifndef RT_RESCAN_H
#define RT_RESCAN_H

#include "postgres.h"

#include "batch.h"

struct rt_rescan;

/* One pass over the tables, standings first if they are wanted.  rt_rescan_free() ends it. */
extern struct rt_rescan *rt_rescan_new(MemoryContext parent, bool standings);
extern void rt_rescan_free(struct rt_rescan *r);

/* Adds to the batch what it has room for; inside a transaction.  False: there was nothing left to add. */
extern bool rt_rescan_fill(struct rt_rescan *r, struct rt_batch *b);

/* To be called when the batch that was filled last has been committed, or has not. */
extern void rt_rescan_keep(struct rt_rescan *r);
extern void rt_rescan_undo(struct rt_rescan *r);

/* The messages of a room up to this number have been looked at by the pass; 0: none. */
extern int64 rt_rescan_reached(const struct rt_rescan *r, int64 room_id);

#endif
