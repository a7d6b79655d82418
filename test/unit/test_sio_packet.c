/* test_sio_packet.c: packets of Socket.IO, spans of JSON. */
#include <stdlib.h>

#include "bgworker/gateway/text/json_scan.h"
#include "bgworker/gateway/socketio/sio_packet.h"
#include "tap.h"

static struct rt_sio_packet packet;
static char *text_copy;

static enum rt_result
parse_n(const char *text, size_t len)
{
	free(text_copy);
	text_copy = malloc(len == 0 ? 1 : len);
	memcpy(text_copy, text, len);
	return rt_sio_packet_parse(text_copy, len, &packet);
}

static enum rt_result
parse(const char *text)
{
	return parse_n(text, strlen(text));
}

static bool
span_is(const char *text, size_t len, const char *expected)
{
	if (expected == NULL)
		return text == NULL;
	return text != NULL && len == strlen(expected) && memcmp(text, expected, len) == 0;
}

static void
test_packets(void)
{
	ok(parse("0") == RT_OK && packet.type == RT_SIO_CONNECT && packet.data == NULL, "CONNECT");
	ok(parse("0{\"token\":\"t\"}") == RT_OK && span_is(packet.data, packet.data_len, "{\"token\":\"t\"}"),
	   "with auth");
	ok(parse("0/admin,{}") == RT_OK && span_is(packet.namespace, packet.namespace_len, "/admin"), "with a namespace");
	ok(parse("0/admin") == RT_OK && span_is(packet.namespace, packet.namespace_len, "/admin"),
	   "that ends the packet");
	ok(parse("0/,{}") == RT_OK && packet.namespace == NULL, "the main one is none");
	ok(parse("1") == RT_OK && packet.type == RT_SIO_DISCONNECT, "DISCONNECT");
	ok(parse("2[\"a\"]") == RT_OK && packet.nargs == 0 && packet.arg.text == NULL && packet.ack == -1, "EVENT");
	ok(span_is(packet.name.text, packet.name.len, "\"a\""), "its name");
	ok(parse("212[\"a\", {\"b\":[1,2]} ,3]") == RT_OK && packet.ack == 12 && packet.nargs == 2, "with an ack id");
	ok(span_is(packet.arg.text, packet.arg.len, "{\"b\":[1,2]}"), "its first argument without white space");
	ok(parse("2/x,5[\"a\"]") == RT_OK && packet.ack == 5 && packet.namespace_len == 2, "namespace and ack id");
	ok(parse("2[7,8]") == RT_OK && packet.name.kind == RT_JSON_NUMBER, "a number for a name");
	ok(parse("35[]") == RT_OK && packet.type == RT_SIO_ACK && packet.ack == 5, "ACK");
	ok(parse("4{\"message\":\"m\"}") == RT_OK && parse("4\"m\"") == RT_OK, "CONNECT_ERROR");
	ok(parse("52-[\"a\",{\"_placeholder\":true,\"num\":0}]") == RT_OK && packet.attachments == 2, "BINARY_EVENT");
	ok(parse("61-9[{\"_placeholder\":true,\"num\":0}]") == RT_OK && packet.ack == 9, "BINARY_ACK");
	ok(parse("564-[\"a\"]") == RT_OK && parse("565-[\"a\"]") == RT_LIMIT, "attachments are limited");
	ok(parse("29007199254740992[\"a\"]") == RT_OK && parse("29007199254740993[\"a\"]") == RT_BAD_INPUT,
	   "so are ack ids");
}

