/* sweep.h: once a second the database looks for places in meetings whose grace is over, and for dead media workers.
 * Each gateway asks; that several do is no harm. */
#ifndef RT_SWEEP_H
#define RT_SWEEP_H

struct rt_db;
struct rt_loop;
struct rt_sweep;

struct rt_sweep *rt_sweep_new(struct rt_loop *l, struct rt_db *db);
void rt_sweep_free(struct rt_sweep *sw); /* NULL is fine; the database's callbacks must have ended */

#endif
