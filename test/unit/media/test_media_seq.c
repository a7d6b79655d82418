/* test_media_seq.c: sequence numbers over dropped packets, against a plain list of what was given out. */
#include <stdlib.h>

#include "bgworker/media/rtp/seq.h"
#include "tap.h"

static uint16_t
mapped(struct rt_seq *s, uint16_t in)
{
	uint16_t out = 0, tag;

	return rt_seq_map(s, in, &out, &tag) ? out : 0xdead;
}

static void
test_plain(void)
{
	struct rt_seq s = {0};

	rt_seq_sync(&s, 100, 5000, 0);
	ok(mapped(&s, 100) == 5000, "the first number is the one that was asked for");
	ok(mapped(&s, 103) == 5003, "a hole of the network stays a hole");
	ok(mapped(&s, 101) == 5001, "a late packet fills it");
	ok(s.highest_out == 5003, "a late packet is not the newest");
	ok(mapped(&s, 99) == 0xdead, "what is older than the stream is refused");
	rt_seq_sync(&s, 40000, 5004, 0);
	ok(mapped(&s, 40000) == 5004, "another stream goes on with the next number");
}

static void
test_drops(void)
{
	struct rt_seq s = {0};
	uint16_t out, tag;

	rt_seq_sync(&s, 65530, 10, 7);
	ok(mapped(&s, 65530) == 10, "before a drop");
	rt_seq_drop(&s, 65531, 8);
	rt_seq_drop(&s, 65532, 9);
	ok(mapped(&s, 65534) == 12, "behind two drops and a loss");
	ok(rt_seq_map(&s, 65533, &out, &tag) && out == 11 && tag == 9, "the lost one, late, fits between");
	rt_seq_drop(&s, 65535, 10);
	ok(rt_seq_map(&s, 0, &out, &tag) && out == 13 && tag == 10, "the numbers wrap");
	ok(rt_seq_map(&s, 65534, &out, &tag) && out == 12 && tag == 9, "a late packet has the tag of its time");
	rt_seq_drop(&s, 65534, 11);
	ok(mapped(&s, 1) == 14, "a drop that comes late changes nothing");
}

/* Layers change right behind a drop: the next stream's first number was given to nobody, even if what was lost before
 * the drop came late.  Under AES-GCM a number that is used twice gives the key away. */
static void
test_drop_and_switch(void)
{
	struct rt_seq s = {0};

	rt_seq_sync(&s, 10, 100, 0);
	mapped(&s, 10);
	rt_seq_drop(&s, 13, 0);
	ok(mapped(&s, 11) == 101 && mapped(&s, 12) == 102, "two that were late behind a drop");
	ok(s.highest_out == 102, "the newest number that was given out: %d", s.highest_out);
}

/* Hours of packets, now and then one dropped: every number that goes out is the one after the last. */
static void
test_long_runs(void)
{
	static const int every[] = {0, 2, 3, 1000, 20000, 33000};

	for (size_t k = 0; k < sizeof(every) / sizeof(*every); k++)
	{
		struct rt_seq s = {0};
		uint16_t expected = 30000;
		int wrong = 0;

		rt_seq_sync(&s, 65000, expected, 0);
		for (int i = 0; i < 300000; i++)
		{
			uint16_t in = (uint16_t) (65000 + i);

			if (every[k] && i % every[k] == 1)
				rt_seq_drop(&s, in, 0);
			else
				wrong += mapped(&s, in) != expected++;
		}
		ok(wrong == 0, "300,000 packets, one of %d dropped: no hole and no end", every[k]);
	}
}

static void
test_reordering(void)
{
	static uint16_t given[65536];
	struct rt_seq s = {0};
	int wrong = 0;

	srandom(3);
	rt_seq_sync(&s, 0, 0, 0);
	for (int i = 0; i < 200000; i += 4)
	{
		/* of four packets the third is dropped; the second comes last */
		given[(uint16_t) i] = mapped(&s, (uint16_t) i);
		rt_seq_drop(&s, (uint16_t) (i + 2), 0);
		given[(uint16_t) (i + 3)] = mapped(&s, (uint16_t) (i + 3));
		given[(uint16_t) (i + 1)] = mapped(&s, (uint16_t) (i + 1));
		wrong += (uint16_t) (given[(uint16_t) (i + 1)] - given[(uint16_t) i]) != 1;
		wrong += (uint16_t) (given[(uint16_t) (i + 3)] - given[(uint16_t) i]) != 2;
		wrong += given[(uint16_t) i] != (uint16_t) (i / 4 * 3);
	}
	ok(wrong == 0, "drops and late packets, mixed");
}

int
main(void)
{
	test_plain();
	test_drops();
	test_drop_and_switch();
	test_long_runs();
	test_reordering();
	return tap_done();
}
