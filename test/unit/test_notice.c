/* test_notice.c: notifications of the relay, objects split by keys, REST paths and requests. */
#include <jansson.h>
#include <stdlib.h>

#include "bgworker/gateway/bus/notice.h"
#include "bgworker/gateway/rest/rest_request.h"
#include "bgworker/gateway/socketio/sio_packet.h"
#include "bgworker/gateway/text/json_scan.h"
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
	ok(n.route.len == 12 && memcmp(n.route.text, "{\"room\":\"1\"}", 12) == 0, "its route");
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
		"{\"event\":\"a\",\"route\":{},\"a\":1}x",
		"{\"event\":\"a\",\"route\":{},\"a\":\"\\",
		"{\"event\":5,\"route\":{},\"a\":1}",
		"{\"event\":\"a\",\"offset\":5,\"route\":{},\"a\":1}",
		"[\"event\"]",
	};
	struct rt_notice n;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!parses(&n, bad[i]), "refused: %s", bad[i]);
}

/* ---- keys in any order ------------------------------------------------------------- */

/* The members of a notification, in the order that `order` gives; with white space if asked for. */
static void
write_members(char *text, size_t size, const char *const *members, const int *order, int n, const char *space)
{
	size_t len = (size_t) snprintf(text, size, "%s{%s", space, space);

	for (int i = 0; i < n; i++)
		len += (size_t) snprintf(text + len, size - len, "%s%s%s", i == 0 ? "" : ",", members[order[i]], space);
	snprintf(text + len, size - len, "}%s", space);
}

/* The next permutation in lexical order; false after the last. */
static bool
next_order(int *order, int n)
{
	int i = n - 2;
	int j = n - 1;

	while (i >= 0 && order[i] > order[i + 1])
		i--;
	if (i < 0)
		return false;
	while (order[j] < order[i])
		j--;
	for (int t = order[i]; t != order[j];)
	{
		order[i] = order[j];
		order[j] = t;
	}
	for (int a = i + 1, b = n - 1; a < b; a++, b--)
	{
		int t = order[a];

		order[a] = order[b];
		order[b] = t;
	}
	return true;
}

/* What a client gets, decoded, so that the order of the payload's keys does not matter. */
static bool
frame_has(struct rt_frame *f, const char *event, const char *payload, const char *pos)
{
	size_t len;
	const char *text = rt_frame_text(f, &len);
	json_t *got = len < 2 ? NULL : json_loadb(text + 2, len - 2, 0, NULL);
	json_t *want = json_pack("[s,o,s]", event, json_loads(payload, 0, NULL), pos);
	bool same = got != NULL && memcmp(text, "42", 2) == 0 && json_equal(got, want);

	if (!same)
		printf("# got %.*s\n", (int) len, text);
	json_decref(got);
	json_decref(want);
	rt_frame_unref(f);
	return same;
}

#define DATA \
	"{\"id\":\"1-2\",\"metadata\":{\"senderId\":\"eve\"},\"senderId\":\"b\\\"ob\",\"content\":\"\\\"data\\\":{," \
	"\\\\\"}"

static bool
means_the_same(const char *text)
{
	struct rt_notice n;
	char sender[RT_NOTICE_USER_BYTES];
	struct rt_frame *f;
	bool same;

	if (!parses(&n, text) || !n.logged || n.pos != 12 || n.truncated || !rt_notice_is(&n, "new-chat-message") ||
		n.route.len != 27 || memcmp(n.route.text, "{\"room\":\"1\",\"except\":\"s,}\"}", 27) != 0)
		return false;
	f = rt_notice_frame(&n, 12);
	rt_notice_author(f, sender);
	same = strcmp(sender, "b\"ob") == 0 &&
		   frame_has(rt_frame_ref(f), "new-chat-message",
					 "{\"type\":\"new-message\",\"roomId\":\"1\",\"data\":" DATA ",\"timestamp\":\"T\"}", "12");
	same = same &&
		   frame_has(rt_notice_notification(f, 9), "chat-notification",
					 "{\"type\":\"new-message\",\"data\":" DATA ",\"timestamp\":\"T\"}", "9") &&
		   frame_has(rt_sio_packet_event_at(f, 123), "new-chat-message",
					 "{\"type\":\"new-message\",\"roomId\":\"1\",\"data\":" DATA ",\"timestamp\":\"T\"}", "123");
	rt_frame_unref(f);
	return same;
}

