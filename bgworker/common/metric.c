/* metric.c: see metric.h */
#include "metric.h"

void
rt_metric_write(struct rt_text *out, const struct rt_metric *m, const char *labels)
{
	rt_text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
				 m->kind == RT_COUNTER ? "counter" : "gauge");
	rt_text_addf(out, "%s%s%s%s %llu\n", m->name, labels ? "{" : "", labels ? labels : "", labels ? "}" : "",
				 (unsigned long long) *m->value);
}
