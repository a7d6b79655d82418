/* holders.h: tells the log of transactions that keep others from sending to rooms, or from tables of rt. */
#ifndef RT_HOLDERS_H
#define RT_HOLDERS_H

#include "postgres.h"

#include "utils/timestamp.h"

struct rt_holders;

extern struct rt_holders *rt_holders_new(void);

/* Once a turn, where the database has the extension in the library's version.  Runs a transaction of its own as often
 * as it is due. */
extern void rt_holders_turn(struct rt_holders *h);

#endif
