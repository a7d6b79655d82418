/* metric.c: see metric.h.  Writes text, and counts nothing but histograms.  The bounds of their buckets are one
 * table, so that durations of all kinds can be compared. */
#include "metric.h"

#include <inttypes.h>

#define SECOND_US 1e6

static const uint64_t bounds_us[RT_HISTOGRAM_BUCKETS - 1] = {
	500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

void
rt_metric_write_head(struct rt_text *out, const char *name, const char *help, const char *kind)
{
	rt_text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void
write_name(struct rt_text *out, const char *name, const char *labels)
{
	rt_text_addf(out, "%s%s%s%s ", name, labels != NULL ? "{" : "", labels != NULL ? labels : "",
				 labels != NULL ? "}" : "");
}

void
rt_metric_write(struct rt_text *out, const struct rt_metric *m, const char *labels)
{
	rt_metric_write_head(out, m->name, m->help, m->kind == RT_COUNTER ? "counter" : "gauge");
	write_name(out, m->name, labels);
	rt_text_addf(out, "%" PRIu64 "\n", *m->value);
}

void
rt_metric_write_double(struct rt_text *out, const char *name, const char *labels, double value)
{
	write_name(out, name, labels);
	rt_text_addf(out, "%.6f\n", value);
}

void
rt_metric_label(struct rt_text *labels, const char *name, const char *value)
{
	rt_text_addf(labels, "%s%s=\"", labels->len > 0 ? "," : "", name);
	for (const char *p = value; *p != '\0'; p++)
	{
		if (*p == '"' || *p == '\\')
			rt_text_add(labels, "\\");
		if (*p == '\n')
			rt_text_add(labels, "\\n");
		else
			rt_text_add_n(labels, p, 1);
	}
	rt_text_add(labels, "\"");
}

/* ---- histograms --------------------------------------------------------------------- */

void
rt_histogram_add(struct rt_histogram *h, uint64_t us)
{
	int i = 0;

	while (i < RT_HISTOGRAM_BUCKETS - 1 && us > bounds_us[i])
		i++;
	h->counts[i]++;
	h->sum_us += us;
}

uint64_t
rt_histogram_count(const struct rt_histogram *h)
{
	uint64_t count = 0;

	for (int i = 0; i < RT_HISTOGRAM_BUCKETS; i++)
		count += h->counts[i];
	return count;
}

void
rt_histogram_write_buckets(struct rt_text *out, const char *name, const char *labels, const uint64_t *counts,
						   const uint64_t *bounds, size_t n, uint64_t sum_us)
{
	const char *comma = labels == NULL ? "" : ",";
	const char *given = labels == NULL ? "" : labels;
	uint64_t count = 0;

	for (size_t i = 0; i < n; i++)
	{
		count += counts[i];
		if (i < n - 1)
			rt_text_addf(out, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, given, comma,
						 (double) bounds[i] / SECOND_US, count);
		else
			rt_text_addf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, given, comma, count);
	}
	rt_text_addf(out, "%s_sum%s%s%s %.6f\n", name, labels != NULL ? "{" : "", given, labels != NULL ? "}" : "",
				 (double) sum_us / SECOND_US);
	rt_text_addf(out, "%s_count%s%s%s %" PRIu64 "\n", name, labels != NULL ? "{" : "", given,
				 labels != NULL ? "}" : "", count);
}

void
rt_histogram_write(struct rt_text *out, const char *name, const char *labels, const struct rt_histogram *h)
{
	rt_histogram_write_buckets(out, name, labels, h->counts, bounds_us, RT_HISTOGRAM_BUCKETS, h->sum_us);
}
