/* test_http.c: heads of requests, chunked bodies, paths and queries. */
#include <stdlib.h>

#include "bgworker/gateway/http/http.h"
#include "tap.h"

static struct rt_http_head head;

/* The status of the refusal; 200: fine; 0: incomplete.  Parses from memory of exactly that length, so that a
 * sanitizer sees a read beyond it. */
static int
parse(const char *text, size_t len, size_t *used)
{
	static char *copy;
	int status;
	enum rt_result rc;

	free(copy); /* spans of the last one end here */
	copy = malloc(len == 0 ? 1 : len);
	memcpy(copy, text, len);
	rc = rt_http_parse_head(copy, len, &head, used, &status);
	return rc == RT_OK ? 200 : rc == RT_AGAIN ? 0 : status;
}

static int
status_of(const char *text)
{
	size_t used;

	return parse(text, strlen(text), &used);
}

static void
test_good_heads(void)
{
	static const char text[] = "POST /a%20b?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length:  12 \r\nX-Empty:\r\n\r\nrest";
	size_t used;
	const struct rt_http_header *h;

	ok(parse(text, sizeof(text) - 1, &used) == 200, "a request is read");
	ok(used == sizeof(text) - 1 - 4, "up to its body");
	ok(rt_http_method_is(&head, "POST") && !rt_http_method_is(&head, "POS"), "its method");
	ok(head.target_len == 10 && memcmp(head.target, "/a%20b?x=1", 10) == 0, "its target as it came");
	ok(head.has_length && head.content_length == 12 && head.keep_alive && !head.chunked, "its framing");
	h = rt_http_find_header(&head, "x-empty");
	ok(h != NULL && h->value_len == 0, "a header without a value");
	ok(status_of("\r\nGET / HTTP/1.0\r\n\r\n") == 200 && !head.keep_alive, "HTTP/1.0 ends the connection");
	ok(status_of("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n") == 200 && head.keep_alive, "unless asked");
	ok(status_of("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, close\r\n\r\n") == 200 && !head.keep_alive,
	   "close in a list");
	ok(status_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n") == 200 && head.chunked,
	   "chunked");
	ok(rt_http_header_has_token(&head, "transfer-encoding", "chunked"), "tokens know no case");
}

static void
test_incomplete_heads(void)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
	size_t used;
	bool again = true;

	for (size_t len = 0; len < sizeof(text) - 1; len++)
		again = again && parse(text, len, &used) == 0;
	ok(again, "every prefix of a head is incomplete");
}

