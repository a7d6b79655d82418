/* test_media_bwe.c: the bandwidth estimate against simulated bottlenecks: a queue that delays and then drops. */
#include <math.h>
#include <stdlib.h>

#include "bgworker/media/rtp/bwe.h"
#include "tap.h"

#define PACKET 1200
#define DELAY_US 20000
#define QUEUE_US 300000 /* what the bottleneck holds */
#define WINDOW 4096

struct network
{
	double capacity_bps, loss;
	uint64_t busy_until_us;
	uint64_t arrival_us[WINDOW]; /* by number; 0: lost */
	uint16_t next, told;
};

static void
send_one(struct network *n, struct rt_bwe *b, uint64_t now)
{
	uint64_t start = n->busy_until_us > now ? n->busy_until_us : now;

	rt_bwe_sent(b, n->next, PACKET, now);
	if (start - now > QUEUE_US || (n->loss > 0 && (double) random() / RAND_MAX < n->loss))
		n->arrival_us[n->next % WINDOW] = 0;
	else
	{
		n->busy_until_us = start + (uint64_t) (PACKET * 8e6 / n->capacity_bps);
		n->arrival_us[n->next % WINDOW] = n->busy_until_us + DELAY_US;
	}
	n->next++;
}

/* The receiver tells of all that has arrived by now. */
static void
feed_back(struct network *n, struct rt_bwe *b, uint64_t now)
{
	uint64_t at[256];
	uint8_t out[1176];
	struct rt_rtcp p;
	int written, count = 0;
	size_t len, off = 0;
	uint16_t last = n->told;

	for (uint16_t s = n->told; s != n->next; s++)
		if (n->arrival_us[s % WINDOW] && n->arrival_us[s % WINDOW] <= now)
			last = (uint16_t) (s + 1);
	for (uint16_t s = n->told; s != last && count < 256; s++)
		at[count++] = n->arrival_us[s % WINDOW];
	if (count == 0 || !(len = rt_rtcp_write_twcc(out, sizeof(out), 1, 2, 0, n->told, at, count, &written)))
		return;
	n->told = (uint16_t) (n->told + written);
	if (rt_rtcp_next(out, len, &off, &p) == RT_OK)
		rt_bwe_feedback(b, &p, now);
}

/* Sends at the estimate, up to most_bps, for so long; gives the mean estimate of the last half. */
static double
run(struct network *n, struct rt_bwe *b, uint64_t *now, int seconds, double most_bps)
{
	uint64_t end = *now + (uint64_t) seconds * 1000000, half = *now + (uint64_t) seconds * 500000;
	double due = 0, sum = 0;
	int samples = 0;

	for (; *now < end; *now += 1000)
	{
		due += fmin((double) rt_bwe_estimate(b), most_bps) / 8000 / PACKET;
		for (; due >= 1; due--)
			send_one(n, b, *now);
		if (*now / 1000 % 100 == 0)
			feed_back(n, b, *now);
		if (*now >= half)
		{
			sum += (double) rt_bwe_estimate(b);
			samples++;
		}
	}
	return sum / samples;
}

static void
test_bottleneck(double capacity_bps)
{
	struct network n = {.capacity_bps = capacity_bps};
	struct rt_bwe *b = rt_bwe_new();
	uint64_t now = 1000000;
	double got = run(&n, b, &now, 60, 1e9);

	ok(got > 0.6 * capacity_bps && got < 1.2 * capacity_bps, "a way of %.0f kbit/s is told as %.0f",
	   capacity_bps / 1000, got / 1000);
	n.capacity_bps = capacity_bps / 2;
	got = run(&n, b, &now, 40, 1e9);
	ok(got > 0.3 * capacity_bps && got < 0.65 * capacity_bps, "halved: %.0f", got / 1000);
	n.capacity_bps = capacity_bps;
	got = run(&n, b, &now, 60, 1e9);
	ok(got > 0.6 * capacity_bps && got < 1.2 * capacity_bps, "restored: %.0f", got / 1000);
	rt_bwe_free(b);
}

static void
test_loss(void)
{
	struct network n = {.capacity_bps = 1e8, .loss = 0.25};
	struct rt_bwe *b = rt_bwe_new();
	uint64_t now = 1000000;
	double got;

	run(&n, b, &now, 20, 1e6);
	got = (double) rt_bwe_estimate(b);
	ok(got < 400000 && rt_bwe_congested(b) && fabs(rt_bwe_loss(b) - 0.25) < 0.12,
	   "a quarter is lost: %.0f kbit/s, loss %.2f", got / 1000, rt_bwe_loss(b));
	ok(got >= RT_BWE_MIN_BPS, "never below the least");
	n.loss = 0;
	got = run(&n, b, &now, 60, 1e6);
	ok(got > 500000 && !rt_bwe_congested(b), "it comes back: %.0f", got / 1000);
	rt_bwe_free(b);
}

static void
test_limits(void)
{
	struct network n = {.capacity_bps = 1e8};
	struct rt_bwe *b = rt_bwe_new();
	struct rt_rtcp p = {RT_RTCP_RTPFB, RT_RTPFB_TWCC, (const uint8_t *) "0123456789", 10};
	uint64_t now = 1000000;

	ok(!rt_bwe_known(b) && rt_bwe_estimate(b) == RT_BWE_START_BPS, "before any feedback");
	ok(!rt_bwe_feedback(b, &p, now) && !rt_bwe_known(b), "a feedback that is cut off says nothing");
	run(&n, b, &now, 30, 500000);
	ok(rt_bwe_known(b) && rt_bwe_estimate(b) < 1500000, "what was never tried is not promised: %.0f kbit/s",
	   (double) rt_bwe_estimate(b) / 1000);
	rt_bwe_remb(b, 200000);
	ok(rt_bwe_estimate(b) == 200000, "REMB is a limit");
	rt_bwe_remb(b, 0);
	ok(rt_bwe_estimate(b) == RT_BWE_MIN_BPS, "but not below the least");
	rt_bwe_free(b);
}

/* The times in feedback wrap every twelve days. */
static void
test_wrap(void)
{
	struct network n = {.capacity_bps = 1e8};
	struct rt_bwe *b = rt_bwe_new();
	uint64_t now = 64000ull * (1 << 24) - 5000000;
	double before, after;

	run(&n, b, &now, 5, 1e9);
	before = (double) rt_bwe_estimate(b);
	run(&n, b, &now, 2, 1e9);
	after = (double) rt_bwe_estimate(b);
	ok(after > 1.1 * before, "growth goes on over the wrap of the clock: from %.0f to %.0f kbit/s", before / 1000,
	   after / 1000);
	rt_bwe_free(b);
}

int
main(void)
{
	srandom(6);
	test_bottleneck(300000);
	test_bottleneck(1500000);
	test_loss();
	test_limits();
	test_wrap();
	return tap_done();
}
