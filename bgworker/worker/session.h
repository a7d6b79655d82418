/* session.h: a worker's settings are its own, whatever the database, a role or postgresql.conf say. */
#ifndef RT_SESSION_H
#define RT_SESSION_H

#include "postgres.h"
#include "miscadmin.h"

/* Before the worker connects: connecting is a transaction, which a short transaction_timeout would end. */
extern void rt_session_prepare(void);

/* Once the worker is connected.  lock_timeout: how long it waits for a lock, as in postgresql.conf. */
extern void rt_session_set(const char *lock_timeout);

/* At a place of a worker's loop that is outside of its transactions.  A pg_cancel_backend() that came too late for a
 * statement is none of the worker's end. */
#define RT_SESSION_CHECK_INTERRUPTS() \
	do \
	{ \
		QueryCancelPending = false; \
		CHECK_FOR_INTERRUPTS(); \
	} while (0)

#endif
