/* test_media_recv.c: an incoming stream: what was lost and is asked for, what the receiver report says; the packets
 * that are kept; what transport-wide feedback tells; who is loudest. */
#include <stdlib.h>

#include "bgworker/media/rtp/recv.h"
#include "bgworker/media/rtp/rtp.h"
#include "bgworker/media/forward/speaker.h"
#include "bgworker/media/rtp/store.h"
#include "bgworker/media/rtp/twcc.h"
#include "tap.h"

#define MS 1000u

static enum rt_recv_result
take(struct rt_recv *r, uint16_t seq, uint64_t now_us)
{
	return rt_recv_packet(r, seq, (uint32_t) (now_us / 1000 * 90), 1000, now_us, true, false);
}

static void
test_loss(void)
{
	struct rt_recv r = {.ssrc = 5, .clock_rate = 90000};
	struct rt_rtcp_report report;
	uint64_t now = 1000 * MS;
	uint16_t seqs[8];
	bool give_up;

	ok(take(&r, 65533, now) == RT_RECV_BEGIN && take(&r, 65534, now) == RT_RECV_NEW, "a stream begins");
	ok(take(&r, 65534, now) == RT_RECV_DUPLICATE, "the same again");
	ok(take(&r, 1, now) == RT_RECV_NEW, "two are missing, over the wrap");
	ok(rt_recv_due(&r, now + 5 * MS, 0, seqs, 8, &give_up) == 0, "not asked for at once: they may only be late");
	ok(rt_recv_due(&r, now + 10 * MS, 0, seqs, 8, &give_up) == 2 && seqs[0] == 65535 && seqs[1] == 0, "then both");
	ok(rt_recv_due(&r, now + 20 * MS, 0, seqs, 8, &give_up) == 0, "not twice within a round trip");
	ok(take(&r, 0, now + 30 * MS) == RT_RECV_LATE && take(&r, 0, now + 30 * MS) == RT_RECV_DUPLICATE,
	   "one comes, once");
	ok(rt_recv_due(&r, now + 60 * MS, 100, seqs, 8, &give_up) == 0, "a long round trip: a long wait");
	rt_recv_report(&r, now + 100 * MS, &report);
	ok(report.ssrc == 5 && report.highest_seq == 65537 && report.lost == 1 && report.fraction_lost == 255 / 5,
	   "the report: highest %u, lost %d, %d of 256", report.highest_seq, report.lost, report.fraction_lost);
	for (int i = 0; i < 30; i++)
	{
		rt_recv_due(&r, now + (100 + (uint64_t) i * 50) * MS, 0, seqs, 8, &give_up);
		if (give_up)
			break;
	}
	ok(give_up && r.nmissing == 0, "one that never comes is given up, once and for all");
	rt_recv_report(&r, now + 2000 * MS, &report);
	ok(report.fraction_lost == 0 && report.lost == 1, "nothing was lost since");
}

static void
test_jitter(void)
{
	struct rt_recv r = {.clock_rate = 90000};

	for (unsigned i = 1; i <= 10; i++)
		rt_recv_packet(&r, (uint16_t) i, 7 + 90 * 20 * i, 1000, 20 * i * MS, true, false);
	rt_recv_packet(&r, 30000, 0x70000000, 1000, 220 * MS, true, false);
	rt_recv_packet(&r, 30001, 0x70000000 + 90 * 20, 1000, 240 * MS, true, false);
	ok(r.jitter < 1, "a sender that begins anew, with another time, is no jitter: %.0f", r.jitter);
}

static void
test_unasked_repair(void)
{
	struct rt_recv r = {.clock_rate = 90000};

	rt_recv_packet(&r, 10, 0, 100, 1 * MS, false, false);
	rt_recv_packet(&r, 12, 0, 100, 2 * MS, false, false);
	ok(rt_recv_packet(&r, 11, 0, 100, 3 * MS, false, false) == RT_RECV_LATE,
	   "where nothing is asked for: one comes late");
	ok(rt_recv_packet(&r, 11, 0, 100, 4 * MS, false, true) == RT_RECV_DUPLICATE,
	   "and once more as a repair: one too many");
}

