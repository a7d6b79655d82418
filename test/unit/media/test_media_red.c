/* test_media_red.c: RFC 2198, section 3 and 4. */
#include <stdlib.h>

#include "bgworker/media/rtp/red.h"
#include "tap.h"

/* As it lies on the wire: a redundant block of payload type 111, 960 ticks earlier, 3 bytes; the primary one. */
static const uint8_t sample[] = {0x80 | 111, 960 >> 6, (960 & 63) << 2, 3, 111, 1, 2, 3, 4, 5};

static void
test_read(void)
{
	struct rt_red_block b[RT_RED_BLOCKS];
	uint8_t *heap = malloc(sizeof(sample));
	int wrong = 0;

	ok(rt_red_read(b, sample, sizeof(sample)) == 2, "two blocks");
	ok(b[0].pt == 111 && b[0].ts_offset == 960 && b[0].len == 3 && b[0].data[0] == 1, "the redundant one");
	ok(b[1].pt == 111 && b[1].ts_offset == 0 && b[1].len == 2 && b[1].data[0] == 4, "the primary one");
	ok(rt_red_read(b, sample, 8) == 2 && b[1].len == 0, "an empty primary one");
	for (size_t n = 0; n < 8; n++)
	{
		memcpy(heap, sample, n);
		wrong += rt_red_read(b, heap, n) != 0;
	}
	ok(wrong == 0, "cut off");
	free(heap);
}

static void
test_write(void)
{
	struct rt_red_block b[3] = {{111, 1920, 2, (const uint8_t *) "ab"},
								{111, 960, 3, (const uint8_t *) "cde"},
								{111, 0, 4, (const uint8_t *) "fghi"}},
						back[RT_RED_BLOCKS];
	uint8_t out[64];
	size_t n = rt_red_write(out, sizeof(out), b, 3);

	ok(n == 4 + 4 + 1 + 9 && rt_red_read(back, out, n) == 3 && back[0].ts_offset == 1920 &&
		   memcmp(back[0].data, "abcdefghi", 9) == 0 && back[2].len == 4,
	   "three blocks, read back");
	n = rt_red_write(out, 13, b, 3);
	ok(rt_red_read(back, out, n) == 2 && back[0].ts_offset == 960, "where room is short the newest stay");
	n = rt_red_write(out, 6, b, 3);
	ok(n == 5 && rt_red_read(back, out, n) == 1, "or the primary one alone");
	ok(rt_red_write(out, 4, b, 3) == 0, "which must fit");
	b[1].ts_offset = RT_RED_MAX_OFFSET + 1;
	n = rt_red_write(out, sizeof(out), b, 3);
	ok(rt_red_read(back, out, n) == 2 && back[0].ts_offset == 1920, "one that is too old for its field is left out");
}

int
main(void)
{
	test_read();
	test_write();
	return tap_done();
}
