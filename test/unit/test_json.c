/* test_json.c: checked getters, the growing text, token buckets. */
#include "bgworker/common/json.h"
#include "bgworker/common/limit.h"
#include "bgworker/common/text.h"
#include "tap.h"

static bool
id_is(const char *json, const char *expected)
{
	json_t *v = rt_json_parse(json, strlen(json));
	char id[RT_ID_LEN + 1] = "";
	bool got = rt_json_id(v, id);

	json_decref(v);
	return expected == NULL ? !got : got && strcmp(id, expected) == 0;
}

static void
test_ids(void)
{
	ok(id_is("\"17\"", "17"), "an id as a string");
	ok(id_is("17", "17"), "an id as a number");
	ok(id_is("\"0017\"", NULL) && id_is("\"0\"", NULL), "an id is written in one way");
	ok(id_is("\"9223372036854775807\"", "9223372036854775807"), "the largest id");
	ok(id_is("\"9223372036854775808\"", NULL), "one too large");
	ok(id_is("\"99999999999999999999\"", NULL), "one far too large");
	ok(id_is("0", NULL) && id_is("-1", NULL) && id_is("1.5", NULL), "zero, negative, fraction");
	ok(id_is("\"\"", NULL) && id_is("\" 1\"", NULL) && id_is("\"1x\"", NULL) && id_is("\"0x1\"", NULL), "no digits");
	ok(id_is("null", NULL) && id_is("[]", NULL) && id_is("{}", NULL) && id_is("true", NULL), "other types");
}

static void
test_parse(void)
{
	json_t *v = rt_json_parse_object("{\"a\":\"x\",\"n\":5,\"b\":true}", 23);

	ok(v == NULL, "a cut object is none");
	v = rt_json_parse_object("{\"a\":\"x\",\"n\":5,\"b\":true}", 24);
	is_str(rt_json_str(v, "a"), "x", "a string");
	ok(rt_json_str(v, "n") == NULL && rt_json_int(v, "a", -7) == -7, "a wrong type looks like a missing key");
	ok(rt_json_int(v, "n", 0) == 5 && rt_json_bool(v, "b", false), "number and boolean");
	json_decref(v);
	ok(rt_json_parse_object("[1]", 3) == NULL, "an array is no object");
	ok(rt_json_parse("\"\\ud800\"", 8) == NULL, "a lone surrogate is refused");
	ok(rt_json_parse("\"\\u0000\"", 8) == NULL, "U+0000 is refused");
	ok(rt_json_parse(NULL, 0) == NULL && rt_json_parse("", 0) == NULL, "nothing is no JSON");
}

static void
test_text(void)
{
	struct rt_text t;

	rt_text_init(&t);
	rt_text_quote(&t, "a\"b\\c\n\x01 \xc3\xa4");
	is_str(t.data, "\"a\\\"b\\\\c\\u000a\\u0001 \xc3\xa4\"", "quoting");
	rt_text_reset(&t);
	rt_text_quote(&t, NULL);
	is_str(t.data, "null", "NULL becomes null");
	rt_text_reset(&t);
	for (int i = 0; i < 10000; i++)
		rt_text_addf(&t, "%d,", i % 10);
	ok(t.len == 20000 && strlen(t.data) == 20000, "it grows");
	rt_text_fini(&t);
}

static void
test_limit(void)
{
	struct rt_limit l = {0};
	uint32_t retry = 0;
	int taken = 0;

	for (int i = 0; i < 100; i++)
		taken += rt_limit_take(&l, 1000, 10, 20, &retry);
	ok(taken == 20, "a full bucket gives its burst");
	ok(retry > 90 && retry <= 102, "and tells when to come again");
	ok(!rt_limit_take(&l, 1050, 10, 20, &retry), "not yet");
	ok(rt_limit_take(&l, 1110, 10, 20, &retry), "then");
	taken = 0;
	for (int i = 0; i < 100; i++)
		taken += rt_limit_take(&l, 1110 + 10000, 10, 20, &retry);
	ok(taken == 20, "never more than the burst");
	ok(rt_limit_take(&l, 0, 0, 0, &retry), "a rate of 0 is no limit");
	l = (struct rt_limit){.stamp_ms = UINT32_MAX - 50, .spent = 20};
	ok(rt_limit_take(&l, (uint64_t) UINT32_MAX + 150, 10, 20, &retry), "the clock's stamp may wrap");
}

int
main(void)
{
	test_ids();
	test_parse();
	test_text();
	test_limit();
	return tap_done();
}
