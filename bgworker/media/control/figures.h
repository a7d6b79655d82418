/* figures.h: the figures of transports, producers and consumers on their way to rt.stat_media: in parts, one call at
 * a time, and apart from the heartbeat, which never waits behind them. */
#ifndef RT_FIGURES_H
#define RT_FIGURES_H

#include "bgworker/common/db/db.h"
#include "bgworker/media/forward/engine.h"

struct rt_figures;

struct rt_figures *rt_figures_new(struct rt_loop *l, struct rt_db *db);
void rt_figures_free(struct rt_figures *r); /* NULL is fine; no callback of the database may be open */

/* Begins under the name that the database knows us by; borrowed, and may change until the next rt_figures_begin(). */
void rt_figures_begin(struct rt_figures *r, const struct rt_engine *e, const char *worker);
void rt_figures_pause(struct rt_figures *r);

#endif
