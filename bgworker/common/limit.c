/* limit.c: see limit.h.  Pure: it counts the tokens that are missing, so that zeroed memory is a full bucket.  The
 * clock wraps after 49 days; a bucket that nobody used so long may then fill more slowly, once. */
#include "limit.h"

bool
rt_limit_take(struct rt_limit *l, uint64_t now_ms, double per_s, double burst, uint32_t *retry_ms)
{
	uint32_t passed_ms = (uint32_t) now_ms - l->stamp_ms;
	double spent;

	if (per_s <= 0)
		return true;
	if (burst < 1)
		burst = 1;
	spent = l->spent - passed_ms * per_s / 1000.0;
	if (spent < 0)
		spent = 0;
	l->stamp_ms = (uint32_t) now_ms;
	l->spent = (float) spent;
	if (spent + 1 > burst)
	{
		*retry_ms = (uint32_t) ((spent + 1 - burst) * 1000.0 / per_s) + 1;
		return false;
	}
	l->spent = (float) (spent + 1);
	return true;
}