static void
test_any_order(void)
{
	static const char *const members[] = {"\"event\":\"new-chat-message\"",
										  "\"offset\":\"12\"",
										  "\"route\":{\"room\":\"1\",\"except\":\"s,}\"}",
										  "\"type\":\"new-message\"",
										  "\"roomId\":\"1\"",
										  "\"data\":" DATA,
										  "\"timestamp\":\"T\""};
	static const char *const spaces[] = {"", " ", "\n\t "};
	char text[1000];

	for (size_t i = 0; i < 3; i++)
	{
		int order[] = {0, 1, 2, 3, 4, 5, 6};
		int same = 0;
		int all = 0;

		do
		{
			write_members(text, sizeof(text), members, order, 7, spaces[i]);
			if (means_the_same(text))
				same++;
			else
				printf("# %s\n", text);
			all++;
		} while (next_order(order, 7));
		ok(all == 5040 && same == all, "a message's keys in any order mean the same, white space %zu", i);
	}
}

static void
test_names_of_the_envelope(void)
{
	struct rt_notice n;

	ok(parses(&n, "{\"event\":\"a\",\"offset\":\"3\",\"route\":{\"room\":\"1\"},\"event\":\"b\",\"offset\":7,"
				  "\"route\":null}") &&
		   rt_notice_is(&n, "a") && n.pos == 3 && n.route.len == 12,
	   "a payload may have keys of the envelope's names");
	ok(frame_is(rt_notice_frame(&n, 3), "42[\"a\",{\"event\":\"b\",\"offset\":7,\"route\":null},\"3\"]"),
	   "and keeps them");
	ok(parses(&n, "{\"x\":1,\"event\":\"a\",\"y\":2,\"offset\":\"3\",\"z\":3,\"route\":{},\"w\":4}"),
	   "a payload in four pieces");
	ok(frame_is(rt_notice_frame(&n, 3), "42[\"a\",{\"x\":1,\"y\":2,\"z\":3,\"w\":4},\"3\"]"), "is one object again");
	ok(parses(&n, "{\"truncated\":true,\"event\":\"a\",\"offset\":\"3\",\"route\":{}}") && n.truncated,
	   "cut, said in front");
	ok(parses(&n, "{\"event\":\"a\",\"route\":{},\"data\":{\"truncated\":true},\"truncated\":false}") && !n.truncated,
	   "not cut, though a value says so");
}

static struct rt_frame *
frame_of(const char *text)
{
	struct rt_notice n;

	return parses(&n, text) ? rt_notice_frame(&n, 5) : NULL;
}

static void
test_no_message(void)
{
	char user[RT_NOTICE_USER_BYTES] = "x";
	struct rt_frame *f = frame_of("{\"event\":\"new-chat-message\",\"route\":{},\"x\":1}");

	ok(f != NULL && rt_notice_notification(f, 5) == NULL, "a message without its data is none");
	rt_frame_unref(f);
	f = frame_of(
		"{\"event\":\"new-chat-message\",\"route\":{},\"data\":{\"senderId\":null,\"m\":{\"senderId\":\"eve\"}},"
		"\"timestamp\":1}");
	rt_notice_author(f, user);
	is_str(user, "", "one that nobody sent has no author");
	rt_frame_unref(f);
	f = frame_of("{\"event\":\"chat-notification\",\"route\":{},\"type\":\"message-edited\",\"data\":{\"by\":\"bob\","
				 "\"messageId\":\"1-2\"}}");
	rt_notice_author(f, user);
	is_str(user, "bob", "an edit has one");
	ok(frame_is(rt_notice_own(f, 6), "42[\"chat-notification\",{\"own\":true,\"type\":\"message-edited\",\"data\":{"
									 "\"by\":\"bob\",\"messageId\":\"1-2\"}},\"6\"]"),
	   "whose sockets are told so");
	is_str(rt_notice_message_id(f, user) ? user : "", "1-2", "the message's id");
	rt_frame_unref(f);
}

#define MESSAGE \
	"{\"event\":\"new-chat-message\",\"route\":{},\"data\":{\"messageId\":\"1-2\",\"content\":\"old\",\"metadata\":" \
	"{\"a\":1}," \
	"\"editedAt\":null,\"deletedAt\":null},\"timestamp\":1}"

