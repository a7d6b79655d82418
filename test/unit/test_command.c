/* test_command.c: commands of the bus reach the module that added them, and no other gateway's are obeyed. */
#include "bgworker/common/json.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/bus/notice.h"
#include "bgworker/gateway/bus/self.h"
#include "tap.h"

static int64_t got;

static void
run_set(void *owner, const json_t *payload)
{
	got = *(int *) owner * 100 + rt_json_int(payload, "n", -1);
}

static void
run_clear(void *owner, const json_t *payload)
{
	got = 0;
}

static const struct rt_command_def first[] = {{"rt:set", run_set}, {"rt:clear", run_clear}};
static const struct rt_command_def second[] = {{"rt:set-other", run_set}};

static void
run(struct rt_commands *cs, const char *text, const char *to)
{
	struct rt_notice n;

	if (rt_notice_parse(&n, text, strlen(text)))
		rt_commands_run(cs, &n, to);
	else
		ok(false, "cannot read %s", text);
}

int
main(void)
{
	const struct rt_self self = {.name = "g0-1"};
	struct rt_commands *cs = rt_commands_new(&self);
	int one = 1, two = 2;

	rt_commands_add(cs, first, 2, &one);
	rt_commands_add(cs, second, 1, &two);
	run(cs, "{\"event\":\"rt:set\",\"offset\":\"1\",\"route\":{\"gateway\":true},\"n\":5}", NULL);
	ok(got == 105, "a command runs with its payload and its owner");
	run(cs, "{\"event\":\"rt:set-other\",\"offset\":\"2\",\"route\":{\"gateway\":true},\"n\":6}", "g0-1");
	ok(got == 206, "one for this gateway too, with the owner of its table");
	run(cs, "{\"event\":\"rt:clear\",\"offset\":\"3\",\"route\":{\"gateway\":true}}", "g1-1");
	ok(got == 206, "one for another gateway does not");
	run(cs, "{\"event\":\"rt:se\",\"offset\":\"4\",\"route\":{\"gateway\":true}}", NULL);
	ok(got == 206, "nor does an unknown one");
	run(cs, "{\"event\":\"rt:clear\",\"offset\":\"5\",\"route\":{\"gateway\":true}}", NULL);
	ok(got == 0, "one without a payload does");
	rt_commands_free(cs);
	return tap_done();
}
