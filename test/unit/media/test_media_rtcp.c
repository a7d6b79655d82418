/* test_media_rtcp.c: what each RTCP writer writes, read back; transport-wide feedback; malformed compounds. */
#include <stdlib.h>

#include "bgworker/media/rtp/rtcp.h"
#include "bgworker/media/rtp/rtp.h"
#include "tap.h"

static struct rt_rtcp
only(const uint8_t *data, size_t len)
{
	struct rt_rtcp p = {0};
	size_t off = 0;

	ok(len % 4 == 0 && rt_rtcp_next(data, len, &off, &p) == RT_OK && rt_rtcp_next(data, len, &off, &p) == RT_AGAIN,
	   "one packet of whole words");
	off = 0;
	rt_rtcp_next(data, len, &off, &p);
	return p;
}

static void
test_reports(void)
{
	struct rt_rtcp_sr sr = {0x11223344, 0x0102030405060708, 90000, 1000, 1000000}, sr2;
	struct rt_rtcp_report in[2] = {{0xa, 255, 0x7fffff, 0x1fffe, 77, 0xfeedface, 65536}, {0xb, 0, -5, 1, 2, 3, 4}}, r;
	uint8_t out[256];
	struct rt_rtcp p;
	size_t n = rt_rtcp_write_sr(out, sizeof(out), &sr), m, off = 0;

	p = only(out, n);
	ok(rt_rtcp_read_sr(&p, &sr2) && sr2.ssrc == sr.ssrc && sr2.ntp == sr.ntp && sr2.rtp_ts == sr.rtp_ts &&
		   sr2.packets == sr.packets && sr2.octets == sr.octets,
	   "sender report");
	ok(!rt_rtcp_read_report(&p, 0, &r), "without report blocks");
	m = rt_rtcp_write_rr(out + n, sizeof(out) - n, 1, in, 2);
	p = only(out + n, m);
	ok(rt_rtcp_read_report(&p, 0, &r) && r.lost == 0x7fffff && r.fraction_lost == 255 && r.highest_seq == 0x1fffe &&
		   r.jitter == 77 && r.lsr == 0xfeedface && r.dlsr == 65536,
	   "receiver report");
	ok(rt_rtcp_read_report(&p, 1, &r) && r.ssrc == 0xb && r.lost == -5, "24 bits with a sign");
	ok(!rt_rtcp_read_report(&p, 2, &r) && !rt_rtcp_read_sr(&p, &sr2), "no third block, no sender report");
	n += m;
	n += rt_rtcp_write_sdes(out + n, sizeof(out) - n, 1, "cname");
	n += rt_rtcp_write_bye(out + n, sizeof(out) - n, 1);
	for (m = 0; rt_rtcp_next(out, n, &off, &p) == RT_OK; m++)
		;
	ok(m == 4 && off == n, "a compound of four");
}

static void
test_sdes(void)
{
	uint8_t out[300];
	char name[257];
	int wrong = 0;

	memset(name, 'x', sizeof(name));
	for (size_t len = 0; len <= 255; len++)
	{
		size_t n;

		name[len] = '\0';
		n = rt_rtcp_write_sdes(out, sizeof(out), 9, name);
		wrong += n % 4 != 0 || n < 8 + 2 + len + 1 || out[9] != len || out[10 + len] != 0;
		name[len] = 'x';
	}
	ok(wrong == 0, "names of 0 to 255 bytes, each ended by a zero");
	name[256] = '\0';
	ok(rt_rtcp_write_sdes(out, sizeof(out), 9, name) == 0, "256 bytes are too long");
}

static void
test_feedback(void)
{
	uint8_t out[128], seq;
	struct rt_rtcp p;
	uint32_t sender, media, ssrc;
	uint64_t bps;

	p = only(out, rt_rtcp_write_pli(out, sizeof(out), 1, 2));
	ok(p.type == RT_RTCP_PSFB && p.count == RT_PSFB_PLI && rt_rtcp_read_feedback(&p, &sender, &media) &&
		   sender == 1 && media == 2,
	   "PLI");
	p = only(out, rt_rtcp_write_fir(out, sizeof(out), 1, 2, 200));
	ok(p.count == RT_PSFB_FIR && rt_rtcp_read_fir(&p, 0, &ssrc, &seq) && ssrc == 2 && seq == 200 &&
		   !rt_rtcp_read_fir(&p, 1, &ssrc, &seq),
	   "FIR");
	ok(!rt_rtcp_read_remb(&p, &bps), "FIR is no REMB");
	for (uint64_t want = 1; want < (uint64_t) 1 << 50; want = want * 3 + 1)
	{
		p = only(out, rt_rtcp_write_remb(out, sizeof(out), 1, want, &ssrc, 1));
		if (!rt_rtcp_read_remb(&p, &bps) || bps > want || want - bps > want >> 17)
			ok(false, "REMB of %llu came as %llu", (unsigned long long) want, (unsigned long long) bps);
	}
	out[17] = 0xff;
	out[18] = out[19] = 0xff;
	ok(rt_rtcp_read_remb(&p, &bps) && bps == (uint64_t) 0x3ffff << 40, "an absurd REMB is bounded");
}

