/* test_media_rtp.c: RTP headers and extensions (RFC 3550 section 5.1, RFC 8285), and what kind a packet is. */
#include <stdlib.h>

#include "bgworker/media/rtp/rtp.h"
#include "tap.h"

static void
test_kinds(void)
{
	uint8_t p[20] = {0};

	ok(rt_rtp_classify(p, 20) == RT_PACKET_STUN, "0..3: STUN");
	ok(rt_rtp_classify(p, 19) == RT_PACKET_UNKNOWN, "STUN has 20 bytes");
	p[0] = 22;
	ok(rt_rtp_classify(p, 13) == RT_PACKET_DTLS, "20..63: DTLS");
	p[0] = 64;
	ok(rt_rtp_classify(p, 20) == RT_PACKET_UNKNOWN, "64..79 are TURN channels: not ours");
	p[0] = 0x80;
	p[1] = 200;
	ok(rt_rtp_classify(p, 8) == RT_PACKET_RTCP, "192..223: RTCP");
	p[1] = 96;
	ok(rt_rtp_classify(p, 12) == RT_PACKET_RTP, "else RTP");
	p[1] = 0x80 | 96;
	ok(rt_rtp_classify(p, 12) == RT_PACKET_RTP, "RTP with a marker");
	ok(rt_rtp_classify(p, 11) == RT_PACKET_UNKNOWN && rt_rtp_classify(p, 1) == RT_PACKET_UNKNOWN &&
		   rt_rtp_classify(p, 0) == RT_PACKET_UNKNOWN,
	   "too short for anything");
}

/* Version 2, padding, extension, one CSRC; one-byte extensions 3 (MID "ab"), padding, 5 (one byte). */
static const uint8_t full[] = {0xb1, 0x80 | 97, 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef, 1,    2,   3,   4,
							   9,    9,         9,    9,    0xbe, 0xde, 0,    2,    0x31, 'a', 'b', 0,
							   0x50, 0x7f,      0,    0,    'p',  'a',  'y',  0,    0,    3};

static void
test_parse(void)
{
	uint8_t p[sizeof(full)];
	struct rt_rtp r;
	size_t n;
	const uint8_t *v;
	int accepted = 0;

	memcpy(p, full, sizeof(full));
	ok(rt_rtp_parse(p, sizeof(p), &r) == RT_OK, "a packet with everything");
	ok(r.pt == 97 && r.marker && r.seq == 0x1234 && r.ts == 0xdeadbeef && r.ssrc == 0x01020304, "its header");
	ok(r.payload_len == 3 && memcmp(p + r.payload_off, "pay", 3) == 0 && r.padding == 3, "payload without padding");
	v = rt_rtp_ext(&r, 3, &n);
	ok(v && n == 2 && memcmp(v, "ab", 2) == 0, "the first extension");
	v = rt_rtp_ext(&r, 5, &n);
	ok(v && n == 1 && *v == 0x7f, "the one behind padding");
	ok(!rt_rtp_ext(&r, 4, &n) && n == 0 && !rt_rtp_ext(&r, 0, &n) && !rt_rtp_ext(&r, 15, &n), "absent ones");
	for (size_t len = 0; len < sizeof(full); len++)
	{
		uint8_t *cut = malloc(len ? len : 1); /* of its size, for the sanitizer */

		memcpy(cut, full, len);
		if (rt_rtp_parse(cut, len, &r) == RT_OK)
		{
			accepted++;
			for (int id = 0; id < 256; id++)
				rt_rtp_ext(&r, (uint8_t) id, &n);
		}
		free(cut);
	}
	ok(accepted == 0, "cut off anywhere it is refused");
	p[sizeof(p) - 1] = 7;
	ok(rt_rtp_parse(p, sizeof(p), &r) == RT_BAD_INPUT, "more padding than payload");
	p[sizeof(p) - 1] = 0;
	ok(rt_rtp_parse(p, sizeof(p), &r) == RT_BAD_INPUT, "padding of nothing");
	p[0] = 0x40;
	ok(rt_rtp_parse(p, sizeof(p), &r) == RT_BAD_INPUT, "version 1");
}

