/* test_metric.c: histograms, labels, and their text in the Prometheus format. */
#include "bgworker/common/metric.h"
#include "tap.h"

static void
test_labels(void)
{
	struct rt_text t;

	rt_text_init(&t);
	rt_metric_label(&t, "database", "a\"b\\c\nd");
	rt_metric_label(&t, "worker", "0");
	is_str(t.data, "database=\"a\\\"b\\\\c\\nd\",worker=\"0\"", "values are escaped");
	rt_text_fini(&t);
}

static void
test_sample(void)
{
	const uint64_t value = 7;
	const struct rt_metric m = {"rt_things_total", "Things.", RT_COUNTER, &value};
	struct rt_text t;

	rt_text_init(&t);
	rt_metric_write(&t, &m, "worker=\"0\"");
	is_str(t.data,
		   "# HELP rt_things_total Things.\n# TYPE rt_things_total counter\nrt_things_total{worker=\"0\"} 7\n",
		   "a counter");
	rt_text_reset(&t);
	rt_metric_write_double(&t, "rt_seconds", NULL, 0.25);
	is_str(t.data, "rt_seconds 0.250000\n", "without labels");
	rt_text_fini(&t);
}

static void
test_histogram(void)
{
	struct rt_histogram h = {0};
	struct rt_text t;

	rt_histogram_add(&h, 0);
	rt_histogram_add(&h, 500); /* bounds belong to their bucket */
	rt_histogram_add(&h, 501);
	rt_histogram_add(&h, UINT32_MAX);
	ok(rt_histogram_count(&h) == 4, "all are counted");
	ok(h.counts[0] == 2 && h.counts[1] == 1 && h.counts[RT_HISTOGRAM_BUCKETS - 1] == 1, "each in its bucket");
	rt_text_init(&t);
	rt_histogram_write(&t, "x", NULL, &h);
	ok(strstr(t.data, "x_bucket{le=\"0.0005\"} 2\nx_bucket{le=\"0.001\"} 3\n") == t.data, "buckets are cumulative");
	ok(strstr(t.data, "x_bucket{le=\"10\"} 3\nx_bucket{le=\"+Inf\"} 4\nx_sum 4294.968296\nx_count 4\n") != NULL,
	   "the last has no bound; the sum is in seconds");
	rt_text_fini(&t);
}

static void
test_given_buckets(void)
{
	static const uint64_t counts[] = {1, 0, 2};
	static const uint64_t bounds_us[] = {1000, 2000000};
	struct rt_text t;

	rt_text_init(&t);
	rt_histogram_write_buckets(&t, "y", "a=\"b\"", counts, bounds_us, 3, 1500000);
	is_str(t.data,
		   "y_bucket{a=\"b\",le=\"0.001\"} 1\ny_bucket{a=\"b\",le=\"2\"} 1\ny_bucket{a=\"b\",le=\"+Inf\"} 3\n"
		   "y_sum{a=\"b\"} 1.500000\ny_count{a=\"b\"} 3\n",
		   "buckets of somebody else's");
	rt_text_fini(&t);
}

int
main(void)
{
	test_labels();
	test_sample();
	test_histogram();
	test_given_buckets();
	return tap_done();
}
