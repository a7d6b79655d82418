/* rates.h: token buckets by name (a user, an address).  Bounded: when too many names are known, the one that was
 * used least recently is forgotten. */
#ifndef RT_RATES_H
#define RT_RATES_H

#include <stdbool.h>
#include <stdint.h>

struct rt_conf;
struct rt_rates;

/* What a user, a connection or an address may do. */
struct rt_rates_settings
{
	double writes_per_s; /* of a user, by events and REST together */
	double writes_burst;
	double events_per_s;      /* of a connection; reading requests of a user */
	double logins_per_minute; /* of an address */
};

void rt_rates_read_settings(struct rt_rates_settings *s, struct rt_conf *c);

struct rt_rates *rt_rates_new(void);
void rt_rates_free(struct rt_rates *r); /* NULL is fine */

/* As rt_limit_take(). */
bool rt_rates_take(struct rt_rates *r, const char *name, uint64_t now_ms, double per_s, double burst,
				   uint32_t *retry_ms);

#endif