static void
test_nack(void)
{
	uint16_t seqs[] = {65534, 65535, 0, 14, 15, 100}, got[32], pid, blp;
	uint8_t out[64];
	struct rt_rtcp p = only(out, rt_rtcp_write_nack(out, sizeof(out), 1, 2, seqs, 6));
	int n = 0;

	for (int i = 0; rt_rtcp_read_nack(&p, i, &pid, &blp); i++)
		for (int k = 0; k <= 16; k++)
			if (k == 0 || blp >> (k - 1) & 1)
				got[n++] = (uint16_t) (pid + k);
	ok(n == 6 && memcmp(seqs, got, sizeof(seqs)) == 0 && p.len == 8 + 3 * 4, "NACK over the wrap, in three pairs");
	ok(rt_rtcp_write_nack(out, 12, 1, 2, seqs, 6) == 0 && rt_rtcp_write_nack(out, sizeof(out), 1, 2, seqs, 0) == 0,
	   "none without room or numbers");
}

/* ---- transport-wide feedback ---- */

#define REFERENCE_WRAP_US (((uint64_t) 1 << 24) * 64000)

struct seen
{
	int n, received;
	uint16_t first;
	int64_t clock_us;
	uint64_t at[2000]; /* 0: not received */
};

static void
on_status(void *arg, uint16_t seq, int n, bool received, int32_t delta)
{
	struct seen *s = arg;

	if (s->n == 0)
		s->first = seq;
	s->clock_us += (int64_t) delta * 250;
	s->received += received;
	for (int i = 0; i < n; i++, s->n++)
		if (s->n < 2000)
			s->at[s->n] = received ? (uint64_t) s->clock_us : 0;
}

static bool
read_back(const uint8_t *data, size_t len, struct seen *s)
{
	struct rt_rtcp p;
	uint32_t reference;
	size_t off = 0;

	memset(s, 0, sizeof(*s));
	if (rt_rtcp_next(data, len, &off, &p) != RT_OK || off != len)
		return false;
	s->clock_us = (int64_t) rt_bytes_get24(p.body + 12) * 64000;
	return rt_rtcp_read_twcc(&p, &reference, on_status, s) && reference == rt_bytes_get24(p.body + 12);
}

static void
check_twcc(const char *what, uint16_t base, const uint64_t *arrival, int n, int expected)
{
	uint8_t out[1176];
	static struct seen s;
	int written, wrong = 0;
	size_t len = rt_rtcp_write_twcc(out, sizeof(out), 1, 2, 3, base, arrival, n, &written);

	ok(written == expected, "%s: %d of %d packets", what, written, n);
	if (!len)
		return;
	ok(read_back(out, len, &s) && s.n == written && s.first == base, "%s: read back", what);
	for (int i = 0; i < written; i++)
		wrong += arrival[i] ? (arrival[i] - s.at[i]) % REFERENCE_WRAP_US >= 250 : s.at[i] != 0;
	ok(wrong == 0, "%s: the times are right to 250 us", what);
}

static void
test_twcc(void)
{
	uint64_t at[1000];

	for (int i = 0; i < 1000; i++)
		at[i] = 1000000 + 1000 * (uint64_t) i;
	check_twcc("steady", 65530, at, 20, 20);
	check_twcc("one", 0, at, 1, 1);
	at[3] = at[4] = at[0] = 0;
	check_twcc("losses, the first among them", 100, at, 15, 15);
	at[8] = at[7] - 5000;
	check_twcc("reordered: a negative delta", 7, at, 15, 15);
	at[9] = at[8] + 500000;
	at[10] = at[9];
	check_twcc("half a second of silence", 7, at, 11, 11);
	at[10] = at[9] + 9000000;
	check_twcc("nine seconds of silence end it", 7, at, 11, 10);
	memset(at, 0, sizeof(at));
	check_twcc("nothing arrived", 7, at, 10, 0);
	for (int i = 0; i < 1000; i++)
		at[i] = REFERENCE_WRAP_US - 3000 + 1000 * (uint64_t) i;
	check_twcc("more than fits a packet", 7, at + 10, 990, 700);
}

/* draft-holmer-rmcat-transport-wide-cc-extensions-01: a run length and a vector of single bits. */
static void
test_twcc_chunks(void)
{
	uint8_t p[] = {0x8f, 205,  0,    6, 0,  0, 0, 1, 0, 0,    0,
				   2,    0xff, 0xfe, 0, 17, 0, 0, 1, 9, 0x20, 0x03, /* run: 3 received, small */
				   0xa0, 0x01,                                      /* vector of 14: at places 0 and 13 */
				   4,    4,    4,    8, 8,  0, 0, 0};               /* deltas */
	static struct seen s;

	ok(!read_back(p, 28, &s), "a delta that overruns");
	p[3] = 7;
	ok(read_back(p, 32, &s) && s.n == 17 && s.received == 5 && s.first == 65534,
	   "run and vector; the rest is padding");
	ok(s.at[0] == 64000 + 1000 && s.at[3] == 64000 + 5000 && s.at[16] == 64000 + 7000, "their times");
	p[20] = p[21] = 0;
	ok(!read_back(p, 32, &s), "a run of nothing would not end");
	p[14] = 0xff;
	p[15] = 0xff;
	p[20] = 0x1f;
	p[21] = 0xff;
	ok(!read_back(p, 32, &s), "65,535 packets in a few chunks");
}

