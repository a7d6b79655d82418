/* test_notice.c: notifications of the relay, spans of JSON, REST paths and requests. */
#include <stdlib.h>

#include "bgworker/gateway/bus/notice.h"
#include "bgworker/gateway/rest/rest_request.h"
#include "bgworker/gateway/text/span.h"
#include "tap.h"

static bool
frame_is(struct rt_frame *f, const char *expected)
{
	size_t len;
	const char *text = rt_frame_text(f, &len);
	bool same = len == strlen(expected) && memcmp(text, expected, len) == 0;

	if (!same)
		printf("# got %.*s\n", (int) len, text);
	rt_frame_unref(f);
	return same;
}

static const char *
sender_of(const char *text)
{
	static char sender[RT_SENDER_SIZE];

	rt_notice_sender(text, strlen(text), sender);
	return sender;
}

static bool
parses(struct rt_notice *n, const char *text)
{
	return rt_notice_parse(n, text, strlen(text));
}

static void
test_notice(void)
{
	struct rt_notice n;

	ok(parses(&n, "{\"event\":\"new-chat-message\",\"offset\":\"12\",\"route\":{\"room\":\"1\"},\"type\":\"x\"}"),
	   "a logged event");
	ok(rt_notice_is(&n, "new-chat-message") && n.logged && n.pos == 12 && !n.truncated, "its name and position");
	ok(n.route_len == 12 && memcmp(n.route, "{\"room\":\"1\"}", 12) == 0, "its route");
	ok(frame_is(rt_notice_frame(&n, 12), "42[\"new-chat-message\",{\"type\":\"x\"},\"12\"]"), "its frame");
	ok(parses(&n, "{\"event\":\"a\",\"route\":{\"users\":[\"}\\\"{\"]},\"x\":1}") && !n.logged,
	   "braces within strings");
	ok(parses(&n, "{\"event\":\"rt:keys\",\"offset\":\"3\",\"route\":{\"gateway\":true}}"), "an empty payload");
	ok(frame_is(rt_notice_frame(&n, 3), "42[\"rt:keys\",{},\"3\"]"), "is an empty object");
	ok(parses(&n, "{\"event\":\"a\",\"offset\":\"3\",\"route\":{\"room\":\"1\"},\"roomId\":\"1\",\"seq\":4,"
				  "\"truncated\":true}") &&
		   n.truncated,
	   "cut for its length");
	ok(parses(&n, "{\"event\":\"a\",\"offset\":\"3\",\"route\":{\"truncated\":true},\"x\":1}") && n.truncated,
	   "cut for its route's length");
}

static void
test_bad_notices(void)
{
	static const char *const bad[] = {
		"",
		"hello",
		"{}",
		"{\"event\":\"a\"}",
		"{\"event\":\"a\",\"route\":5}",
		"{\"event\":\"a\",\"route\":{\"room\":\"1\"}",
		"{\"event\":\"a\",\"route\":{\"room\":\"1",
		"{\"event\":\"a\",\"offset\":\"x\",\"route\":{},\"a\":1}",
		"{\"event\":\"a\",\"offset\":\"-5\",\"route\":{},\"a\":1}",
		"{\"event\":\"a\\\"b\",\"route\":{},\"a\":1}",
		"{\"offset\":\"1\",\"event\":\"a\",\"route\":{},\"a\":1}",
		"[\"event\"]",
	};
	struct rt_notice n;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!parses(&n, bad[i]), "refused: %s", bad[i]);
}

static void
test_frames(void)
{
	static const char payload[] = "\"type\":\"new-message\",\"roomId\":\"1\",\"data\":{\"id\":\"1-2\",\"senderId\":"
								  "\"bob\",\"content\":\"\\\"data\\\":{\"},"
								  "\"timestamp\":\"T\"}";
	struct rt_frame_part part = {"42[\"a\",{\"x\":\"1,2\"},\"7\"]", 22};
	struct rt_frame *f = rt_frame_new(&part, 1);

	ok(frame_is(rt_notice_reframe(f, 123), "42[\"a\",{\"x\":\"1,2\"},\"123\"]"),
	   "the same event at another position");
	rt_frame_unref(f);
	ok(frame_is(rt_notice_notification(payload, sizeof(payload) - 1, 9),
				"42[\"chat-notification\",{\"type\":\"new-message\",\"data\":{\"id\":\"1-2\",\"senderId\":\"bob\","
				"\"content\":"
				"\"\\\"data\\\":{\"},\"timestamp\":\"T\"},\"9\"]"),
	   "a message's notification");
	ok(rt_notice_notification("\"x\":1}", 6, 9) == NULL, "what is no message has none");
	is_str(sender_of(payload), "bob", "who sent it");
	is_str(sender_of("{\"senderId\":\"b\\\"o\\\\b\",\"content\":\"\"}"), "b\"o\\b", "whose id has quotes");
	is_str(sender_of("{\"senderId\":null,\"metadata\":{\"senderId\":\"eve\"}}"), "", "nobody");
	is_str(sender_of("{\"content\":\"\\\"senderId\\\":\\\"x\\\"\"}"), "", "a key within a string is none");
}