static void
test_as_now(void)
{
	struct rt_frame *message = frame_of(MESSAGE);
	struct rt_frame *edit = frame_of("{\"event\":\"chat-message-edited\",\"route\":{},\"data\":{\"messageId\":\"1-"
									 "2\",\"newContent\":\"new\",\"timestamp\":\"T\"}}");
	struct rt_frame *deletion = frame_of(
		"{\"event\":\"chat-message-deleted\",\"route\":{},\"data\":{\"messageId\":\"1-2\",\"timestamp\":\"U\"}}");
	struct rt_frame *now = rt_notice_as_now(message, edit, false, 5);
	struct rt_frame *notification = rt_notice_notification(now, 6);

	ok(frame_is(rt_frame_ref(now),
				"42[\"new-chat-message\",{\"data\":{\"messageId\":\"1-2\",\"content\":\"new\",\"metadata\":{\"a\":1},"
				"\"editedAt\":\"T\",\"deletedAt\":null},\"timestamp\":1},\"5\"]"),
	   "a message that was edited has its new text");
	ok(notification != NULL, "and can still be told of");
	ok(frame_is(rt_notice_as_now(now, deletion, true, 5),
				"42[\"new-chat-message\",{\"data\":{\"messageId\":\"1-2\",\"content\":\"\",\"metadata\":null,"
				"\"editedAt\":\"T\",\"deletedAt\":\"U\"},\"timestamp\":1},\"5\"]"),
	   "one that was deleted has none");
	ok(frame_is(rt_notice_as_now(edit, deletion, true, 5), "42[\"chat-message-edited\",{\"data\":{\"messageId\":\"1-"
														   "2\",\"newContent\":\"\",\"timestamp\":\"T\"}},\"5\"]"),
	   "nor has what told of an edit of it");
	ok(frame_is(rt_frame_ref(rt_sio_packet_event_plain(edit)),
				"42[\"chat-message-edited\",{\"data\":{\"messageId\":\"1-2\",\"newContent\":\"new\",\"timestamp\":"
				"\"T\"}}]"),
	   "without an offset");
	ok(rt_sio_packet_event_plain(edit) == rt_sio_packet_event_plain(edit), "which is made once");
	rt_frame_unref(notification);
	rt_frame_unref(now);
	rt_frame_unref(message);
	rt_frame_unref(edit);
	rt_frame_unref(deletion);
}

/* ---- objects by their keys ------------------------------------------------------------- */

static bool
rest_is(const char *text, const char *key, const char *value, const char *expected)
{
	struct rt_json_pick pick = {.key = key, .cut = true};
	struct rt_json_rest rest;
	char joined[200] = "";

	if (rt_json_scan_split(text, strlen(text), &pick, 1, &rest) != RT_OK)
		return expected == NULL;
	for (int i = 0; i < rest.n; i++)
	{
		strcat(joined, i == 0 ? "" : "|");
		strncat(joined, rest.runs[i].p, (size_t) (rest.runs[i].end - rest.runs[i].p));
	}
	return expected != NULL && strcmp(joined, expected) == 0 &&
		   (value == NULL ? pick.value.text == NULL
						  : pick.value.len == strlen(value) && memcmp(pick.value.text, value, pick.value.len) == 0);
}

static void
test_split(void)
{
	char deep[700] = "{\"a\":";

	ok(rest_is("{\"status\" : 201 , \"data\" : {} }", "status", "201", "\"data\" : {}"), "a key in front");
	ok(rest_is("{\"data\":[\"]}\\\"\",{}],\"status\":201,\"x\":1}", "status", "201",
			   "\"data\":[\"]}\\\"\",{}]|\"x\":1"),
	   "between others");
	ok(rest_is("{ }", "status", NULL, "") && rest_is("{\"status\":1}", "status", "1", ""), "alone, or not there");
	ok(rest_is("{\"st\\u0061tus\":1,\"b\":2}", "status", "1", "\"b\":2"), "written with an escape");
	ok(rest_is("{\"a\":{\"status\":2}}", "status", NULL, "\"a\":{\"status\":2}"), "deeper down is another");
	ok(rest_is("[]", "a", NULL, NULL) && rest_is("", "a", NULL, NULL) && rest_is("{\"a\"", "a", NULL, NULL) &&
		   rest_is("{\"a\":}", "a", NULL, NULL) && rest_is("{\"a\":1", "a", NULL, NULL) &&
		   rest_is("{\"a\":\"\\", "a", NULL, NULL) && rest_is("{\"a\":1}}", "a", NULL, NULL) &&
		   rest_is("{\"a\":[1,2}", "a", NULL, NULL),
	   "no objects");
	for (int i = 0; i < 300; i++)
		strcat(deep, "[");
	for (int i = 0; i < 300; i++)
		strcat(deep, "]");
	strcat(deep, "}");
	{
		struct rt_json_pick pick = {.key = "a"};
		struct rt_json_rest rest;

		ok(rt_json_scan_split(deep, strlen(deep), &pick, 1, &rest) == RT_OK && pick.value.len == 600,
		   "what SQL wrote may be of any depth");
	}
}

