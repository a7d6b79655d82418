/* metric.h: counters, gauges and histograms of durations, and their text in the Prometheus format.
 *
 * A metric is a number in the struct of the module that counts; here is only what writes it.  Names end in _total for
 * counters, in the base unit (_seconds, _bytes) for what has one. */
#ifndef RT_METRIC_H
#define RT_METRIC_H

#include <stddef.h>
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

/* HELP and TYPE alone, for a metric with several samples; kind is "gauge", "histogram", ... */
void rt_metric_write_head(struct rt_text *out, const char *name, const char *help, const char *kind);
void rt_metric_write_double(struct rt_text *out, const char *name, const char *labels, double value);

/* Appends `name="value"`, with a comma in front unless it is the first, the value escaped. */
void rt_metric_label(struct rt_text *labels, const char *name, const char *value);

/* How many durations lay in which bucket, from half a millisecond to ten seconds. */
#define RT_HISTOGRAM_BUCKETS 15

struct rt_histogram
{
	uint64_t counts[RT_HISTOGRAM_BUCKETS]; /* each for itself; the last one has no upper bound */
	uint64_t sum_us;
};

void rt_histogram_add(struct rt_histogram *h, uint64_t us);
uint64_t rt_histogram_count(const struct rt_histogram *h); /* of all of them */

/* The samples _bucket, _sum and _count. */
void rt_histogram_write(struct rt_text *out, const char *name, const char *labels, const struct rt_histogram *h);

/* The same over other buckets: n counts, of which all but the last have upper bounds. */
void rt_histogram_write_buckets(struct rt_text *out, const char *name, const char *labels, const uint64_t *counts,
								const uint64_t *bounds_us, size_t n, uint64_t sum_us);

#endif
