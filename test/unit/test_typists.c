/* test_typists.c: what ends when nobody says so, and that it ends once.  The clock is the test's. */
#include <stdlib.h>

#include "bgworker/common/json.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/bus/notice.h"
#include "bgworker/gateway/delivery/route.h"
#include "bgworker/gateway/delivery/typists.h"
#include "tap.h"

static uint64_t now_ms = 1000;
static uint64_t due_ms; /* 0: the timer does not run */
static rt_loop_cb on_timer;
static void *timer_arg;

uint64_t
rt_loop_now_ms(const struct rt_loop *l)
{
	return now_ms;
}

struct rt_timer *
rt_timer_new(struct rt_loop *l, rt_loop_cb fn, void *arg)
{
	on_timer = fn;
	timer_arg = arg;
	return NULL;
}

void
rt_timer_start(struct rt_timer *t, uint64_t delay_ms)
{
	due_ms = now_ms + delay_ms;
}

void
rt_timer_free(struct rt_timer *t)
{
}

static void
pass(uint64_t ms)
{
	uint64_t until_ms = now_ms + ms;

	while (due_ms != 0 && due_ms <= until_ms)
	{
		now_ms = due_ms;
		due_ms = 0;
		on_timer(timer_arg);
	}
	now_ms = until_ms;
}

static char told[4096];

static void
on_end(void *arg, const struct rt_route *r, const struct rt_notice *n)
{
	struct rt_text t;

	rt_text_init(&t);
	rt_notice_payload(n, &t);
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "%.*s to %s but %s: %s\n", (int) n->source.name_len,
			 n->source.name, r->room, rt_route_except(r), t.data);
	rt_text_fini(&t);
}

static struct rt_typists *typists;

static bool
note(const char *text)
{
	struct rt_notice n;
	struct rt_route r;
	bool send;

	if (!rt_notice_parse(&n, text, strlen(text)))
	{
		ok(false, "cannot read %s", text);
		return false;
	}
	rt_route_parse(&r, n.route.text, n.route.len);
	send = rt_typists_note(typists, &r, &n);
	rt_route_fini(&r);
	return send;
}

#define ROOM(user, goes_on) \
	"{\"event\":\"chat-user-typing\",\"route\":{\"room\":\"7\",\"except\":\"s1\"},\"userId\":\"" user \
	"\",\"userName\":\"A\\\"\",\"roomId\":\"7\",\"isTyping\":" goes_on "}"
#define MEETING(participant, goes_on) \
	"{\"event\":\"user-typing\",\"route\":{\"meeting\":\"7\",\"except\":\"s1\"},\"meetingId\":\"7\"," \
	"\"participantId\":\"" participant "\",\"userId\":\"ann\",\"typing\":" goes_on "}"
#define LEFT(participant) \
	"{\"event\":\"participant-left\",\"offset\":\"5\",\"route\":{\"meeting\":\"7\"},\"participantId\":" \
	"\"" participant "\"}"

static void
begin(void)
{
	*told = '\0';
	typists = rt_typists_new(NULL, on_end, NULL);
}

static void
finish(void)
{
	rt_typists_free(typists);
	due_ms = 0;
}

static void
test_silence(void)
{
	begin();
	ok(note(ROOM("ann", "true")), "that somebody types is sent");
	pass(4000);
	ok(note(ROOM("ann", "true")), "and that it goes on");
	pass(5900);
	is_str(told, "", "that lasts longer than its gateway takes to say it again");
	pass(200);
	is_str(told,
		   "chat-user-typing to 7 but s1: "
		   "{\"userId\":\"ann\",\"userName\":\"A\\\"\",\"roomId\":\"7\",\"isTyping\":false}\n",
		   "then it ends, to whom it was told");
	*told = '\0';
	pass(20000);
	is_str(told, "", "once");
	ok(!note(ROOM("ann", "false")), "an end that its gateway tells after all is not sent");
	ok(note(ROOM("ann", "false")), "another one is");
	finish();
}

static void
test_end(void)
{
	begin();
	note(ROOM("ann", "true"));
	pass(3000);
	ok(note(ROOM("ann", "false")), "an end is sent");
	pass(60000);
	is_str(told, "", "and nothing is told afterwards");
	note(ROOM("ann", "true"));
	pass(10000);
	*told = '\0';
	ok(note(ROOM("ann", "true")), "who was silent for too long types again");
	pass(1000);
	ok(note(ROOM("ann", "false")), "and ends it");
	pass(60000);
	is_str(told, "", "as ever");
	finish();
}

static void
test_several(void)
{
	begin();
	note(ROOM("ann", "true"));
	pass(1000);
	note(ROOM("bob", "true"));
	note(MEETING("5", "true"));
	note(MEETING("6", "true"));
	pass(1000);
	ok(note(LEFT("6")), "a participant leaves");
	pass(4500);
	ok(strstr(told, "\"userId\":\"ann\"") != NULL && strstr(told, "bob") == NULL, "each ends at its own time");
	pass(1000);
	ok(strstr(told, "\"userId\":\"bob\"") != NULL, "the next one too");
	ok(strstr(told,
			  "user-typing to 7 but s1: {\"meetingId\":\"7\",\"participantId\":\"5\",\"userId\":\"ann\",\"typing\":"
			  "false}\n") != NULL,
	   "and in a meeting");
	ok(strstr(told, "\"participantId\":\"6\"") == NULL, "of whoever has left nothing is told");
	pass(1000);
	ok(note(LEFT("5")), "a participant whose end was told leaves, too");
	finish();
}

static void
test_others(void)
{
	begin();
	ok(note("{\"event\":\"new-chat-message\",\"offset\":\"1\",\"route\":{\"room\":\"7\"},\"isTyping\":true}"),
	   "other events are sent");
	ok(note("{\"event\":\"chat-user-typing\",\"route\":{\"room\":\"7\"},\"isTyping\":true}"),
	   "what has no user, too");
	ok(note("{\"event\":\"chat-user-typing\",\"route\":{\"room\":\"7\"},\"userId\":\"ann\",\"isTyping\":1}"),
	   "and what says neither");
	pass(60000);
	is_str(told, "", "none of them ends");
	ok(note("{\"event\":\"chat-user-typing\",\"route\":{\"room\":\"7\"},\"userId\":\"ann\",\"isTyping\":true,"
			"\"timestamp\":\"2020-01-01T00:00:00.000Z\"}"),
	   "with a time");
	pass(7000);
	ok(strstr(told, "\"timestamp\":\"20") != NULL && strstr(told, "2020-01-01") == NULL, "the end has its own");
	finish();
}

int
main(void)
{
	test_silence();
	test_end();
	test_several();
	test_others();
	return tap_done();
}
