/* test_media_estimator.c: the bandwidth estimate against simulated bottlenecks: a queue that delays and then drops.
 */
#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "bgworker/media/congestion/estimator.h"
#include "bgworker/media/rtp/rtp.h"
#include "tap.h"

#define PACKET 1200
#define DELAY_US 20000
#define QUEUE_US 300000 /* what the bottleneck holds */
#define WINDOW 4096

struct network
{
	double capacity_bps, loss;
	uint64_t jitter_us; /* and packets overtake one another */
	uint64_t busy_until_us;
	uint64_t arrival_us[WINDOW]; /* by number; 0: lost */
	uint16_t next, told;
};

static void
send_one(struct network *n, struct rt_estimator *b, uint64_t now)
{
	uint64_t start = n->busy_until_us > now ? n->busy_until_us : now;

	rt_estimator_sent(b, n->next, PACKET, 0, now);
	if (start - now > QUEUE_US || (n->loss > 0 && (double) random() / RAND_MAX < n->loss))
		n->arrival_us[n->next % WINDOW] = 0;
	else
	{
		n->busy_until_us = start + (uint64_t) (PACKET * 8e6 / n->capacity_bps);
		n->arrival_us[n->next % WINDOW] =
			n->busy_until_us + DELAY_US + (uint64_t) ((double) random() / RAND_MAX * (double) n->jitter_us);
	}
	n->next++;
}

/* The receiver tells of all that has arrived by now. */
static void
feed_back(struct network *n, struct rt_estimator *b, uint64_t now)
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
		rt_estimator_feedback(b, &p, now);
}

/* Sends at the estimate, up to most_bps, for so long; gives the mean estimate of the last half. */
static double
run(struct network *n, struct rt_estimator *b, uint64_t *now, int seconds, double most_bps)
{
	uint64_t end = *now + (uint64_t) seconds * 1000000, half = *now + (uint64_t) seconds * 500000;
	double due = 0, sum = 0;
	int samples = 0;

	for (; *now < end; *now += 1000)
	{
		due += fmin((double) rt_estimator_bps(b), most_bps) / 8000 / PACKET;
		for (; due >= 1; due--)
			send_one(n, b, *now);
		if (*now / 1000 % 100 == 0)
			feed_back(n, b, *now);
		if (*now >= half)
		{
			sum += (double) rt_estimator_bps(b);
			samples++;
		}
	}
	return sum / samples;
}

static void
test_bottleneck(double capacity_bps)
{
	struct network n = {.capacity_bps = capacity_bps};
	struct rt_estimator *b = rt_estimator_new();
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
	rt_estimator_free(b);
}

static void
test_loss(void)
{
	struct network n = {.capacity_bps = 1e8, .loss = 0.25};
	struct rt_estimator *b = rt_estimator_new();
	uint64_t now = 1000000;
	double got;

	run(&n, b, &now, 1, 1e6);
	ok(rt_estimator_congested(b) && rt_estimator_bps(b) < RT_ESTIMATOR_START_BPS,
	   "a quarter is lost: the rate falls");
	run(&n, b, &now, 20, 1e6);
	got = (double) rt_estimator_bps(b);
	ok(got > 300000 && !rt_estimator_congested(b) && fabs(rt_estimator_loss(b) - 0.25) < 0.15,
	   "but not for ever, when it falls in vain: %.0f kbit/s, loss %.2f", got / 1000, rt_estimator_loss(b));
	n.loss = 0;
	got = run(&n, b, &now, 60, 1e6);
	ok(got > 500000 && !rt_estimator_congested(b), "it comes back: %.0f", got / 1000);
	rt_estimator_free(b);
}

static void
test_limits(void)
{
	struct network n = {.capacity_bps = 1e8};
	struct rt_estimator *b = rt_estimator_new();
	struct rt_rtcp p = {RT_RTCP_RTPFB, RT_RTPFB_TWCC, (const uint8_t *) "0123456789", 10};
	uint64_t now = 1000000;

	ok(!rt_estimator_known(b) && rt_estimator_bps(b) == RT_ESTIMATOR_START_BPS, "before any feedback");
	ok(!rt_estimator_feedback(b, &p, now) && !rt_estimator_known(b), "a feedback that is cut off says nothing");
	run(&n, b, &now, 30, 500000);
	ok(rt_estimator_known(b) && rt_estimator_bps(b) < 1500000, "what was never tried is not promised: %.0f kbit/s",
	   (double) rt_estimator_bps(b) / 1000);
	rt_estimator_remb(b, 200000);
	ok(rt_estimator_bps(b) == 200000, "REMB is a limit");
	rt_estimator_remb(b, 0);
	ok(rt_estimator_bps(b) == RT_ESTIMATOR_MIN_BPS, "but not below the least");
	rt_estimator_free(b);
}

