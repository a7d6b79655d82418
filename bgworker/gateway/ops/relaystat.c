/* relaystat.c: see relaystat.h.  A metric is a line of the table: the key in the database's answer, and its name and
 * help on /metrics.  The lag is a histogram whose bounds the relay gives, so that they stand in one place. */
#include "relaystat.h"

#include "bgworker/common/json.h"
#include "bgworker/common/metric.h"

#define BUCKETS_MAX 32

static const struct
{
	const char *key;
	const char *name;
	const char *help;
	enum rt_metric_kind kind;
} figures[] = {
	{"up", "rt_relay_up", "Whether the relay of the database runs.", RT_GAUGE},
	{"position", "rt_relay_position", "Position of the last event in the event log.", RT_GAUGE},
	{"events", "rt_relay_events_total", "Events that were notified.", RT_COUNTER},
	{"batches", "rt_relay_batches_total", "Transactions in which the relay notified.", RT_COUNTER},
	{"published", "rt_relay_published_total", "Transactions that left events in the ring.", RT_COUNTER},
	{"lost", "rt_relay_lost_total", "Transactions that found the ring full.", RT_COUNTER},
	{"rescans", "rt_relay_rescans_total", "Searches of the tables for messages that were not logged.", RT_COUNTER},
	{"rescued", "rt_relay_rescued_total", "Events found by rescans.", RT_COUNTER},
	{"notifyFailures", "rt_relay_notify_failures_total",
	 "Batches without notifications, because the notification queue was full.", RT_COUNTER},
	{"ringBytes", "rt_relay_ring_bytes", "Size of the ring, rt.ring_size.", RT_GAUGE},
	{"ringUsed", "rt_relay_ring_used_bytes", "Bytes that wait in the ring.", RT_GAUGE},
	{"ringHighWater", "rt_relay_ring_high_water_bytes", "Largest number of bytes that have waited in the ring.",
	 RT_GAUGE},
	{"roomsHeld", "rt_relay_rooms_held", "Rooms whose old messages retention could not remove.", RT_GAUGE},
};

/* False: the list is none of ours. */
static size_t
read_numbers(const json_t *list, uint64_t *numbers)
{
	size_t n = json_array_size(list);

	if (n > BUCKETS_MAX)
		return 0;
	for (size_t i = 0; i < n; i++)
		numbers[i] = (uint64_t) json_integer_value(json_array_get(list, i));
	return n;
}

static void
write_lag(const json_t *relay, struct rt_text *out, const char *labels)
{
	uint64_t counts[BUCKETS_MAX];
	uint64_t bounds_us[BUCKETS_MAX];
	size_t n = read_numbers(rt_json_array(relay, "lagCounts"), counts);

	if (n < 2 || read_numbers(rt_json_array(relay, "lagBoundsUs"), bounds_us) != n - 1)
		return;
	rt_metric_write_head(out, "rt_relay_lag_seconds", "Age of a batch's oldest event when it was notified.",
						 "histogram");
	rt_histogram_write_buckets(out, "rt_relay_lag_seconds", labels, counts, bounds_us, n,
							   (uint64_t) rt_json_int(relay, "lagSumUs", 0));
}

static void
write_oldest(const json_t *relay, struct rt_text *out, const char *labels)
{
	rt_metric_write_head(out, "rt_relay_oldest_wait_seconds",
						 "Age of the oldest event that the relay has not notified yet.", "gauge");
	rt_metric_write_double(out, "rt_relay_oldest_wait_seconds", labels,
						   (double) rt_json_int(relay, "oldestUs", 0) / 1e6);
}

void
rt_relaystat_write(const json_t *relay, struct rt_text *out, const char *labels)
{
	if (relay == NULL)
		return;
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
	{
		uint64_t value = (uint64_t) rt_json_int(relay, figures[i].key, 0);
		const struct rt_metric m = {figures[i].name, figures[i].help, figures[i].kind, &value};

		rt_metric_write(out, &m, labels);
	}
	write_oldest(relay, out, labels);
	write_lag(relay, out, labels);
}
