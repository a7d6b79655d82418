/* test_media_pacer.c: pacer, probes and the budget of retransmissions, on a clock of the test's own. */
#include <math.h>

#include "bgworker/media/congestion/pacer.h"
#include "bgworker/media/congestion/probe.h"
#include "bgworker/media/congestion/resend.h"
#include "tap.h"

static char streams[2];

static void
test_free_link(void)
{
	struct rt_pacer *p = rt_pacer_new();
	int held = 0;

	for (int i = 0; i < 1000; i++)
	{
		held += !rt_pacer_may_pass(p, RT_PACER_MEDIA, 1000000);
		rt_pacer_spend(p, 1200, 1000000);
	}
	ok(held == 0 && rt_pacer_is_empty(p), "without a limit nothing waits");
	rt_pacer_free(p);
}

static void
test_rate(void)
{
	struct rt_pacer *p = rt_pacer_new();
	enum rt_pacer_class class;
	struct rt_paced item;
	uint64_t now = 1000000, done = 0;
	int sent = 0, disorder = 0;

	rt_pacer_set_rate(p, 1000000, now);
	now += 100000;
	for (uint16_t s = 0; s < 50; s++) /* 60 kB: a key frame */
		if (rt_pacer_may_pass(p, RT_PACER_MEDIA, now))
		{
			rt_pacer_spend(p, 1200, now);
			sent++;
		}
		else
			rt_pacer_push(p, RT_PACER_MEDIA, &streams[0], s, 1200, now);
	ok(sent >= 2 && sent <= 4, "of a burst at once no more than 20 ms: %d packets", sent);
	ok(rt_pacer_queued_bytes(p) == (uint64_t) (50 - sent) * 1200, "the rest waits");
	for (; !rt_pacer_is_empty(p); now += 5000)
		while (rt_pacer_pop(p, &item, &class, now))
		{
			rt_pacer_spend(p, item.bytes, now);
			disorder += item.seq != sent++;
			done = now;
		}
	ok(disorder == 0 && sent == 50, "all of it, in order");
	ok(fabs((double) (done - 1100000) - 460000) < 40000, "60 kB leave in the time of 1 Mbit/s: %.0f ms",
	   (double) (done - 1100000) / 1000);
	rt_pacer_free(p);
}

static void
test_order(void)
{
	struct rt_pacer *p = rt_pacer_new();
	enum rt_pacer_class class;
	struct rt_paced item;
	uint64_t now = 1000000;
	uint16_t first = 0;

	rt_pacer_set_rate(p, 100000, now);
	rt_pacer_spend(p, 2000, now);
	ok(!rt_pacer_may_pass(p, RT_PACER_RESEND, now), "without budget even a retransmission waits");
	rt_pacer_push(p, RT_PACER_MEDIA, &streams[0], 65535, 1200, now);
	rt_pacer_push(p, RT_PACER_MEDIA, &streams[1], 7, 1200, now);
	rt_pacer_push(p, RT_PACER_MEDIA, &streams[0], 0, 1200, now);
	rt_pacer_push(p, RT_PACER_RESEND, &streams[0], 65000, 1200, now);
	now += 300000;
	ok(rt_pacer_age_ms(p, now, NULL) == 300, "the oldest has waited 300 ms");
	ok(rt_pacer_pop(p, &item, &class, now) && class == RT_PACER_RESEND && item.seq == 65000,
	   "a retransmission goes before what came before it");
	rt_pacer_spend(p, 1200, now);
	rt_pacer_push(p, RT_PACER_RESEND, &streams[0], 65001, 1200, now);
	ok(rt_pacer_take_back(p, &streams[0], &first) == 2 && first == 65535, "a stream is taken back, over the wrap");
	ok(rt_pacer_queued_bytes(p) == 1200 && !rt_pacer_may_pass(p, RT_PACER_MEDIA, now), "the other stays");
	now += 1000000;
	ok(rt_pacer_pop(p, &item, &class, now) && item.stream == &streams[1] && item.seq == 7 && rt_pacer_is_empty(p),
	   "and leaves");
	ok(!rt_pacer_pop(p, &item, &class, now), "then nothing is left");
	rt_pacer_free(p);
}

static void
test_full(void)
{
	struct rt_pacer *p = rt_pacer_new();
	int n = 0;

	rt_pacer_set_rate(p, 100000, 1);
	while (n < 10000 && rt_pacer_push(p, RT_PACER_MEDIA, &streams[0], (uint16_t) n, 100, 1))
		n++;
	ok(n == RT_PACER_VIDEO, "at most %d wait", n);
	rt_pacer_free(p);
}

/* ---- probes ---- */