static void
test_members(void)
{
	struct rt_json_members m;
	struct rt_json_span buffer;
	char text[600] = " {\"roomId\":\"1\",\"room\\u0049d\":\"2\", \"b\" : true,\"n\":17 } ,";
	const char *p = text;
	char id[RT_ID_LEN + 1];
	bool b = false;
	char copy[600];

	ok(rt_json_scan_members(&p, text + strlen(text), &m) == RT_OK && m.n == 4 && *p == ',', "an argument's members");
	ok(m.text == text + 1 && m.text[m.len - 1] == '}', "and its text, without the space around it");
	ok(rt_json_scan_id(rt_json_scan_find(&m, "roomId", &buffer), id) && strcmp(id, "2") == 0,
	   "the last of two counts, as in jsonb, however it is written");
	ok(rt_json_scan_bool(rt_json_scan_find(&m, "b", &buffer), &b) && b, "true");
	ok(!rt_json_scan_bool(rt_json_scan_find(&m, "n", &buffer), &b), "a number is neither");
	ok(rt_json_scan_id(rt_json_scan_find(&m, "n", &buffer), id) && strcmp(id, "17") == 0, "but an id");
	ok(rt_json_scan_find(&m, "x", &buffer) == NULL && !rt_json_scan_id(NULL, id), "what is not there");
	strcpy(copy, text + 1);
	rt_json_scan_move(&m, copy);
	memset(text, 'x', sizeof(text) - 1);
	ok(rt_json_scan_id(rt_json_scan_find(&m, "roomId", &buffer), id) && strcmp(id, "2") == 0, "in a copy");
	strcpy(text, "{");
	for (int i = 0; i < 30; i++)
		sprintf(text + strlen(text), "%s\"k%d\":%d", i == 0 ? "" : ",", i, i + 1);
	strcat(text, ",\"k3\":99}");
	p = text;
	ok(rt_json_scan_members(&p, text + strlen(text), &m) == RT_OK && m.more, "more than there is room for");
	ok(rt_json_scan_id(rt_json_scan_find(&m, "k29", &buffer), id) && strcmp(id, "30") == 0 &&
		   rt_json_scan_id(rt_json_scan_find(&m, "k3", &buffer), id) && strcmp(id, "99") == 0,
	   "are found too");
}

static bool
id_is(const char *text, const char *expected)
{
	const char *p = text;
	struct rt_json_span v;
	char id[RT_ID_LEN + 1];
	bool is = rt_json_scan(&p, text + strlen(text), &v) == RT_OK && rt_json_scan_id(&v, id);

	return expected == NULL ? !is : is && strcmp(id, expected) == 0;
}

static void
test_ids(void)
{
	ok(id_is("1", "1") && id_is("\"12\"", "12") && id_is("9223372036854775807", "9223372036854775807") &&
		   id_is("\"\\u0031\"", "1"),
	   "ids");
	ok(id_is("0", NULL) && id_is("\"0\"", NULL) && id_is("\"01\"", NULL) && id_is("-1", NULL) && id_is("1.0", NULL) &&
		   id_is("1e3", NULL) && id_is("\"\"", NULL) && id_is("\" 1\"", NULL) && id_is("\"1x\"", NULL) &&
		   id_is("9223372036854775808", NULL) && id_is("99999999999999999999999999", NULL) && id_is("true", NULL) &&
		   id_is("null", NULL) && id_is("[1]", NULL) && id_is("{}", NULL),
	   "no ids");
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
	test_any_order();
	test_names_of_the_envelope();
	test_no_message();
	test_as_now();
	test_split();
	test_members();
	test_ids();
	test_paths();
	test_requests();
	return tap_done();
}
