/* stat.h: live figures: for /metrics, and for rt.stat_gateway through a report once a second, which is also this
 * gateway's sign of life in the database. */
#ifndef RT_STAT_H
#define RT_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/text.h"

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

struct rt_stat *rt_stat_new(struct rt_app *app);
void rt_stat_free(struct rt_stat *st); /* NULL is fine */

void rt_stat_count(struct rt_stat *st, enum rt_stat_counter which);
void rt_stat_add(struct rt_stat *st, enum rt_stat_counter which, uint64_t n);

void rt_stat_write_metrics(struct rt_stat *st, struct rt_text *out);

/* Tells the database that this gateway is there, then reports; and that it goes. */
void rt_stat_start(struct rt_stat *st);
void rt_stat_stop(struct rt_stat *st);
bool rt_stat_asking(const struct rt_stat *st);  /* a call is under way */
bool rt_stat_started(const struct rt_stat *st); /* the database knows this gateway */

#endif
