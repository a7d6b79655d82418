/* tx.h: the relay's transactions.  One that fails is rolled back and reported, and the worker goes on. */
#ifndef RT_TX_H
#define RT_TX_H

#include "postgres.h"

struct rt_tx
{
	MemoryContext context; /* current after each transaction */
	int pause_ms;          /* to be waited after a failure; grows from one to the next; 0: the last one was fine */
	int sqlstate;          /* of the last failure */
	const char *name;      /* for the log, if it is not the relay's */
};

/* Opens a transaction with a snapshot. */
extern void rt_tx_begin(const char *activity);
extern void rt_tx_commit(void);

/* Runs body(arg) in a transaction.  False: it was rolled back, and pause_ms says how long to wait before the next
 * try; of a series of failures the first one is logged.  A failure with the SQLSTATE `expected` is not logged and
 * asks for no pause. */
extern bool rt_tx_try(struct rt_tx *tx, const char *activity, void (*body)(void *arg), void *arg, int expected);

#endif
