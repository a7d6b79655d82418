/* stats.h: figures of transports, producers and consumers: RTCStats-like objects for get-stats, and the short rows
 * that rt.stat_media shows. */
#ifndef RT_STATS_H
#define RT_STATS_H

#include <jansson.h>

#include "bgworker/media/forward/engine.h"

/* Arrays, new references. */
json_t *rt_stats_transport(const struct rt_endpoint *e);
json_t *rt_stats_producer(const struct rt_producer *p);
json_t *rt_stats_consumer(const struct rt_consumer *c);

/* From *pos on, which begins at 0, whole transports with what is on them, until there are `most` rows.  Fewer: those
 * were the last.  What comes or goes between two parts may be missing or come twice. */
json_t *rt_stats_rows(const struct rt_engine *e, size_t *pos, size_t most);
/* What the worker did since it started, one object of numbers, for the metrics. */
json_t *rt_stats_totals(const struct rt_engine *e);
/* Producers and consumers: what rt.stat_media calls load. */
size_t rt_stats_load(const struct rt_engine *e);

#endif