static void
test_probe(void)
{
	struct rt_probe p = {0};
	struct rt_probe_input in = {.estimate_bps = 500000, .wanted_bps = 900000};
	uint64_t now = 10000000, begun = 0, last = 0;
	int n = 0;
	size_t due, sent = 0;

	ok(rt_probe_begin(&p, &in, now), "at the start");
	for (uint64_t at = now; p.active && at < now + 1000000; at += 5000)
		for (; (due = rt_probe_due(&p, at)) > 0; sent += 300)
			rt_probe_sent(&p, 300);
	ok(sent >= 1500 && sent <= 4500 && !p.active, "a cluster of %zu bytes", sent);
	for (uint64_t at = now; at < now + 30000000; at += 20000)
		if (rt_probe_begin(&p, &in, at))
		{
			rt_probe_stop(&p);
			n++;
			begun = begun ? begun : at;
			last = at;
		}
	ok(begun - now == 500000 && n >= 9 && n <= 12 && last > now + 25000000,
	   "in vain: after half a second, then less often, but always again: %d in 30 s", n);
	now += 40000000;
	in.congested = true;
	ok(!rt_probe_begin(&p, &in, now), "not into congestion");
	in.congested = false;
	in.decreased_us = now - 500000;
	ok(!rt_probe_begin(&p, &in, now), "nor just after it");
	ok(rt_probe_begin(&p, &in, now + 600000), "but a second after it");
	rt_probe_stop(&p);
	in.wanted_bps = 400000;
	ok(!rt_probe_begin(&p, &in, now + 20000000), "nor for what the estimate allows already");
	in.wanted_bps = 0;
	ok(!rt_probe_begin(&p, &in, now + 20000000), "nor for nothing");
}

/* The path carries hardly more than what is needed. */
static void
test_close(void)
{
	struct rt_probe p = {0};
	struct rt_probe_input in = {
		.estimate_bps = 950000, .wanted_bps = 1125000, .least_bps = 1000000, .carried_bps = 1050000};
	uint64_t now = 10000000;

	ok(rt_probe_begin(&p, &in, now) && p.target_bps == 1040000 && p.until_us - now > 100000,
	   "close to what is needed a probe is slow and long: %u bit/s, %u ms", (unsigned) p.target_bps,
	   (unsigned) (p.until_us - now) / 1000);
	rt_probe_stop(&p);
	in.carried_bps = 1000000;
	ok(rt_probe_begin(&p, &in, now + 1000000) && p.target_bps > in.wanted_bps, "but not where it carries less");
	rt_probe_stop(&p);
	in.carried_bps = 1050000;
	in.least_bps = 0;
	ok(rt_probe_begin(&p, &in, now + 5000000) && p.target_bps > in.wanted_bps, "or where it was tried in vain");
	rt_probe_stop(&p);
	in.least_bps = 50000;
	in.wanted_bps = 60000;
	in.estimate_bps = 45000;
	in.carried_bps = 53000;
	ok(rt_probe_begin(&p, &in, now + 10000000) && p.until_us - p.from_us == 500000, "half a second at the most");
}

static void
test_growth(void)
{
	struct rt_probe p = {0};
	struct rt_probe_input in = {.estimate_bps = 100000, .wanted_bps = 2000000};
	uint64_t now = 1000000;
	int n = 0;

	for (; in.estimate_bps < 2000000 && n < 100; now += 20000)
		if (rt_probe_begin(&p, &in, now))
		{
			in.estimate_bps = p.target_bps;
			rt_probe_stop(&p);
			n++;
		}
	ok(n == 3 && now < 3000000, "on a free link from 0.1 to 2 Mbit/s in %d probes and %.1f s", n,
	   (double) now / 1e6 - 1);
}

/* ---- retransmissions ---- */

static void
test_budget(void)
{
	struct rt_resend r = {0};
	size_t bytes = 0;

	for (uint64_t now = 1000000; now < 11000000; now += 1000)
		for (int i = 0; i < 10; i++)
			bytes += rt_resend_take(&r, 1200, 1000000, now) ? 1200 : 0;
	ok(bytes > 240000 && bytes < 262000, "of 1 Mbit/s a fifth: %zu bytes in 10 s", bytes);
}

static void
test_due(void)
{
	ok(rt_resend_is_due(1000, 0, 0, 100, RT_RESEND_VIDEO_MS, 1100), "the first time at once");
	ok(!rt_resend_is_due(1000, 1100, 1, 100, RT_RESEND_VIDEO_MS, 1150), "not while the last one is on its way");
	ok(rt_resend_is_due(1000, 1100, 1, 100, RT_RESEND_VIDEO_MS, 1200), "after a round trip again");
	ok(!rt_resend_is_due(1000, 1100, RT_RESEND_TRIES, 100, RT_RESEND_VIDEO_MS, 2000), "not for ever");
	ok(!rt_resend_is_due(1000, 1100, 1, 100, RT_RESEND_AUDIO_MS, 1600), "nor what is too old");
	ok(rt_resend_is_due(4294967000u, 0, 0, 100, RT_RESEND_VIDEO_MS, 100), "over the wrap of the clock");
	ok(rt_resend_helps_audio(100) && !rt_resend_helps_audio(400), "sound where the round trip allows");
}

int
main(void)
{
	test_free_link();
	test_rate();
	test_order();
	test_full();
	test_probe();
	test_close();
	test_growth();
	test_budget();
	test_due();
	return tap_done();
}