static void
test_overrun(void)
{
	struct rt_recv r = {.clock_rate = 90000};

	take(&r, 0, 1 * MS);
	ok(take(&r, 400, 2 * MS) == RT_RECV_OVERRUN && r.nmissing == 0, "more is lost than is worth asking for");
	ok(take(&r, 5000, 3 * MS) == RT_RECV_BEGIN, "a jump is a new beginning");
	ok(take(&r, 100, 4 * MS) == RT_RECV_BEGIN, "so is one back");
	ok(rt_recv_packet(&r, 40000, 0, 10, 5 * MS, true, true) == RT_RECV_DUPLICATE && r.highest == 100,
	   "what comes by RTX begins nothing");
	ok(rt_recv_lost(&r) == 0, "and nothing counts as lost");
	ok(r.packets == 4, "the packets of all streams are counted");
}

/* 20 % lost, reordering, duplicates, over several wraps: nothing is handed on twice, and loss is counted right. */
static void
test_random(void)
{
	struct rt_recv r = {.clock_rate = 90000};
	struct rt_rtcp_report report;
	static uint8_t seen[300000];
	int twice = 0, lost = 0;

	srandom(9);
	take(&r, 0, 1);
	for (int i = 1; i < 300000; i++)
	{
		int late = random() % 30 == 0 && i > 8 ? i - (int) (random() % 8) : 0;
		enum rt_recv_result rc;

		if (r.nmissing > 200)
			r.nmissing = 0; /* as when they are given up */
		if (random() % 5)
		{
			rc = take(&r, (uint16_t) i, (uint64_t) i * MS);
			if (rc != RT_RECV_DUPLICATE)
				twice += seen[i]++;
		}
		if (late)
		{
			rc = take(&r, (uint16_t) late, (uint64_t) i * MS);
			if (rc != RT_RECV_DUPLICATE)
				twice += seen[late]++;
		}
	}
	for (int i = 1; i < 299990; i++)
		lost += !seen[i];
	rt_recv_report(&r, 1, &report);
	ok(twice == 0, "nothing twice");
	ok(report.lost >= lost && report.lost <= lost + 10, "%d lost, %d told", lost, report.lost);
	ok(report.highest_seq >= 299980, "four wraps: %u", report.highest_seq);
}

static void
test_clocks(void)
{
	struct rt_recv r = {.clock_rate = 90000};
	struct rt_rtcp_sr sr = {.ntp = 0x1122334455667788, .rtp_ts = 7};
	struct rt_rtcp_report report;

	for (int i = 0; i < 200; i++)
		rt_recv_packet(&r, (uint16_t) i, (uint32_t) i * 1800, 125, (uint64_t) (1000 + i * 20) * MS, true, false);
	rt_recv_sr(&r, &sr, 5000 * MS);
	rt_recv_report(&r, 5500 * MS, &report);
	ok(report.jitter < 10, "an even stream has no jitter: %u", report.jitter);
	ok(report.lsr == 0x33445566 && report.dlsr == 32768, "half a second since the sender report");
	ok(rt_recv_bitrate(&r, 5000 * MS) / 1000 == 50, "50 kbit/s");
	ok(rt_recv_bitrate(&r, 6000 * MS) == 0, "silence has none");
	for (int i = 200; i < 600; i++)
		rt_recv_packet(&r, (uint16_t) i, (uint32_t) i * 1800, 125, (uint64_t) (1000 + i * 20 + i % 2 * 10) * MS, true,
					   false);
	rt_recv_report(&r, 1, &report);
	ok(report.jitter > 600 && report.jitter < 1000, "10 ms to and fro: %u ticks", report.jitter);
}

static void
test_store(void)
{
	struct rt_store *s = rt_store_new();
	uint8_t payload[RT_STORE_PAYLOAD + 1] = "payload";
	struct rt_packet p = {.seq = 7, .ts = 99, .payload = payload, .payload_len = 8};
	const struct rt_packet *found;

	rt_store_put(s, &p);
	payload[0] = 'x';
	found = rt_store_find(s, 7);
	ok(found && found->ts == 99 && found->payload_len == 8 && memcmp(found->payload, "payload", 8) == 0,
	   "a copy is kept");
	ok(!rt_store_find(s, 8) && !rt_store_find(s, 7 + RT_STORE_PACKETS), "others are not there");
	p.seq = 7 + RT_STORE_PACKETS;
	p.payload_len = sizeof(payload);
	rt_store_put(s, &p);
	ok(!rt_store_find(s, 7) && !rt_store_find(s, p.seq), "one too long is left out, and the old one is gone");
	rt_store_free(s);
}

/* The numbers that feedback tells of, and how many of them as received. */
struct told
{
	int n, received;
	uint16_t next;
	bool gap;
};