static bool
enter_is(const char *json, long expected_status, const char *rest)
{
	struct rt_span s = {json, json + strlen(json)};
	long status = 200;

	return rt_span_enter(&s, &status) && status == expected_status && (size_t) (s.end - s.p) == strlen(rest) &&
		   memcmp(s.p, rest, strlen(rest)) == 0;
}

static void
test_spans(void)
{
	struct rt_span s = {" {\"a\":[1,{\"b\":\"]}\"}]} , [2]", NULL};
	struct rt_span v;

	s.end = s.p + strlen(s.p);
	ok(rt_span_take_nested(&s, &v) && v.end - v.p == 20, "an object with brackets within strings");
	ok(rt_span_skip(&s, ",") && rt_span_take_nested(&s, &v) && v.end - v.p == 3, "then an array");
	ok(!rt_span_take_nested(&s, &v), "then nothing");
	s = (struct rt_span){"{\"a\":\"\\", NULL};
	s.end = s.p + strlen(s.p);
	ok(!rt_span_take_nested(&s, &v), "a cut escape");
	s = (struct rt_span){"]", NULL};
	s.end = s.p + 1;
	ok(!rt_span_take_nested(&s, &v), "a closing bracket alone");
	ok(enter_is("{\"status\" : 201, \"data\" : {}}", 201, "\"data\" : {}}"), "a status and a rest");
	ok(enter_is("{\"status\":204}", 204, "}"), "a status alone");
	ok(enter_is("{ \"data\":1}", 200, "\"data\":1}"), "no status");
}

static void
test_paths(void)
{
	struct rt_rest_param p[RT_REST_PARAMS_MAX];

	ok(rt_rest_request_match("/api/rooms", "/api/rooms", p) == 0, "a plain path");
	ok(rt_rest_request_match("/api/rooms", "/api/rooms/", p) < 0, "a slash at the end is another path");
	ok(rt_rest_request_match("/api/rooms", "/api/rooms//", p) < 0, "not two");
	ok(rt_rest_request_match("/api/rooms", "/api/room", p) < 0 &&
		   rt_rest_request_match("/api/rooms", "/api/rooms/5", p) < 0,
	   "others");
	ok(rt_rest_request_match("/r/:id/msgs|messages/:m", "/r/5/messages/5-1", p) == 2 && p[1].value_len == 3,
	   "parameters");
	ok(rt_rest_request_match("/r/:id/msgs|messages/:m", "/r/5/msg/5-1", p) < 0, "no prefix of an alternative");
	ok(rt_rest_request_match("/r/:id", "/r/", p) < 0, "an empty parameter is none");
}

static bool
request_is(const char *body, const char *query, const char *expected)
{
	struct rt_rest_param p = {"roomId", 6, "7%2F8", 5};
	struct rt_text t;
	bool same;

	rt_text_init(&t);
	same = rt_rest_request_write(&t, body, strlen(body), query, &p, 1);
	same = expected == NULL ? !same : same && strcmp(t.data, expected) == 0;
	if (!same)
		printf("# got %s\n", t.data);
	rt_text_fini(&t);
	return same;
}

static void
test_requests(void)
{
	ok(request_is("", "", "{\"roomId\":\"7/8\"}"), "a parameter, decoded");
	ok(request_is(" {\"a\" : 1} ", "", "{\"a\" : 1,\"roomId\":\"7/8\"}"), "behind the body's keys");
	ok(request_is("{ }", "limit=5&x", "{\"limit\":\"5\",\"roomId\":\"7/8\"}"), "an empty body, a query");
	ok(request_is("", "q=a+b%22%C3%A4&a%22b=1", "{\"q\":\"a b\\\"\xc3\xa4\",\"roomId\":\"7/8\"}"),
	   "decoded and quoted");
	ok(request_is("", "q=%00", NULL) && request_is("", "q=%4", NULL) && request_is("", "q=%zz", NULL),
	   "bad encodings");
	ok(request_is("", "q=%ff", NULL), "no UTF-8");
	ok(request_is("[]", "", NULL) && request_is("x", "", NULL) && request_is("{\"a\":1", "", NULL), "no object");
	ok(request_is("{\"a\":1},{\"b\":2}", "", NULL), "more than an object");
	ok(request_is("{\"a\":\"\\u0000\"}", "", NULL), "U+0000");
	ok(request_is("{\"a\":18446744073709551616}", "", "{\"a\":18446744073709551616,\"roomId\":\"7/8\"}"),
	   "numbers stay as they came");
}

int
main(void)
{
	test_notice();
	test_bad_notices();
	test_frames();
	test_spans();
	test_paths();
	test_requests();
	return tap_done();
}