/* The times in feedback wrap every twelve days. */
static void
test_wrap(void)
{
	struct network n = {.capacity_bps = 1e8};
	struct rt_estimator *b = rt_estimator_new();
	uint64_t now = 64000ull * (1 << 24) - 5000000;
	double before, after;

	run(&n, b, &now, 5, 1e9);
	before = (double) rt_estimator_bps(b);
	run(&n, b, &now, 2, 1e9);
	after = (double) rt_estimator_bps(b);
	ok(after > 1.1 * before, "growth goes on over the wrap of the clock: from %.0f to %.0f kbit/s", before / 1000,
	   after / 1000);
	rt_estimator_free(b);
}

/* Jitter in which packets overtake one another is no queue. */
static void
test_reordering(void)
{
	struct network n = {.capacity_bps = 1e8, .jitter_us = 40000};
	struct rt_estimator *b = rt_estimator_new();
	uint64_t now = 1000000;
	double least = 1e12;

	n.jitter_us = 0;
	run(&n, b, &now, 20, 1.4e6);
	n.jitter_us = 40000;
	for (int i = 0; i < 30; i++)
	{
		run(&n, b, &now, 1, 1.4e6);
		least = fmin(least, (double) rt_estimator_bps(b));
	}
	ok(least > 1.2e6, "jitter of 40 ms that reorders: %.0f kbit/s at least", least / 1000);
	n.capacity_bps = 700000;
	run(&n, b, &now, 2, 1.4e6);
	ok(rt_estimator_bps(b) < 800000, "a bottleneck within it is seen: %.0f kbit/s",
	   (double) rt_estimator_bps(b) / 1000);
	rt_estimator_free(b);
}

/* A queue that grows is seen before it is full. */
static void
test_reaction(void)
{
	struct network n = {.capacity_bps = 5e6};
	struct rt_estimator *b = rt_estimator_new();
	uint64_t now = 1000000, fell;

	run(&n, b, &now, 20, 1.2e6);
	n.capacity_bps = 600000;
	fell = now;
	while (rt_estimator_bps(b) > 650000 && now - fell < 5000000)
		run(&n, b, &now, 1, 1.2e6);
	ok(now - fell <= 1000000 && rt_estimator_queue_ms(b) > 0, "half of what is sent does not fit: told in %.1f s",
	   (double) (now - fell) / 1e6);
	ok(rt_estimator_decreased_us(b) >= fell, "and when");
	rt_estimator_free(b);
}

/* A cluster at three times the estimate. */
static void
test_probe(double capacity_bps, double least, double most)
{
	struct network n = {.capacity_bps = capacity_bps};
	struct rt_estimator *b = rt_estimator_new();
	uint64_t now = 1000000;
	uint8_t cluster;
	double got;

	run(&n, b, &now, 5, 300000);
	cluster = rt_estimator_probe(b);
	for (int i = 0; i < 10; i++, now += 3200) /* 3 Mbit/s */
	{
		send_one(&n, b, now);
		rt_estimator_sent(b, (uint16_t) (n.next - 1), PACKET, cluster, now);
	}
	now = now / 100000 * 100000 + 100000;
	run(&n, b, &now, 1, 300000);
	got = (double) rt_estimator_bps(b);
	ok(got >= least && got <= most, "a probe on %.1f Mbit/s: %.0f kbit/s", capacity_bps / 1e6, got / 1000);
	ok(!rt_estimator_congested(b), "and its own queue is no congestion");
	if (capacity_bps < 3e6)
		ok(!rt_estimator_proven(b, now) && rt_estimator_carried_bps(b, now) > 0.9 * capacity_bps &&
			   rt_estimator_carried_bps(b, now) < 1.1 * capacity_bps,
		   "what the path carries is known: %.0f kbit/s", (double) rt_estimator_carried_bps(b, now) / 1000);
	else
		ok(rt_estimator_proven(b, now) && !rt_estimator_carried_bps(b, now), "it came through at its full rate");
	ok(!rt_estimator_proven(b, now + 2000000) && !rt_estimator_carried_bps(b, now + 11000000),
	   "which holds for a while");
	rt_estimator_free(b);
}

