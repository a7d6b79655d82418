/* rates.h: token buckets by name (a user, an address).  Bounded: when too many names are known, the one that was
 * used least recently is forgotten. */
#ifndef RT_RATES_H
#define RT_RATES_H

#include <stdbool.h>
#include <stdint.h>

struct rt_rates;

struct rt_rates *rt_rates_new(void);
void rt_rates_free(struct rt_rates *r); /* NULL is fine */

/* As rt_limit_take(). */
bool rt_rates_take(struct rt_rates *r, const char *name, uint64_t now_ms, double per_s, double burst,
				   uint32_t *retry_ms);

#endif
