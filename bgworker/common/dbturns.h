/* dbturns.h: whose turn it is.  Of one user's calls so many are under way at once; the others wait here, in their
 * order, so that no user keeps all connections busy.  Calls without a user need no turn. */
#ifndef RT_DBTURNS_H
#define RT_DBTURNS_H

#include <stdbool.h>
#include <stdint.h>

struct rt_dbcall;
struct rt_dbturns;

typedef void (*rt_dbturns_cb)(void *arg, struct rt_dbcall *call);

struct rt_dbturns *rt_dbturns_new(int most);
void rt_dbturns_free(struct rt_dbturns *t); /* nothing has or waits for a turn; NULL is fine */

bool rt_dbturns_begin(struct rt_dbturns *t, struct rt_dbcall *call); /* false: it was taken, and waits */
struct rt_dbcall *rt_dbturns_end(struct rt_dbturns *t,
								 struct rt_dbcall *call); /* the one whose turn it is now; or NULL */

/* Hands all back that have waited since before then; the callback begins and ends no turn. */
void rt_dbturns_drop(struct rt_dbturns *t, uint64_t before_ms, rt_dbturns_cb cb, void *arg);

#endif