static void
test_bad_heads(void)
{
	static const struct
	{
		const char *text;
		int status;
	} cases[] = {
		{"GET / HTTP/1.1\nHost: h\n\n", 400},
		{"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n: v\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nA: b\x01\r\n\r\n", 400},
		{"GET  / HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.1 \r\n\r\n", 400},
		{"GET /\x7f HTTP/1.1\r\n\r\n", 400},
		{"G\xc3\x84T / HTTP/1.1\r\n\r\n", 400},
		{"GET /\r\n\r\n", 400},
		{"GET / HTTP/1.x\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nA: b\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400},
		{"GET / HTTP/2.0\r\n\r\n", 505},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999999999999\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
		{"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
		{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 501}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		int status = status_of(cases[i].text);

		ok(status == cases[i].status, "refused with %d, case %zu (%d)", cases[i].status, i, status);
	}
}

static void
test_limits(void)
{
	char *text = malloc(RT_HTTP_MAX_HEAD + 100);
	size_t len = (size_t) sprintf(text, "GET / HTTP/1.1\r\nHost: h\r\n");
	size_t used;

	for (int i = 1; i < RT_HTTP_MAX_HEADERS; i++)
		len += (size_t) sprintf(text + len, "A: b\r\n");
	strcpy(text + len, "\r\n");
	ok(parse(text, len + 2, &used) == 200, "as many headers as are allowed");
	strcpy(text + len, "A: b\r\n\r\n");
	ok(parse(text, len + 8, &used) == 431, "one more is refused");
	len = (size_t) sprintf(text, "GET / HTTP/1.1\r\nA: ");
	memset(text + len, 'x', RT_HTTP_MAX_HEAD + 100 - len);
	ok(parse(text, RT_HTTP_MAX_HEAD - 1, &used) == 0, "a long head may still go on");
	ok(parse(text, RT_HTTP_MAX_HEAD, &used) == 431, "until it is too long");
	free(text);
}

/* Feeds in pieces of `step` bytes; returns the result and leaves the body in *body. */
static enum rt_result
feed(const char *text, size_t step, struct rt_buf *body, size_t *rest)
{
	struct rt_http_chunks c = {0};
	size_t len = strlen(text);
	size_t pos = 0;
	enum rt_result rc = RT_AGAIN;

	while (pos < len && rc == RT_AGAIN)
	{
		size_t used;

		rc = rt_http_chunks_feed(&c, text + pos, len - pos < step ? len - pos : step, &used, body);
		pos += used;
	}
	*rest = len - pos;
	return rc;
}

static void
test_chunks(void)
{
	static const char text[] = "5\r\nhello\r\n00A;x=y\r\n, chunked \r\n0\r\nTrailer: t\r\n\r\nNEXT";
	static const char *const bad[] = {"5\nhello\r\n0\r\n\r\n",
									  "x\r\n",
									  "5\r\nhelloX\r\n",
									  "-1\r\n",
									  "\r\n",
									  "5 \r\nhello\r\n",
									  "0\r\n\n",
									  "0\r\nA\x01",
									  "1234567890123456\r\n"};
	struct rt_buf body;
	size_t rest;
	size_t len;

	rt_buf_init(&body, 100);
	for (size_t step = 1; step < sizeof(text); step++)
	{
		enum rt_result rc = feed(text, step, &body, &rest);
		const char *got = rt_buf_peek(&body, &len);

		if (rc != RT_OK || rest != 4 || len != 15 || memcmp(got, "hello, chunked ", 15) != 0)
			ok(false, "chunks fed by %zu", step);
		rt_buf_fini(&body);
	}
	ok(true, "chunks fed in pieces of any size");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		ok(feed(bad[i], 100, &body, &rest) == RT_BAD_INPUT, "malformed chunks, case %zu", i);
		rt_buf_fini(&body);
	}
	rt_buf_init(&body, 8);
	ok(feed("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", 3, &body, &rest) == RT_LIMIT, "a body beyond its limit");
	rt_buf_fini(&body);
	ok(feed("8\r\n", 1, &body, &rest) == RT_AGAIN, "a chunk as large as the body may be");
	ok(feed("9\r\n", 1, &body, &rest) == RT_LIMIT, "a larger one, before its bytes");
	ok(feed("9;x=y\r\nhel", 100, &body, &rest) == RT_LIMIT, "with an extension");
	ok(feed("fffffffffffffff\r\n", 1, &body, &rest) == RT_LIMIT, "the largest one");
	ok(feed("5\r\nhello\r\n4\r\n", 1, &body, &rest) == RT_LIMIT, "one that is too large behind others");
	rt_buf_fini(&body);
}

static void
test_paths(void)
{
	static const char *const bad[] = {"/%",      "/%2",  "/%zz",     "/a%00b",   "/..",     "/../x",
									  "/a/../b", "/./a", "/%2e%2e/", "/a/%2E./", "/\xff/x", "/%c0%80"};
	char out[64];

	ok(rt_http_decode_path("/a%20b/%C3%A4+", 14, out) == RT_OK, "a path is decoded");
	is_str(out, "/a b/\xc3\xa4+", "and a plus stays a plus");
	ok(rt_http_decode_path("/...a/..b/", 10, out) == RT_OK, "dots in names");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(rt_http_decode_path(bad[i], strlen(bad[i]), out) == RT_BAD_INPUT, "refused path %zu", i);
}

static void
test_queries(void)
{
	char out[8];

	ok(rt_http_query_param("a=1&sid=x%2By+z&b", "sid", out, sizeof(out)), "a parameter is found");
	is_str(out, "x+y z", "and decoded");
	ok(!rt_http_query_param("asid=1&sid&x=sid=2", "sid", out, sizeof(out)), "a name is compared whole");
	ok(!rt_http_query_param("sid=", "sid", out, sizeof(out)), "an empty one is none");
	ok(!rt_http_query_param("sid=12345678", "sid", out, sizeof(out)), "one that is too long is none");
	ok(!rt_http_query_param("sid=%0", "sid", out, sizeof(out)), "a malformed one is none");
	ok(!rt_http_query_param("sid=a%00b", "sid", out, sizeof(out)), "no NUL");
}

static void
test_codings(void)
{
	static const struct
	{
		const char *accept; /* NULL: no header */
		enum rt_http_coding coding;
	} cases[] = {
		{NULL, RT_HTTP_IDENTITY},
		{"", RT_HTTP_IDENTITY},
		{"gzip", RT_HTTP_GZIP},
		{"gzip, deflate, br, zstd", RT_HTTP_GZIP},
		{"br;q=1.0, GZip;q=0.5, *;q=0.1", RT_HTTP_GZIP},
		{"x-gzip", RT_HTTP_GZIP},
		{"*", RT_HTTP_GZIP},
		{"deflate, br", RT_HTTP_IDENTITY},
		{"gzipped, notgzip", RT_HTTP_IDENTITY},
		{"gzip;q=0", RT_HTTP_IDENTITY},
		{"gzip;q=0.000, *", RT_HTTP_IDENTITY},
		{"gzip ; q=0", RT_HTTP_IDENTITY},
		{"gzip;Q=0", RT_HTTP_IDENTITY},
		{"*;q=0, gzip;q=0", RT_HTTP_IDENTITY},
		{"*;q=0", RT_HTTP_IDENTITY},
		{"identity", RT_HTTP_IDENTITY},
		{"gzip;q=0.001", RT_HTTP_GZIP},
		{"identity, gzip;q=0.5", RT_HTTP_IDENTITY},
		{"identity;q=0.5, gzip;q=0.5", RT_HTTP_GZIP},
		{"identity;q=0.5, gzip;q=0.75", RT_HTTP_GZIP},
		{"gzip, identity;q=0", RT_HTTP_GZIP_ONLY},
		{"identity;q=0,gzip;q=0.2", RT_HTTP_GZIP_ONLY},
		{"gzip, *;q=0", RT_HTTP_GZIP_ONLY},
		{"*, identity;q=0", RT_HTTP_GZIP_ONLY},
		{"identity;q=0", RT_HTTP_IDENTITY},
		{"br, identity;q=0", RT_HTTP_IDENTITY},
		{"gzip;q=2", RT_HTTP_IDENTITY},
		{"gzip;q=x", RT_HTTP_IDENTITY},
		{"gzip;q=0.1234", RT_HTTP_IDENTITY},
		{"gzip;level=9", RT_HTTP_IDENTITY},
		{", ,gzip,", RT_HTTP_GZIP},
		{"deflate\r\nAccept-Encoding: gzip", RT_HTTP_GZIP},
	};
	char text[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *accept = cases[i].accept;

		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s%s%s\r\n",
				 accept == NULL ? "" : "Accept-Encoding: ", accept == NULL ? "" : accept,
				 accept == NULL ? "" : "\r\n");
		ok(status_of(text) == 200 && rt_http_accepted_coding(&head) == cases[i].coding, "Accept-Encoding: %s",
		   accept == NULL ? "none" : accept);
	}
}

int
main(void)
{
	test_good_heads();
	test_incomplete_heads();
	test_bad_heads();
	test_limits();
	test_chunks();
	test_paths();
	test_queries();
	test_codings();
	status_of("");
	return tap_done();
}
