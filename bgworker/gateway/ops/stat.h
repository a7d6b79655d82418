/* stat.h: live figures: for /metrics, and for the reports to the database (report.h). */
#ifndef RT_STAT_H
#define RT_STAT_H

#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/text.h"

struct rt_app;
struct rt_stat;

/* Counters that have no better home. */
enum rt_stat_counter
{
	RT_STAT_CONNECTS,
	RT_STAT_CONNECT_REFUSALS,
	RT_STAT_DISCONNECTS,
	RT_STAT_EVENTS,
	RT_STAT_EVENT_ERRORS,
	RT_STAT_RATE_LIMITED,
	RT_STAT_RECOVERED,
	RT_STAT_REPLAY_PAGES,
	RT_STAT_REQUESTS,
	RT_STAT_REQUEST_ERRORS,
	RT_STAT_SEND_BATCHES,
	RT_STAT_SENT_MESSAGES,
	RT_STAT_COUNTERS
};

/* Durations that have no better home. */
enum rt_stat_duration
{
	RT_STAT_REQUEST_FAST, /* by the lane of the database that they took */
	RT_STAT_REQUEST_SLOW,
	RT_STAT_DELIVERY,
	RT_STAT_DURATIONS
};

/* What is looked up when it is asked for. */
struct rt_stat_gauges
{
	uint64_t users;
	uint64_t rooms;
	uint64_t meetings;
	uint64_t seats;
	uint64_t signals;
	uint64_t recent_bytes;
	uint64_t db_waiting;
	uint64_t db_calls;
	uint64_t position;
	uint64_t slow_turns;
	uint64_t ready;
	uint64_t draining;
};

struct rt_stat *rt_stat_new(struct rt_app *app);
void rt_stat_free(struct rt_stat *st); /* NULL is fine */

void rt_stat_count(struct rt_stat *st, enum rt_stat_counter which);
void rt_stat_add(struct rt_stat *st, enum rt_stat_counter which, uint64_t n);

void rt_stat_observe(struct rt_stat *st, enum rt_stat_duration which, uint64_t us);

uint64_t rt_stat_get(const struct rt_stat *st, enum rt_stat_counter which);
const struct rt_stat_gauges *rt_stat_take_gauges(struct rt_stat *st); /* lent */

void rt_stat_write_metrics(struct rt_stat *st, struct rt_text *out);

#endif
