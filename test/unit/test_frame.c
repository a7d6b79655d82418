/* test_frame.c: frames, queues of them, polling bodies, UTF-8. */
#include <stdlib.h>

#include "bgworker/gateway/engineio/eio_payload.h"
#include "bgworker/gateway/engineio/frame.h"
#include "bgworker/gateway/engineio/outq.h"
#include "bgworker/gateway/text/utf8.h"
#include "tap.h"

static struct rt_frame *
frame_of(size_t len)
{
	char *text = malloc(len + 1);
	struct rt_frame_part part = {text, len};
	struct rt_frame *f;

	memset(text, 'x', len + 1);
	f = rt_frame_new(&part, 1);
	free(text);
	return f;
}

static bool
has_header(size_t len, const unsigned char *expected, size_t header_len)
{
	struct rt_frame *f = frame_of(len);
	size_t wire_len;
	size_t text_len;
	const char *wire = rt_frame_wire(f, &wire_len);
	const char *text = rt_frame_text(f, &text_len);
	bool same = wire_len == header_len + len && text_len == len && text == wire + header_len &&
				memcmp(wire, expected, header_len) == 0;

	rt_frame_unref(f);
	return same;
}

static void
test_headers(void)
{
	ok(has_header(0, (const unsigned char *) "\x81\x00", 2), "an empty frame");
	ok(has_header(125, (const unsigned char *) "\x81\x7d", 2), "125 bytes");
	ok(has_header(126, (const unsigned char *) "\x81\x7e\x00\x7e", 4), "126 bytes");
	ok(has_header(65535, (const unsigned char *) "\x81\x7e\xff\xff", 4), "65535 bytes");
	ok(has_header(65536, (const unsigned char *) "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10), "65536 bytes");
}

static void
test_parts(void)
{
	struct rt_frame_part parts[] = {{"42[\"e\",", 7}, {"{}", 2}, {NULL, 0}, {"]", 1}};
	struct rt_frame *f = rt_frame_new(parts, 4);
	struct rt_frame *b = rt_frame_new_binary("\x01\x02", 2);
	size_t len;

	ok(memcmp(rt_frame_text(f, &len), "42[\"e\",{}]", 10) == 0 && len == 10, "parts are joined");
	ok(!rt_frame_is_binary(f) && rt_frame_is_binary(b), "text and binary");
	ok((unsigned char) rt_frame_wire(b, &len)[0] == 0x82 && len == 4, "a binary frame's opcode");
	rt_frame_unref(rt_frame_ref(f));
	rt_frame_unref(f);
	rt_frame_unref(b);
	rt_frame_unref(NULL);
}

static void
test_queue(void)
{
	struct rt_outq q = {0};
	struct rt_frame *f[100];
	bool in_order = true;

	for (int i = 0; i < 100; i++)
		f[i] = frame_of((size_t) i);
	/* Wraps around while it grows. */
	for (int i = 0; i < 100; i++)
	{
		rt_outq_push(&q, f[i], 1000000);
		if (i % 3 == 2)
		{
			in_order = in_order && rt_outq_peek(&q, 0) == f[i / 3];
			rt_outq_pop(&q);
		}
	}
	ok(in_order && q.count == 67, "frames leave in their order");
	ok(rt_outq_peek(&q, 66) == f[99] && rt_outq_peek(&q, 67) == NULL, "all that wait can be seen");
	while (q.count > 0)
		rt_outq_pop(&q);
	ok(q.bytes == 0 && q.more == NULL, "an empty queue holds no memory");
	for (int i = 0; i < 100; i++)
		rt_frame_unref(f[i]);
}

static void
test_queue_limit(void)
{
	struct rt_outq q = {0};
	struct rt_frame *small = frame_of(66); /* 68 on the wire, 100 with its cost */
	struct rt_frame *large = frame_of(5000);

	for (int i = 0; i < 10; i++)
		ok(rt_outq_push(&q, small, 1000) == RT_OK, "within the limit, %d", i);
	ok(rt_outq_push(&q, small, 1000) == RT_LIMIT && q.count == 10 && q.bytes == 1000, "no more than the limit");
	rt_outq_fini(&q);
	ok(q.count == 0 && q.bytes == 0, "cleared");
	ok(rt_outq_push(&q, large, 1000) == RT_OK, "a single large frame fits an empty queue");
	ok(rt_outq_push(&q, small, 1000) == RT_LIMIT, "and nothing after it");
	rt_outq_fini(&q);
	rt_frame_unref(small);
	rt_frame_unref(large);
}

static void
split_is(const char *body, size_t len, const char *expected)
{
	char got[64] = "";
	const char *packet;
	size_t packet_len;
	size_t pos = 0;

	while (rt_eio_payload_next(body, len, &pos, &packet, &packet_len))
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "(%.*s)", (int) packet_len, packet);
	is_str(got, expected, "split into %s", expected);
}

static void
test_payload(void)
{
	struct rt_buf body;
	struct rt_frame *f[3] = {frame_of(2), rt_frame_new_binary("\x01\x02\x03\x04", 4), rt_frame_new_binary("", 0)};
	size_t cost = 0;
	size_t len;

	split_is("4a\x1e"
			 "3\x1e"
			 "4bc",
			 8, "(4a)(3)(4bc)");
	split_is("", 0, "()");
	split_is("\x1e", 1, "()()");
	split_is("4a\x1e", 3, "(4a)()");
	rt_buf_init(&body, 1000);
	for (int i = 0; i < 3; i++)
	{
		cost += rt_eio_payload_cost(f[i]);
		rt_eio_payload_put(&body, f[i]);
		rt_frame_unref(f[i]);
	}
	ok(memcmp(rt_buf_peek(&body, &len),
			  "xx\x1e"
			  "bAQIDBA==\x1e"
			  "b",
			  14) == 0 &&
		   len == 14,
	   "joined, binary as base64");
	ok(cost == len + 1, "what a frame costs is known before");
	rt_buf_fini(&body);
}

static void
test_utf8(void)
{
	static const char *const good[] = {"",
									   "ascii only, longer than a word",
									   "\xc2\x80",
									   "\xdf\xbf",
									   "\xe0\xa0\x80",
									   "\xed\x9f\xbf",
									   "\xee\x80\x80",
									   "\xef\xbf\xbf",
									   "\xf0\x90\x80\x80",
									   "\xf4\x8f\xbf\xbf",
									   "12345678\xc3\xa4"
									   "9"};
	static const char *const bad[] = {
		"\x80",         "\xc0\x80",     "\xc1\xbf",         "\xc2",         "\xe0\x9f\xbf",     "\xe0\xa0",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xff",         "\xc3(",        "12345678\xe2\x82"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(rt_utf8_valid(good[i], strlen(good[i])), "well-formed, %zu", i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!rt_utf8_valid(bad[i], strlen(bad[i])), "malformed, %zu", i);
	ok(rt_utf8_cut("abc", 3) == 3 && rt_utf8_cut("abc", 2) == 2 && rt_utf8_cut("", 0) == 0, "cut: bytes of ASCII");
	ok(rt_utf8_cut("a\xe2\x82\xac", 4) == 4, "cut: all of it fits");
	ok(rt_utf8_cut("a\xe2\x82\xac", 3) == 1 && rt_utf8_cut("a\xe2\x82\xac", 2) == 1, "cut: no part of a character");
	ok(rt_utf8_cut("\xe2\x82\xac", 2) == 0, "cut: nothing fits");
}

int
main(void)
{
	test_headers();
	test_parts();
	test_queue();
	test_queue_limit();
	test_payload();
	test_utf8();
	return tap_done();
}