/* Feedback that claims 65,535 losses, 35 times in a datagram, costs no more than what was sent. */
static void
test_hostile(void)
{
	struct rt_estimator *b = rt_estimator_new();
	uint8_t body[16 + 2 * 9 + 2] = {0};
	struct rt_rtcp p = {RT_RTCP_RTPFB, RT_RTPFB_TWCC, body, sizeof(body)};
	struct timespec from, to;
	double us;

	rt_bytes_put16(body + 10, 65535);
	for (int i = 0; i < 9; i++)
		rt_bytes_put16(body + 16 + 2 * i, i < 8 ? 8191 : 65535 - 8 * 8191);
	for (uint16_t s = 0; s < 1000; s++)
		rt_estimator_sent(b, s, PACKET, 0, 1000000 + s * 100u);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (int i = 0; i < 35 * 100; i++)
	{
		rt_bytes_put16(body + 8, (uint16_t) (i * 777));
		rt_estimator_feedback(b, &p, 2000000);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	us = ((double) (to.tv_sec - from.tv_sec) * 1e9 + (double) (to.tv_nsec - from.tv_nsec)) / 1e5;
	ok(us < 200, "a datagram of 35 feedbacks with 65,535 losses each takes %.0f us", us);
	ok(rt_estimator_bps(b) >= RT_ESTIMATOR_MIN_BPS, "and the rate stays above the least");
	rt_estimator_free(b);
}

/* No feedback for a while, though packets leave. */
static void
test_silence(void)
{
	struct network n = {.capacity_bps = 1e8};
	struct rt_estimator *b = rt_estimator_new();
	uint64_t now = 1000000, before;

	run(&n, b, &now, 5, 1e6);
	before = rt_estimator_bps(b);
	for (uint64_t end = now + 500000; now < end; now += 20000)
	{
		send_one(&n, b, now);
		rt_estimator_tick(b, now);
	}
	ok(rt_estimator_bps(b) == before, "feedback may be late by half a second");
	for (uint64_t end = now + 3000000; now < end; now += 20000)
	{
		send_one(&n, b, now);
		rt_estimator_tick(b, now);
	}
	ok(rt_estimator_bps(b) <= before / 4 && rt_estimator_congested(b), "three seconds of silence: a quarter or less");
	feed_back(&n, b, now);
	ok(!rt_estimator_congested(b), "until it speaks");
	rt_estimator_free(b);
}

/* Whoever stops sending because of congestion hears of no end of it. */
static void
test_idle(void)
{
	struct network n = {.capacity_bps = 500000};
	struct rt_estimator *b = rt_estimator_new();
	uint64_t now = 1000000;

	run(&n, b, &now, 5, 900000);
	n.capacity_bps = 200000;
	while (!rt_estimator_congested(b) && now < 20000000)
		run(&n, b, &now, 1, 900000);
	ok(rt_estimator_congested(b), "congested");
	rt_estimator_tick(b, now + 100000);
	ok(rt_estimator_congested(b), "which stays for a while");
	rt_estimator_tick(b, now + 700000);
	ok(!rt_estimator_congested(b) && rt_estimator_queue_ms(b) == 0, "but not when nothing is sent");
	rt_estimator_free(b);
}

/* Feedback may be long on its way: what it tells of is known until then, and only then costs memory. */
static void
test_late_feedback(void)
{
	struct network n = {.next = 65000, .told = 65000};
	struct rt_estimator *b = rt_estimator_new();
	uint64_t now = 1000000;
	size_t before = mallinfo2().uordblks, few = 0, many;

	for (int i = 0; i < 1000; i++, now += 1000)
	{
		n.arrival_us[n.next % WINDOW] = i % 2 ? 0 : now + DELAY_US;
		rt_estimator_sent(b, n.next++, PACKET, 0, now);
		if (i == 100)
			few = mallinfo2().uordblks - before;
	}
	many = mallinfo2().uordblks - before;
	now += 1000000;
	feed_back(&n, b, now);
	ok(rt_estimator_loss(b) > 0.4 && rt_estimator_loss(b) < 0.6,
	   "of 1,000 packets the oldest are known: half is lost, %.2f", rt_estimator_loss(b));
	ok(few < 2000 && many < 10000, "100 take %zu bytes, 1,000 %zu", few, many);
	rt_estimator_free(b);
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
	test_reordering();
	test_reaction();
	test_probe(1e6, 7e5, 1.1e6);
	test_probe(1e7, 2e6, 3.5e6);
	test_hostile();
	test_silence();
	test_idle();
	test_late_feedback();
	return tap_done();
}
