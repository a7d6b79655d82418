/* dbclock.h: the time of day as the database has it.  Tokens are issued and revoked by that, and the gateway's host
 * may have another. */
#ifndef RT_DBCLOCK_H
#define RT_DBCLOCK_H

#include <jansson.h>
#include <stdint.h>

struct rt_dbclock;

struct rt_dbclock *rt_dbclock_new(void);
void rt_dbclock_free(struct rt_dbclock *k); /* NULL is fine */

/* An answer of the database that has its time as "now", in seconds since 1970.  asked_us: by rt_clock_us(), when the
 * question was put.  Until the first one the host's time applies. */
void rt_dbclock_note(struct rt_dbclock *k, const json_t *answer, uint64_t asked_us);

uint64_t rt_dbclock_us(const struct rt_dbclock *k); /* since 1970 */
double rt_dbclock_s(const struct rt_dbclock *k);

#endif
