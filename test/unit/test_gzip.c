/* test_gzip.c: bodies in gzip: what zlib makes of them again, the random name in the head, the budget. */
#include <stdlib.h>
#include <zlib.h>

#include "bgworker/common/clock.h"
#include "bgworker/gateway/http/gzip.h"
#include "tap.h"

/* Whether `out` is one gzip member of exactly this text. */
static bool
unpacks_to(struct rt_buf *out, const char *text, size_t len)
{
	z_stream z = {0};
	size_t packed_len;
	char *packed = rt_buf_peek(out, &packed_len);
	char *copy = malloc(len + 1);
	bool good;

	inflateInit2(&z, 15 + 16);
	z.next_in = (Bytef *) packed;
	z.avail_in = (uInt) packed_len;
	z.next_out = (Bytef *) copy;
	z.avail_out = (uInt) len + 1;
	good = inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in == 0 && z.total_out == len &&
		   memcmp(copy, text, len) == 0;
	inflateEnd(&z);
	free(copy);
	return good;
}

/* Something like JSON, that repeats itself and yet not quite. */
static char *
make_text(size_t len)
{
	char *text = malloc(len + 64);
	size_t n = 0;

	for (int i = 0; n < len; i++)
		n += (size_t) snprintf(text + n, 64, "{\"seq\":%d,\"content\":\"%x\"},", i, (unsigned) i * 2654435761u);
	return text;
}

static void
test_at_once(void)
{
	static const size_t sizes[] = {1, 10, 1001, 16384, 20000, RT_GZIP_STEP_BYTES};
	struct rt_gzip_pool *p = rt_gzip_pool_new();
	char *text = make_text(RT_GZIP_STEP_BYTES);
	struct rt_buf out;

	rt_buf_init(&out, SIZE_MAX / 2);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		ok(rt_gzip_at_once(p, text, sizes[i], &out) == RT_OK && unpacks_to(&out, text, sizes[i]), "%zu bytes at once",
		   sizes[i]);
		ok(sizes[i] < 1000 || rt_buf_len(&out) < sizes[i] / 2, "are less, packed");
		rt_buf_fini(&out);
	}
	free(text);
	rt_gzip_pool_free(p);
}

static void
test_steps(void)
{
	struct rt_gzip_pool *p = rt_gzip_pool_new();
	size_t len = 5 * RT_GZIP_STEP_BYTES + 1;
	char *text = make_text(len);
	char *lent = malloc(len);
	struct rt_gzip *g;
	size_t copied;
	int steps = 1;

	memcpy(lent, text, len);
	g = rt_gzip_new(p, lent, len);
	free(lent); /* it was copied */
	while (rt_gzip_step(g) == RT_AGAIN)
		steps++;
	ok(steps == 6, "a step for each 32 kB: %d", steps);
	ok(unpacks_to(rt_gzip_out(g), text, len), "together they are the body");
	ok(memcmp(rt_buf_peek(rt_gzip_body(g), &copied), text, len) == 0 && copied == len, "which is still there");
	rt_gzip_free(g);
	free(text);
	rt_gzip_free(NULL);
	rt_gzip_pool_free(p);
}

static void
test_under_way(void)
{
	struct rt_gzip_pool *p = rt_gzip_pool_new();
	struct rt_gzip *all[100];
	int n = 0;

	while (n < 100 && (all[n] = rt_gzip_new(p, "text", 4)) != NULL)
		n++;
	ok(n > 1 && n < 100, "not any number at a time: %d", n);
	rt_gzip_free(all[0]);
	all[0] = rt_gzip_new(p, "text", 4);
	ok(all[0] != NULL, "a place that is free again");
	while (n > 0)
		rt_gzip_free(all[--n]);
	rt_gzip_pool_free(p);
}

static void
test_lengths(void)
{
	struct rt_gzip_pool *p = rt_gzip_pool_new();
	bool seen[2048] = {false};
	int different = 0;
	struct rt_buf out;

	rt_buf_init(&out, SIZE_MAX / 2);
	for (int i = 0; i < 200; i++)
	{
		rt_gzip_at_once(p, "the same body", 13, &out);
		seen[rt_buf_len(&out)] = true;
		rt_buf_fini(&out);
	}
	for (int i = 0; i < 2048; i++)
		different += seen[i];
	ok(different > 20, "one body comes in many lengths: %d", different);
	rt_gzip_pool_free(p);
}

static void
test_budget(void)
{
	struct rt_gzip_pool *p = rt_gzip_pool_new();
	char *text = make_text(RT_GZIP_STEP_BYTES);
	struct rt_gzip *g = rt_gzip_new(p, "text", 4);
	uint64_t now_us = rt_clock_us();
	struct rt_buf out;
	int n = 0;

	rt_buf_init(&out, SIZE_MAX / 2);
	ok(rt_gzip_may_begin(p, now_us), "there is time to begin with");
	for (; n < 100000 && rt_gzip_may_begin(p, now_us); n++)
	{
		rt_gzip_at_once(p, text, RT_GZIP_STEP_BYTES, &out);
		rt_buf_fini(&out);
	}
	ok(n > 0 && n < 100000, "it is used up within one turn");
	ok(rt_gzip_may_step(g, now_us), "large bodies have their own");
	rt_gzip_free(g);
	ok(rt_gzip_may_begin(p, now_us + 10000000), "it is there again later");
	ok(rt_gzip_may_begin(p, now_us), "a clock that goes back takes none");
	free(text);
	rt_gzip_pool_free(p);
}

int
main(void)
{
	test_at_once();
	test_steps();
	test_under_way();
	test_lengths();
	test_budget();
	return tap_done();
}
