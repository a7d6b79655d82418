/* test_send.c: what waits for a room when the database is away.  The database and the clock are stand-ins. */
#include <stdlib.h>
#include <time.h>

#include "bgworker/common/db/db.h"
#include "bgworker/gateway/chat/send.h"
#include "bgworker/gateway/clients/counters.h"
#include "tap.h"

static time_t now_s = 1000;
static int calls;
static rt_db_cb sent;
static void *sent_arg;
static char answers[256];

int
clock_gettime(clockid_t clock, struct timespec *t)
{
	*t = (struct timespec){.tv_sec = now_s};
	return 0;
}

void
rt_db_call(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *actor, const char *req, size_t req_len,
		   rt_db_cb cb, void *arg)
{
	calls++;
	sent = cb;
	sent_arg = arg;
}

void
rt_db_call_held(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *req, size_t req_len, rt_db_cb cb,
				void *arg)
{
	rt_db_call(db, lane, fn, NULL, req, req_len, cb, arg);
}

bool
rt_db_reply_is_held(const struct rt_db_reply *reply)
{
	return false;
}

static void
on_answer(void *arg, const char *json, size_t len, const char *code, const char *message)
{
	snprintf(answers + strlen(answers), sizeof(answers) - strlen(answers), "%s:%s ", (const char *) arg,
			 code == NULL ? "ok" : code);
}

static void
reply_with(bool succeeded, const char *json)
{
	struct rt_db_reply reply = {
		.ok = succeeded, .json = json, .json_len = strlen(json), .code = "unavailable", .message = ""};

	*answers = '\0';
	sent(sent_arg, &reply);
}

int
main(void)
{
	struct rt_counters *counters = rt_counters_new();
	struct rt_send *s = rt_send_new(NULL, counters);

	rt_send_message(s, "1", "ann", "{}", 2, on_answer, "a");
	rt_send_message(s, "1", "ann", "{}", 2, on_answer, "b");
	rt_send_message(s, "1", "bob", "{}", 2, on_answer, "c");
	ok(calls == 1, "the first goes at once, others wait for it");
	now_s += 1;
	reply_with(false, "");
	is_str(answers, "a:unavailable ", "a connection that broke");
	ok(calls == 2, "others go by the next one");
	rt_send_message(s, "1", "ann", "{}", 2, on_answer, "d");
	now_s += 8;
	reply_with(false, "");
	is_str(answers, "b:unavailable c:unavailable d:unavailable ", "the database is away: nobody waits for it twice");
	ok(calls == 2, "and nothing is sent");
	rt_send_message(s, "1", "ann", "{}", 2, on_answer, "e");
	ok(calls == 3, "what comes later is");
	reply_with(true, "{\"results\":[{}]}");
	is_str(answers, "e:ok ", "and stored, once the database is back");
	rt_send_free(s);
	rt_counters_free(counters);
	return tap_done();
}
