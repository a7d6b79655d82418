/* rates.c: see rates.h.  A name that was forgotten begins with a full bucket, so a limit holds for NAMES_MAX names at
 * once. */
#include "rates.h"

#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/conf.h"
#include "bgworker/common/limit.h"
#include "bgworker/common/map.h"

#define NAMES_MAX 20000

struct bucket
{
	char *name;
	struct rt_limit limit;
	struct bucket *next; /* the least recently used first */
	struct bucket **prevp;
};

struct rt_rates
{
	struct rt_map *by_name;
	struct bucket *oldest, **newest;
};

void
rt_rates_read_settings(struct rt_rates_settings *s, struct rt_conf *c)
{
	*s = (struct rt_rates_settings){
		.writes_per_s = (double) rt_conf_int(c, "rate_messages"),
		.writes_burst = (double) rt_conf_int(c, "rate_burst"),
		.events_per_s = (double) rt_conf_int(c, "rate_events"),
		.logins_per_minute = (double) rt_conf_int(c, "rate_logins"),
	};
}

struct rt_rates *
rt_rates_new(void)
{
	struct rt_rates *r = rt_alloc(sizeof(*r));

	r->by_name = rt_map_new();
	r->newest = &r->oldest;
	return r;
}

static void
unlink_bucket(struct rt_rates *r, struct bucket *b)
{
	*b->prevp = b->next;
	if (b->next != NULL)
		b->next->prevp = b->prevp;
	else
		r->newest = b->prevp;
}

static void
append(struct rt_rates *r, struct bucket *b)
{
	b->next = NULL;
	b->prevp = r->newest;
	*r->newest = b;
	r->newest = &b->next;
}

static void
drop_oldest(struct rt_rates *r)
{
	struct bucket *b = r->oldest;

	unlink_bucket(r, b);
	rt_map_take_str(r->by_name, b->name);
	free(b->name);
	free(b);
}

void
rt_rates_free(struct rt_rates *r)
{
	if (r == NULL)
		return;
	while (r->oldest != NULL)
		drop_oldest(r);
	rt_map_free(r->by_name);
	free(r);
}

bool
rt_rates_take(struct rt_rates *r, const char *name, uint64_t now_ms, double per_s, double burst, uint32_t *retry_ms)
{
	struct bucket *b = rt_map_find_str(r->by_name, name);

	if (b == NULL)
	{
		if (rt_map_count(r->by_name) == NAMES_MAX)
			drop_oldest(r);
		b = rt_alloc(sizeof(*b));
		b->name = rt_strdup(name);
		rt_map_put_str(r->by_name, b->name, b);
	}
	else
		unlink_bucket(r, b);
	append(r, b);
	return rt_limit_take(&b->limit, now_ms, per_s, burst, retry_ms);
}
