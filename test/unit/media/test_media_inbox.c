/* test_media_inbox.c: what waits comes out in its order, and each number is taken once. */
#include "bgworker/media/control/inbox.h"
#include "tap.h"

static json_t *
request(int number)
{
	char id[16];

	snprintf(id, sizeof(id), "%d", number);
	return json_pack("{s:s}", "requestId", id);
}

static bool
note(struct rt_inbox *in, int number)
{
	json_t *r = request(number);
	bool is_new = rt_inbox_note(in, r);

	json_decref(r);
	return is_new;
}

static enum rt_result
push(struct rt_inbox *in, int number)
{
	json_t *r = request(number);
	enum rt_result rc = rt_inbox_push(in, r);

	json_decref(r);
	return rc;
}

static void
test_order(void)
{
	struct rt_inbox *in = rt_inbox_new();
	json_t *all;
	int pushed = 0;

	ok(push(in, 7) == RT_OK && push(in, 3) == RT_OK, "two wait");
	all = rt_inbox_take(in);
	ok(json_array_size(all) == 2 &&
		   strcmp(json_string_value(json_object_get(json_array_get(all, 0), "requestId")), "7") == 0,
	   "they come out in their order");
	json_decref(all);
	all = rt_inbox_take(in);
	ok(json_array_size(all) == 0, "and once");
	json_decref(all);
	while (pushed < 5000 && push(in, pushed) == RT_OK)
		pushed++;
	ok(pushed < 5000, "no more than %d wait", pushed);
	rt_inbox_free(in);
}

static void
test_numbers(void)
{
	struct rt_inbox *in = rt_inbox_new();
	json_t *bare = json_object();
	bool all_new = true;

	ok(note(in, 5) && !note(in, 5) && note(in, 4), "a number is new once, in any order");
	ok(rt_inbox_note(in, bare) && rt_inbox_note(in, bare), "one without a number always is");
	for (int i = 10; i < 10 + RT_INBOX_SEEN; i++)
		all_new &= note(in, i);
	ok(all_new && !note(in, 10) && note(in, 5), "the last %d are known", RT_INBOX_SEEN);
	json_decref(bare);
	rt_inbox_free(in);
}

int
main(void)
{
	test_order();
	test_numbers();
	return tap_done();
}
