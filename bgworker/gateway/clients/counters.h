/* counters.h: what the modules that deal with clients count, for /metrics and for the reports to the database.
 *
 * Here are counters and durations that have no better home: the network's are its own, the bus's too. Their names on
 * /metrics are in ops/metrics.c. */
#ifndef RT_COUNTERS_H
#define RT_COUNTERS_H

#include <stdint.h>

struct rt_histogram;

enum rt_counter
{
	RT_COUNT_CONNECTS,
	RT_COUNT_CONNECT_REFUSALS,
	RT_COUNT_DISCONNECTS,
	RT_COUNT_EVENTS,
	RT_COUNT_EVENT_ERRORS,
	RT_COUNT_RATE_LIMITED,
	RT_COUNT_RECOVERED,
	RT_COUNT_REPLAY_PAGES,
	RT_COUNT_REQUESTS,
	RT_COUNT_REQUEST_ERRORS,
	RT_COUNT_SEND_BATCHES,
	RT_COUNT_SENT_MESSAGES,
	RT_COUNTERS
};

enum rt_duration
{
	RT_DURATION_REQUEST_FAST, /* by the lane of the database that the request took */
	RT_DURATION_REQUEST_SLOW,
	RT_DURATION_DELIVERY,
	RT_DURATIONS
};

struct rt_counters;

struct rt_counters *rt_counters_new(void);
void rt_counters_free(struct rt_counters *cs); /* NULL is fine */

void rt_counters_add(struct rt_counters *cs, enum rt_counter which, uint64_t n);
void rt_counters_observe(struct rt_counters *cs, enum rt_duration which, uint64_t us);

const uint64_t *rt_counters_value(const struct rt_counters *cs, enum rt_counter which); /* lent, and lives on */
const struct rt_histogram *rt_counters_durations(const struct rt_counters *cs, enum rt_duration which);

#endif