static void
on_status(void *arg, uint16_t seq, int n, bool received, int32_t delta)
{
	struct told *t = arg;

	(void) delta;
	t->gap |= t->n > 0 && seq != t->next;
	t->n += n;
	t->next = (uint16_t) (seq + n);
	t->received += received;
}

static void
tell(struct rt_twcc *t, struct told *told)
{
	uint8_t out[1176];
	struct rt_rtcp p;
	uint32_t reference;
	size_t len;

	while ((len = rt_twcc_feedback(t, out, sizeof(out), 1)))
	{
		size_t off = 0;

		if (rt_rtcp_next(out, len, &off, &p) == RT_OK)
			rt_rtcp_read_twcc(&p, &reference, on_status, told);
	}
}

static void
test_twcc(void)
{
	static struct rt_twcc t;
	struct told told = {0};

	tell(&t, &told);
	ok(told.n == 0, "nothing came, nothing is told");
	for (int i = 0; i < 100000; i++)
	{
		if (i % 10)
			rt_twcc_received(&t, (uint16_t) (65000 + i), 1, 1000000 + (uint64_t) i * MS);
		if (i % 97 == 0)
			tell(&t, &told);
	}
	tell(&t, &told);
	ok(told.received == 90000 && told.n == 99999 && !told.gap, "each number once, over the wrap: %d of %d",
	   told.received, told.n);
	rt_twcc_received(&t, (uint16_t) (65000 + 99000), 1, 200000 * MS);
	told = (struct told){0};
	tell(&t, &told);
	ok(told.n == 0, "what was told as lost is not told again");
	rt_twcc_received(&t, (uint16_t) (65000 + 100000 + 20000), 1, 200000 * MS);
	tell(&t, &told);
	ok(told.n == 1 && told.received == 1, "a jump is not filled");
}

static void
speak(struct rt_speaker *s, const char *id, uint8_t level, int packets)
{
	for (int i = 0; i < packets; i++)
		rt_speaker_level(s, id, level);
}

static void
test_speaker(void)
{
	struct rt_speaker *s = rt_speaker_new();
	const char *id = "";
	int volume = 0;
	char name[16];

	speak(s, "a", 127, 25);
	ok(!rt_speaker_turn(s, &id, &volume), "in silence nobody speaks");
	speak(s, "c", 10, 10);
	speak(s, "c", 127, 15);
	ok(!rt_speaker_turn(s, &id, &volume), "nor in a cough of 200 ms");
	rt_speaker_remove(s, "c");
	speak(s, "a", 30, 25);
	speak(s, "b", 33, 25);
	ok(rt_speaker_turn(s, &id, &volume) && strcmp(id, "a") == 0 && volume == -30, "of two the louder one");
	speak(s, "a", 30, 25);
	ok(!rt_speaker_turn(s, &id, &volume), "is told once");
	speak(s, "a", 33, 25);
	speak(s, "b", 20, 25);
	ok(!rt_speaker_turn(s, &id, &volume), "nobody is interrupted");
	speak(s, "b", 30, 25);
	ok(rt_speaker_turn(s, &id, &volume) && strcmp(id, "b") == 0, "whoever goes on when the other one has stopped");
	rt_speaker_turn(s, &id, &volume);
	rt_speaker_turn(s, &id, &volume);
	speak(s, "a", 20, 10);
	ok(!rt_speaker_turn(s, &id, &volume), "into silence, too, a cough is nobody speaking");
	rt_speaker_turn(s, &id, &volume);
	speak(s, "a", 50, 25);
	ok(rt_speaker_turn(s, &id, &volume) && strcmp(id, "a") == 0, "but a soft voice is");
	rt_speaker_remove(s, "a");
	speak(s, "b", 40, 25);
	ok(rt_speaker_turn(s, &id, &volume) && strcmp(id, "b") == 0, "when the active one has left, anyone");
	for (int i = 0; i < 1000; i++)
	{
		snprintf(name, sizeof(name), "v%d", i);
		rt_speaker_level(s, name, 10);
	}
	rt_speaker_turn(s, &id, &volume);
	ok(strcmp(id, "b") == 0, "a thousand voices are bounded");
	rt_speaker_free(s);
}

int
main(void)
{
	test_loss();
	test_jitter();
	test_unasked_repair();
	test_overrun();
	test_random();
	test_clocks();
	test_store();
	test_twcc();
	test_speaker();
	return tap_done();
}
