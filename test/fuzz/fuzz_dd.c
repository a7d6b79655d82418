/* fuzz_dd.c: two dependency descriptors of a stream, the second with the structure of the first; the first byte tells
 * how long the first is.  What is written with another mask of targets reads back as the same frame. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/media/rtp/dd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_structure(const struct rt_dd_structure *s)
{
	assert(s->ntargets <= RT_DD_TARGETS && s->ntemplates <= RT_DD_TEMPLATES && s->nchains <= s->ntargets);
	for (int i = 0; i < s->ntargets; i++)
		assert(s->target_spatial[i] < RT_DD_SPATIAL && s->target_temporal[i] < RT_DD_TEMPORAL);
	for (int spatial = 0; spatial < RT_DD_SPATIAL; spatial++)
		assert(rt_dd_best(s, 0x55555555, spatial, 1) < RT_DD_TARGETS);
}

static void
check_written(const struct rt_dd *d, const struct rt_dd_structure *s, const uint8_t *p, size_t len)
{
	struct rt_dd_structure copy = *s;
	uint32_t mask = (uint32_t) (((uint64_t) 1 << d->ntargets) - 1) & 0x33333333;
	uint8_t out[RT_DD_MAX_LEN];
	size_t n = rt_dd_write(out, p, len, d, mask);
	struct rt_dd again;

	if (n == 0)
		return;
	assert(n <= sizeof(out) && rt_dd_read(&again, &copy, out, n) == RT_OK);
	assert(again.has_active && again.active == mask && again.frame == d->frame && again.start == d->start);
	assert(again.dtis == d->dtis && again.refs == d->refs && again.far_refs == d->far_refs &&
		   again.spatial == d->spatial);
	assert(memcmp(&copy, s, sizeof(copy)) == 0);
}

static void
read_one(struct rt_dd_structure *s, const uint8_t *data, size_t len)
{
	uint8_t *p = malloc(len ? len : 1); /* of its own size: no byte behind it may be read */
	struct rt_dd d;

	memcpy(p, data, len);
	if (rt_dd_read(&d, s, p, len) == RT_OK)
	{
		check_structure(s);
		check_written(&d, s, p, len);
	}
	free(p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rt_dd_structure s;
	size_t first;

	memset(&s, 0, sizeof(s));
	if (size < 2)
		return 0;
	first = data[0] < size - 1 ? data[0] : size - 1;
	read_one(&s, data + 1, first);
	read_one(&s, data + 1 + first, size - 1 - first);
	return 0;
}
