/* metric.h: counters and gauges, and their text in the Prometheus format.
 *
 * A metric is a uint64_t in the struct of the module that counts; here is only the table that names them. */
#ifndef RT_METRIC_H
#define RT_METRIC_H

#include <stdint.h>

#include "text.h"

enum rt_metric_kind
{
	RT_COUNTER,
	RT_GAUGE
};

struct rt_metric
{
	const char *name; /* "rt_gateway_connections" */
	const char *help;
	enum rt_metric_kind kind;
	const uint64_t *value;
};

/* Appends HELP, TYPE and the sample; labels is `worker="0"` or NULL. */
void rt_metric_write(struct rt_text *out, const struct rt_metric *m, const char *labels);

#endif