static void
test_two_byte(void)
{
	uint8_t p[] = {0x90, 96, 0,   1, 0,   0,   0, 0,  0, 0, 0, 1,   0x10, 0x05,
				   0,    3,  200, 2, 'h', 'i', 0, 16, 0, 4, 3, 'x', 'y',  'z'};
	struct rt_rtp r;
	size_t n;
	const uint8_t *v;

	ok(rt_rtp_parse(p, sizeof(p), &r) == RT_OK, "two-byte form");
	v = rt_rtp_ext(&r, 200, &n);
	ok(v && n == 2 && memcmp(v, "hi", 2) == 0, "an id above 14");
	v = rt_rtp_ext(&r, 16, &n);
	ok(v && n == 0, "a value of no bytes");
	v = rt_rtp_ext(&r, 4, &n);
	ok(v && n == 3 && memcmp(v, "xyz", 3) == 0, "the last one, up to the end of the block");
	p[24] = 4;
	ok(!rt_rtp_ext(&r, 4, &n), "one that overruns the block is not there");
	p[12] = 0x12;
	rt_rtp_parse(p, sizeof(p), &r);
	ok(!rt_rtp_ext(&r, 200, &n), "of an unknown profile nothing is read");
}

/* Of random blocks, many of them malformed, both ways of reading say the same. */
static void
test_index(void)
{
	int same = 0, found = 0;

	srandom(7);
	for (int round = 0; round < 4000; round++)
	{
		size_t words = (size_t) random() % 12, len = RT_RTP_HEADER + 4 + 4 * words;
		uint8_t *p = malloc(len); /* of its size, for the sanitizer */
		struct rt_rtp_exts x;
		struct rt_rtp r;
		bool ok = true;

		for (size_t i = 0; i < len; i++)
			p[i] = (uint8_t) (random() % 4 ? random() : random() % 4);
		p[0] = 0x90;
		rt_bytes_put16(p + RT_RTP_HEADER, round % 2 ? 0xBEDE : round % 4 ? 0x1003 : (uint16_t) random());
		rt_bytes_put16(p + RT_RTP_HEADER + 2, (uint16_t) words);
		ok &= rt_rtp_parse(p, len, &r) == RT_OK;
		rt_rtp_exts_read(&x, &r);
		for (int id = 0; id < 256; id++)
		{
			size_t n, m;
			const uint8_t *v = rt_rtp_ext(&r, (uint8_t) id, &n);

			ok &= v == rt_rtp_exts_find(&x, (uint8_t) id, &m) && n == m;
			found += v != NULL;
		}
		same += ok;
		free(p);
	}
	ok(same == 4000 && found > 1000, "read at once, %d blocks have the same %d values", same, found);
}

static void
test_malformed_one_byte(void)
{
	uint8_t p[] = {0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x1f, 1, 2, 3};
	struct rt_rtp r;
	size_t n;

	rt_rtp_parse(p, sizeof(p), &r);
	ok(!rt_rtp_ext(&r, 1, &n), "16 bytes announced, 3 there");
	p[16] = 0xf0;
	p[17] = 0x20;
	ok(!rt_rtp_ext(&r, 2, &n), "id 15 ends the block");
}

static void
test_write(void)
{
	struct rt_rtp_ext_out ext[] = {{1, 3, (const uint8_t *) "mid"}, {0, 2, (const uint8_t *) "no"}, {14, 16, full}};
	uint8_t out[RT_RTP_HEADER + 4 + 3 * 17];
	struct rt_rtp r;
	size_t len = rt_rtp_write_header(out, 111, true, 65535, 7, 0xfffffffe, ext, 3), n;
	const uint8_t *v;

	ok(len % 4 == 0 && rt_rtp_parse(out, len, &r) == RT_OK, "what was written is read");
	ok(r.pt == 111 && r.marker && r.seq == 65535 && r.ts == 7 && r.ssrc == 0xfffffffe && r.payload_len == 0,
	   "header");
	v = rt_rtp_ext(&r, 1, &n);
	ok(v && n == 3 && memcmp(v, "mid", 3) == 0, "extension");
	v = rt_rtp_ext(&r, 14, &n);
	ok(v && n == 16 && memcmp(v, full, 16) == 0, "the longest value, the highest id");
	ok(rt_rtp_write_header(out, 0, false, 0, 0, 0, ext + 1, 1) == RT_RTP_HEADER, "no extension, no block");
}

int
main(void)
{
	test_kinds();
	test_parse();
	test_two_byte();
	test_index();
	test_malformed_one_byte();
	test_write();
	return tap_done();
}
