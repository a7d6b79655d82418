/* test_dbecho.c: a program that does not hear its own notification is deaf.  Database and clock are the test's. */
#include <stdlib.h>

#include "bgworker/common/db/db.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/db/dbecho.h"
#include "tap.h"

static rt_db_cb asked_cb; /* NULL: no call is under way */
static void *asked_arg;
static char token[80], channel[80];
static int renewals;
static int heard; /* times that it began to hear */
static uint64_t now_ms = 1000;

struct rt_timer
{
	rt_loop_cb fn;
	void *arg;
	uint64_t at_ms;
};
static struct rt_timer timer;

void
rt_db_call(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *actor, const char *req, size_t req_len,
		   rt_db_cb cb, void *arg)
{
	asked_cb = cb;
	asked_arg = arg;
	sscanf(req, "{\"token\":\"%70[^\"]\",\"channel\":\"%70[^\"]", token, channel);
}

void
rt_db_listen_again(struct rt_db *db, const char *why)
{
	renewals++;
}

struct rt_timer *
rt_timer_new(struct rt_loop *l, rt_loop_cb fn, void *arg)
{
	timer = (struct rt_timer){fn, arg, UINT64_MAX};
	return &timer;
}

void
rt_timer_start(struct rt_timer *t, uint64_t delay_ms)
{
	t->at_ms = now_ms + delay_ms;
}

void
rt_timer_free(struct rt_timer *t)
{
}

uint64_t
rt_loop_now_ms(const struct rt_loop *l)
{
	return now_ms;
}

/* To when the timer runs; how long that was. */
static uint64_t
wait_for_timer(void)
{
	uint64_t waited = timer.at_ms - now_ms;

	now_ms = timer.at_ms;
	timer.at_ms = UINT64_MAX;
	timer.fn(timer.arg);
	return waited;
}

static void
answer(bool succeeded)
{
	struct rt_db_reply reply = {.ok = succeeded, .json = "{}", .json_len = 2, .code = "unavailable"};
	rt_db_cb cb = asked_cb;

	asked_cb = NULL;
	cb(asked_arg, &reply);
}

static bool
notify(struct rt_dbecho *e, const char *of)
{
	char text[100];
	int len = snprintf(text, sizeof(text), "{\"echo\":\"%s\"}", of);

	return rt_dbecho_take(e, text, (size_t) len);
}

static void
on_hears(void *arg)
{
	heard++;
}

static struct rt_dbecho *
start(void)
{
	struct rt_dbecho *e = rt_dbecho_new(NULL, NULL, "rt_media", on_hears, NULL);

	renewals = heard = 0;
	asked_cb = NULL;
	rt_dbecho_set_listening(e, true);
	wait_for_timer();
	return e;
}

static void
test_hearing(void)
{
	struct rt_dbecho *e = start();
	char old[80];

	ok(asked_cb != NULL && !rt_dbecho_hears(e) && !rt_dbecho_is_deaf(e), "a new LISTEN asks for an echo");
	ok(strcmp(channel, "rt_media") == 0, "on its channel");
	answer(true);
	ok(notify(e, "00aa.1") && !rt_dbecho_hears(e), "another gateway's is an echo, but not ours");
	ok(!rt_dbecho_take(e, "{\"event\":\"a\"}", 13), "an event is none");
	ok(notify(e, token) && rt_dbecho_hears(e) && heard == 1, "ours is heard");
	ok(wait_for_timer() == 30000 && asked_cb != NULL && rt_dbecho_hears(e), "a quiet bus asks again after 30 s");
	ok(notify(e, token), "which may come before the answer");
	answer(true);
	now_ms += 20000;
	rt_dbecho_note_relay(e);
	ok(wait_for_timer() == 30000 && rt_dbecho_hears(e), "what the relay says puts the next one off");
	answer(false);
	ok(wait_for_timer() == 1000 && rt_dbecho_hears(e) && asked_cb != NULL,
	   "a call that fails proves nothing, and is made again");
	strcpy(old, token);
	rt_dbecho_set_listening(e, false);
	ok(!rt_dbecho_hears(e), "without a LISTEN it does not hear");
	rt_dbecho_set_listening(e, true);
	wait_for_timer();
	answer(true);
	ok(notify(e, old) && !rt_dbecho_hears(e), "a former LISTEN's echo does not count");
	wait_for_timer();
	answer(true);
	ok(notify(e, token) && rt_dbecho_hears(e) && heard == 2, "the new one's does, and only what is new is told");
	rt_dbecho_free(e);
}

static void
test_deafness(void)
{
	struct rt_dbecho *e = start();
	int asked = 0;

	answer(true);
	notify(e, token);
	wait_for_timer();
	answer(true);
	ok(wait_for_timer() == 3000 && rt_dbecho_is_deaf(e) && !rt_dbecho_hears(e),
	   "an echo that is missing for 3 s: deaf");
	ok(renewals == 1, "the connection is made anew");
	rt_dbecho_note_relay(e);
	ok(rt_dbecho_is_deaf(e), "a notification that comes by chance does not end it");
	rt_dbecho_set_listening(e, false);
	rt_dbecho_set_listening(e, true);
	for (; renewals == 1 && asked < 20; asked++)
	{
		wait_for_timer();
		answer(true);
		wait_for_timer();
	}
	ok(renewals == 2 && asked > 5, "a connection that never heard is made anew at times, and asked meanwhile");
	wait_for_timer();
	answer(true);
	notify(e, token);
	ok(!rt_dbecho_is_deaf(e) && rt_dbecho_hears(e), "an echo ends it");
	rt_dbecho_free(e);
}

int
main(void)
{
	rt_log_set_level(RT_LOG_ERROR);
	test_hearing();
	test_deafness();
	return tap_done();
}
