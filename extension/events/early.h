/* early.h: a transaction that has numbered messages lets its locks go before its commit is durable, so that writers
 * to one room do not wait for one another's flush (rt.early_lock_release).
 *
 * What holds all the same: the client is told, and the events are published, once the commit is flushed and, as
 * synchronous_commit says, replicated.  Other transactions see the rows before that; whatever hands on what it has
 * read asks rt_early_wait() first. */
#ifndef RT_EARLY_H
#define RT_EARLY_H

#include "postgres.h"

#include "extension/server/rt_shmem.h"

/* Before the commit is decided.  True: its locks will go early; then exactly one of the next three ends it, and
 * synchronous_commit is not what it was until the commit is decided.  May raise. */
extern bool rt_early_begin(rt_database *db);

/* The transaction has aborted instead. */
extern void rt_early_abort(rt_database *db);

/* The commit is decided, and the locks are still held; notes up to where. */
extern void rt_early_commit(void);

/* The locks have gone: waits until the commit is as durable as it was asked to be.  Neither raises nor allocates. */
extern void rt_early_finish(rt_database *db);

/* Whether any transaction is between the two now. */
extern bool rt_early_is_any(rt_database *db);

/* Waits until everything that this process can have read is durable.  Costs nothing while no transaction is between
 * the two.  Raises where the session is to end, or its statement is cancelled. */
extern void rt_early_wait(rt_database *db);

#endif