static void
test_bad_packets(void)
{
	static const char *const bad[] = {"",
									  "7",
									  "x",
									  "9",
									  "2",
									  "2{}",
									  "2[]",
									  "2[null]",
									  "2[true]",
									  "2[\"a\"",
									  "2[\"a\",]",
									  "2[,\"a\"]",
									  "2[\"a\"]x",
									  "2[\"a\" 1]",
									  "2abc[\"a\"]",
									  "2-1[\"a\"]",
									  "2[\"a\n\"]",
									  "2[\"\\x\"]",
									  "2[\"a\",01]",
									  "2[\"a\",1.]",
									  "2[\"a\",.5]",
									  "2[\"a\",+1]",
									  "2[\"a\",tru]",
									  "2[\"a\",{a:1}]",
									  "2[\"a\",{\"a\"}]",
									  "2[\"a\",{\"a\":1,}]",
									  "2[\"a\",[1}]",
									  "2[\"a\",\"\\ud8\"]",
									  "2[\"a\",'b']",
									  "0[]",
									  "0\"x\"",
									  "0{}x",
									  "1{}",
									  "3",
									  "3{}",
									  "4",
									  "4[]",
									  "5[\"a\"]",
									  "5-[\"a\"]",
									  "5x-[\"a\"]",
									  "51[\"a\"]",
									  "51-"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(parse(bad[i]) == RT_BAD_INPUT, "refused: %s", strchr(bad[i], '\n') ? "a control character" : bad[i]);
	ok(parse_n("2[\"a\0\"]", 7) == RT_BAD_INPUT, "refused: a NUL");
}

/* `[`×n `]`×n as the argument of an event. */
static enum rt_result
parse_nested(int depth)
{
	char *text = malloc((size_t) depth * 2 + 16);
	size_t len = (size_t) sprintf(text, "27[\"a\",");
	enum rt_result rc;

	memset(text + len, '[', (size_t) depth);
	memset(text + len + depth, ']', (size_t) depth);
	strcpy(text + len + 2 * depth, "]");
	rc = parse(text);
	free(text);
	return rc;
}

static void
test_depth(void)
{
	ok(parse_nested(RT_JSON_MAX_DEPTH) == RT_OK && !packet.over_limit && packet.nargs == 1, "as deep as is allowed");
	ok(parse_nested(RT_JSON_MAX_DEPTH + 1) == RT_OK && packet.over_limit && packet.nargs == 0, "deeper");
	ok(packet.ack == 7 && span_is(packet.name.text, packet.name.len, "\"a\""), "but it can be answered");
	ok(parse_nested(400000) == RT_OK && packet.over_limit, "much deeper");
}

/* The number as the argument of an event. */
static bool
is_over_limit(const char *number)
{
	char text[1024];

	snprintf(text, sizeof(text), "27[\"a\",{\"n\":%s}]", number);
	return parse(text) == RT_OK && packet.over_limit && packet.nargs == 0 && packet.ack == 7;
}

static void
test_numbers(void)
{
	char digits[500];

	ok(!is_over_limit("1.7976931348623157e308") && !is_over_limit("-5E-324") && !is_over_limit("1e+0000000000400"),
	   "numbers of doubles");
	ok(is_over_limit("1e-16383") && is_over_limit("1E401") && is_over_limit("-0.1e-99999999999999999999"),
	   "exponents out of range");
	memset(digits, '7', sizeof(digits));
	digits[400] = '\0';
	ok(!is_over_limit(digits), "as many digits as are allowed");
	digits[400] = '7';
	digits[401] = '\0';
	ok(is_over_limit(digits), "more digits");
}

static void
is_decoded(const char *json, const char *expected)
{
	char out[64];

	rt_json_scan_decode(json, strlen(json), out);
	is_str(out, expected, "decoded: %s", json);
}

static void
test_strings(void)
{
	is_decoded("\"plain\"", "plain");
	is_decoded("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
	is_decoded("\"\\u0041\\u00e4\\u20AC\"", "A\xc3\xa4\xe2\x82\xac");
	is_decoded("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80");
	is_decoded("\"\\ud83dx\"", "\xef\xbf\xbdx");
	is_decoded("\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd");
	is_decoded("\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
									 "A");
	is_decoded("\"a\\u0000b\"", "a\xef\xbf\xbd"
								"b");
}

static void
test_reserved(void)
{
	ok(rt_sio_packet_is_reserved("connect") && rt_sio_packet_is_reserved("disconnecting") &&
		   rt_sio_packet_is_reserved("newListener"),
	   "reserved names");
	ok(!rt_sio_packet_is_reserved("connected") && !rt_sio_packet_is_reserved("error") &&
		   !rt_sio_packet_is_reserved(""),
	   "others");
}

static bool
scans(const char *text, enum rt_json_kind kind)
{
	size_t len = strlen(text);
	char *copy = malloc(len == 0 ? 1 : len);
	const char *p = copy;
	struct rt_json_span value;
	bool fine;

	memcpy(copy, text, len);
	fine = rt_json_scan(&p, copy + len, &value) == RT_OK && p == copy + len && value.kind == kind;
	free(copy);
	return fine;
}

static void
test_values(void)
{
	ok(scans(" {\"a\" : [ 1 , -0.5e+10 , {} , [ ] ] , \"b\":null }\t\r\n", RT_JSON_OBJECT), "an object");
	ok(scans("[[],[[]],{\"a\":{\"b\":{}}}]", RT_JSON_ARRAY), "containers in containers");
	ok(scans("\"\"", RT_JSON_STRING) && scans("0", RT_JSON_NUMBER) && scans("true", RT_JSON_LITERAL), "scalars");
	ok(!scans("", RT_JSON_NUMBER) && !scans("[", RT_JSON_ARRAY) && !scans("{\"a\"", RT_JSON_OBJECT),
	   "what is cut off");
	ok(!scans("-", RT_JSON_NUMBER) && !scans("1e", RT_JSON_NUMBER) && !scans("\"", RT_JSON_STRING),
	   "cut off scalars");
}

int
main(void)
{
	test_packets();
	test_bad_packets();
	test_depth();
	test_numbers();
	test_strings();
	test_reserved();
	test_values();
	free(text_copy);
	return tap_done();
}