static void
test_malformed(void)
{
	uint8_t p[512];
	static struct seen s;
	int n = 0;

	srandom(11);
	for (int round = 0; round < 200000; round++)
	{
		size_t len = (size_t) (random() % 64) * 4, off = 0;
		struct rt_rtcp q;
		struct rt_rtcp_report r;
		struct rt_rtcp_sr sr;
		uint8_t *heap = malloc(len ? len : 1), c;
		uint32_t a, b;
		uint16_t x, y;
		uint64_t bps;

		for (size_t i = 0; i < len; i++)
			p[i] = (uint8_t) random();
		if (len >= 4)
		{
			p[0] = (uint8_t) (0x80 | (p[0] & 0x3f));
			p[1] = (uint8_t) (200 + p[1] % 8);
			rt_bytes_put16(p + 2, (uint16_t) (p[3] % (len / 4 + 1)));
		}
		memcpy(heap, p, len);
		while (rt_rtcp_next(heap, len, &off, &q) == RT_OK)
		{
			n += rt_rtcp_read_sr(&q, &sr) + rt_rtcp_read_feedback(&q, &a, &b) + rt_rtcp_read_remb(&q, &bps);
			for (int i = 0; rt_rtcp_read_report(&q, i, &r); i++)
				n++;
			for (int i = 0; rt_rtcp_read_nack(&q, i, &x, &y); i++)
				n++;
			for (int i = 0; rt_rtcp_read_fir(&q, i, &a, &c); i++)
				n++;
			n += rt_rtcp_read_twcc(&q, &a, on_status, &s);
		}
		free(heap);
		if (off > len)
			ok(false, "walked past the end");
	}
	ok(n > 1000, "200,000 random compounds are read without harm");
	memcpy(p, (uint8_t[]){0xa0, 201, 0, 1, 0, 0, 0, 9}, 8);
	ok(rt_rtcp_next(p, 8, &(size_t){0}, &(struct rt_rtcp){0}) == RT_BAD_INPUT, "more padding than there is");
}

/* RFC 3611: an answer among other blocks, behind an answer to somebody else. */
static void
test_reference_times(void)
{
	static const uint8_t xr[] = {0x80, 207, 0, 12, 0,    0,    0,    9,    4, 0, 0, 2, 1, 2, 3, 4, 5, 6,
								 7,    8,   5, 0,  0,    6,    0,    0,    0, 7, 0, 0, 0, 1, 0, 0, 0, 2,
								 0,    0,   0, 1,  0x11, 0x22, 0x33, 0x44, 0, 1, 0, 0, 5, 0, 0, 0};
	struct rt_rtcp p;
	uint32_t ssrc, lrr, dlrr;
	uint8_t out[32], broken[sizeof(xr)];
	size_t off = 0;

	ok(rt_rtcp_next(xr, sizeof(xr), &off, &p) == RT_OK && rt_rtcp_read_dlrr(&p, 0, &ssrc, &lrr, &dlrr) && ssrc == 7 &&
		   rt_rtcp_read_dlrr(&p, 1, &ssrc, &lrr, &dlrr) && ssrc == 1 && lrr == 0x11223344 && dlrr == 65536,
	   "answers to a reference time");
	ok(!rt_rtcp_read_dlrr(&p, 2, &ssrc, &lrr, &dlrr), "and no third");
	memcpy(broken, xr, sizeof(xr));
	broken[23] = 200;
	off = 0;
	rt_rtcp_next(broken, sizeof(broken), &off, &p);
	ok(!rt_rtcp_read_dlrr(&p, 0, &ssrc, &lrr, &dlrr), "a block that overruns");
	off = 0;
	ok(rt_rtcp_write_rrtr(out, 19, 1, 5) == 0 && rt_rtcp_write_rrtr(out, sizeof(out), 1, 0x1122334455667788) == 20 &&
		   rt_rtcp_next(out, 20, &off, &p) == RT_OK && p.type == RT_RTCP_XR && off == 20 && out[8] == 4 &&
		   memcmp(out + 12, "\x11\x22\x33\x44\x55\x66\x77\x88", 8) == 0,
	   "a reference time");
}

int
main(void)
{
	test_reports();
	test_sdes();
	test_feedback();
	test_nack();
	test_twcc();
	test_twcc_chunks();
	test_malformed();
	test_reference_times();
	return tap_done();
}
