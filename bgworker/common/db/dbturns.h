/* dbturns.h: whose turn it is.  Of one name's calls (a user's, an address's, an account's) so many are under way at
 * once; the others wait here, in their order, so that nobody keeps all connections busy.  Calls without a name need
 * no turn. */
#ifndef RT_DBTURNS_H
#define RT_DBTURNS_H

#include <stdint.h>

#include "bgworker/common/result.h"

struct rt_dbcall;
struct rt_dbturns;

typedef void (*rt_dbturns_cb)(void *arg, struct rt_dbcall *call);

struct rt_dbturns *rt_dbturns_new(int which, int most); /* which: of call->turns */
void rt_dbturns_free(struct rt_dbturns *t);             /* nothing has or waits for a turn; NULL is fine */

/* RT_AGAIN: it was taken, and waits; RT_LIMIT: too many of the same user do.  end() returns the one whose turn it is
 * then, or NULL. */
enum rt_result rt_dbturns_begin(struct rt_dbturns *t, struct rt_dbcall *call);
struct rt_dbcall *rt_dbturns_end(struct rt_dbturns *t, struct rt_dbcall *call);

/* Hands all back that have waited since before then; the callback begins and ends no turn. */
void rt_dbturns_drop(struct rt_dbturns *t, uint64_t before_ms, rt_dbturns_cb cb, void *arg);

#endif
