/* test_bus.c: every event once and in order, whatever becomes of the notifications.  The database is a stand-in: the
 * test says what arrives and what the event log answers. */
#include <stdlib.h>

#include "bgworker/common/db/db.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/common/db/dbecho.h"
#include "bgworker/gateway/bus/notice.h"
#include "tap.h"

static rt_db_notify_cb on_notify;
static rt_db_listen_cb on_listen;
static void *listen_arg;

static rt_db_cb page_cb; /* NULL: no page is asked for */
static void *page_arg;
static char page_req[200];

/* Timers by the order in which the bus makes them. */
struct rt_timer
{
	rt_loop_cb fn;
	void *arg;
	bool running;
};
static struct rt_timer timers[3];
static int ntimers;

void
rt_db_listen(struct rt_db *db, const char *channel, rt_db_notify_cb notify, rt_db_listen_cb listening, void *arg)
{
	on_notify = notify;
	on_listen = listening;
	listen_arg = arg;
}

void
rt_db_call(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *actor, const char *req, size_t req_len,
		   rt_db_cb cb, void *arg)
{
	page_cb = cb;
	page_arg = arg;
	snprintf(page_req, sizeof(page_req), "%.*s", (int) req_len, req);
}

struct rt_timer *
rt_timer_new(struct rt_loop *l, rt_loop_cb fn, void *arg)
{
	struct rt_timer *t = &timers[ntimers++ % 3];

	*t = (struct rt_timer){fn, arg, false};
	return t;
}

void
rt_timer_start(struct rt_timer *t, uint64_t delay_ms)
{
	t->running = true;
}

void
rt_timer_free(struct rt_timer *t)
{
}

/* Whether the gateway hears is test_dbecho.c's. */
static bool is_echo; /* what comes is one */

struct rt_dbecho *
rt_dbecho_new(struct rt_loop *l, struct rt_db *db, const char *channel, rt_dbecho_cb on_hears, void *arg)
{
	return NULL;
}

void
rt_dbecho_free(struct rt_dbecho *e)
{
}

void
rt_dbecho_set_listening(struct rt_dbecho *e, bool listening)
{
}

bool
rt_dbecho_take(struct rt_dbecho *e, const char *payload, size_t len)
{
	return is_echo;
}

void
rt_dbecho_note_relay(struct rt_dbecho *e)
{
}

bool
rt_dbecho_hears(const struct rt_dbecho *e)
{
	return true;
}

bool
rt_dbecho_is_deaf(const struct rt_dbecho *e)
{
	return false;
}

/* ---- what the bus does --------------------------------------------------------------- */

static char trace[1000];
static struct rt_bus *bus;

static void
on_event(void *arg, const struct rt_notice *n)
{
	size_t len = strlen(trace);

	if (n->logged)
		snprintf(trace + len, sizeof(trace) - len, "%llu%s ", (unsigned long long) n->pos, n->truncated ? "!" : "");
	else
		snprintf(trace + len, sizeof(trace) - len, "soft ");
}

static void
on_started(void *arg)
{
	strcat(trace, "started ");
}

static void
on_reset(void *arg)
{
	strcat(trace, "reset ");
}

static bool
traced(const char *expected)
{
	bool same = strcmp(trace, expected) == 0;

	if (!same)
		printf("# traced %s\n", trace);
	trace[0] = '\0';
	return same;
}

#define RELAY_PID 77
static int relay_pid = RELAY_PID; /* what the log answers */

static void
notify_as(int pid, const char *text)
{
	on_notify(listen_arg, pid, text, strlen(text));
}

static void
notify(const char *text)
{
	notify_as(RELAY_PID, text);
}

static void
notify_pos(int pos, const char *payload)
{
	char text[200];

	snprintf(text, sizeof(text), "{\"event\":\"a\",\"offset\":\"%d\",\"route\":{\"room\":\"1\"},%s}", pos, payload);
	notify(text);
}

static const char *epoch = "a";
static bool is_lost; /* the server never had the position that was asked for */

/* Answers the page that was asked for, with the events from..to, and how far the log reaches. */
static void
answer(int from, int to, int first, int last)
{
	char json[4000];
	size_t len = (size_t) snprintf(json, sizeof(json), "{\"events\":[");
	struct rt_db_reply reply = {.ok = true, .json = json};
	rt_db_cb cb = page_cb;

	for (int pos = from; pos <= to; pos++)
		len += (size_t) snprintf(
			json + len, sizeof(json) - len,
			"%s\"{\\\"event\\\":\\\"a\\\",\\\"offset\\\":\\\"%d\\\",\\\"route\\\":{\\\"room\\\":\\\"1\\\"},"
			"\\\"truncated\\\":true}\"",
			pos == from ? "" : ",", pos);
	len += (size_t) snprintf(
		json + len, sizeof(json) - len, "],\"last\":\"%d\",\"relay\":%d,\"whole\":%s,\"epoch\":\"%s\",\"lost\":%s}",
		last, relay_pid, first <= (int) rt_bus_pos(bus) + 1 ? "true" : "false", epoch, is_lost ? "true" : "false");
	reply.json_len = len;
	page_cb = NULL;
	cb(page_arg, &reply);
}

static void
start(int last)
{
	struct rt_bus_user user = {.on_event = on_event, .on_started = on_started, .on_reset = on_reset};

	trace[0] = '\0';
	page_cb = NULL;
	bus = rt_bus_new(NULL, NULL, &user);
	on_listen(listen_arg, true);
	ok(page_cb != NULL && !rt_bus_started(bus), "asks where the log ends");
	answer(1, 0, 1, last);
	ok(traced("started ") && rt_bus_live(bus) && rt_bus_pos(bus) == (uint64_t) last && page_cb == NULL,
	   "starts there");
}

static void
test_live(void)
{
	start(10);
	notify_pos(11, "\"x\":1");
	notify_pos(12, "\"x\":1");
	ok(traced("11 12 "), "one after the other");
	notify_pos(12, "\"x\":1");
	notify_pos(3, "\"x\":1");
	ok(traced("") && rt_bus_live(bus), "seen before");
	notify("{\"event\":\"typing\",\"route\":{\"room\":\"1\"},\"x\":1}");
	ok(traced("soft "), "soft state as it comes");
	notify("hello");
	notify("{\"event\":\"a\"}");
	ok(traced("") && rt_bus_stats(bus)->bad_notices == 2, "what is none of the relay's");
	rt_bus_free(bus);
}

static void
test_gap(void)
{
	start(10);
	notify_pos(13, "\"x\":1");
	ok(traced("") && page_cb != NULL && strstr(page_req, "\"pos\":\"10\"") != NULL, "a gap is read from the log");
	notify_pos(14, "\"x\":1");
	notify("{\"event\":\"typing\",\"route\":{\"room\":\"1\"},\"x\":1}");
	ok(traced("soft "), "logged ones wait, soft ones do not");
	answer(11, 12, 1, 12);
	ok(traced("11 12 13 14 ") && rt_bus_live(bus) && page_cb == NULL, "then what was held");
	notify_pos(16, "\"x\":1");
	notify_pos(18, "\"x\":1");
	answer(15, 15, 1, 15);
	ok(traced("15 16 ") && page_cb != NULL && strstr(page_req, "\"pos\":\"16\"") != NULL, "a second gap behind it");
	answer(17, 18, 1, 18);
	ok(traced("17 18 ") && rt_bus_live(bus), "is read too");
	rt_bus_free(bus);
}

static void
test_truncated(void)
{
	start(10);
	notify_pos(11, "\"roomId\":\"1\",\"seq\":5,\"truncated\":true");
	ok(traced("") && page_cb != NULL, "what was too long is read from the log");
	answer(11, 11, 1, 11);
	ok(traced("11 ") && rt_bus_live(bus), "and its text is whole, whatever it ends with");
	rt_bus_free(bus);
}

static void
test_overflow(void)
{
	char big[150];

	start(10);
	memset(big, 'x', sizeof(big));
	notify_pos(12, "\"x\":1");
	for (int pos = 13; pos <= 5000; pos++)
		notify_pos(pos, "\"x\":1");
	answer(11, 12, 1, 5000);
	ok(page_cb != NULL && traced("11 12 "), "more than can be held is read from the log");
	rt_bus_free(bus);
}

static void
test_reconnect(void)
{
	start(10);
	on_listen(listen_arg, false);
	on_listen(listen_arg, true);
	ok(page_cb != NULL, "a new LISTEN asks for what was missed");
	answer(11, 13, 1, 13);
	ok(traced("11 12 13 ") && rt_bus_live(bus), "and gets it");
	on_listen(listen_arg, true);
	answer(1014, 1015, 1, 1015);
	ok(traced("1014 1015 ") && rt_bus_live(bus), "positions that were never used are no hole");
	on_listen(listen_arg, true);
	answer(3000, 3001, 3000, 3001);
	ok(strncmp(trace, "reset ", 6) == 0, "a log that does not reach back is");
	trace[0] = '\0';
	on_listen(listen_arg, true);
	answer(1, 0, 1, 5);
	ok(traced("reset ") && rt_bus_pos(bus) == 5, "and so are positions that go back");
	rt_bus_free(bus);
}

static void
test_failover(void)
{
	start(10);
	relay_pid = 0;
	on_listen(listen_arg, true);
	answer(1, 0, 1, 10);
	ok(traced("") && !rt_bus_live(bus) && page_cb == NULL && timers[0].running, "without a relay it waits");
	relay_pid = RELAY_PID + 1;
	epoch = "b";
	timers[0].fn(timers[0].arg);
	answer(1000000001, 1000000002, 1, 1000000002);
	ok(traced("1000000001 1000000002 ") && rt_bus_live(bus), "goes on with the positions of a new epoch");
	on_listen(listen_arg, true);
	epoch = "c";
	is_lost = true;
	answer(2000000001, 2000000002, 1, 2000000002);
	is_lost = false;
	ok(traced("reset ") && rt_bus_pos(bus) == 2000000002, "what the server never had makes everybody start afresh");
	ok(page_cb == NULL && rt_bus_live(bus), "and it is live again");
	notify_as(relay_pid, "{\"event\":\"a\",\"offset\":\"2000000003\",\"route\":{\"room\":\"1\"},\"x\":1}");
	ok(traced("2000000003 "), "with what comes next");
	relay_pid = RELAY_PID;
	rt_bus_free(bus);
}

static void
test_failure(void)
{
	struct rt_db_reply unavailable = {.ok = false, .code = "unavailable", .message = ""};
	rt_db_cb cb;

	start(10);
	timers[0].running = false;
	notify_pos(12, "\"x\":1");
	cb = page_cb;
	page_cb = NULL;
	cb(page_arg, &unavailable);
	ok(page_cb == NULL && timers[0].running, "a page that fails is tried again later");
	timers[0].fn(timers[0].arg);
	answer(11, 12, 1, 12);
	ok(traced("11 12 ") && rt_bus_live(bus), "and then comes");
	timers[1].fn(timers[1].arg);
	ok(page_cb != NULL, "a quiet bus asks the log");
	answer(13, 13, 1, 13);
	ok(traced("13 ") && rt_bus_live(bus), "and finds what nobody told of");
	rt_bus_free(bus);
}

/* A live bus goes on while a page is under way, so the answer can be older than what it knows by then. */
static void
test_late_page(void)
{
	start(10);
	timers[1].fn(timers[1].arg);
	notify_pos(11, "\"x\":1");
	notify_pos(12, "\"x\":1");
	answer(1, 0, 1, 10);
	ok(traced("11 12 ") && rt_bus_live(bus) && rt_bus_pos(bus) == 12, "an answer that is older changes nothing");
	timers[1].fn(timers[1].arg);
	notify_pos(13, "\"x\":1");
	answer(1, 0, 1, 11);
	ok(traced("13 reset ") && rt_bus_pos(bus) == 11, "one that is older than the question is of another history");
	rt_bus_free(bus);
}

static void
test_stranger(void)
{
	start(10);
	timers[2].running = false;
	notify_as(666, "{\"event\":\"a\",\"offset\":\"11\",\"route\":{\"room\":\"1\"},\"x\":1}");
	notify_as(666, "{\"event\":\"rt:disconnect\",\"route\":{\"gateway\":true},\"x\":1}");
	ok(traced("") && page_cb == NULL && timers[2].running, "what another process notifies is not taken");
	timers[2].fn(timers[2].arg);
	ok(page_cb != NULL, "but makes the bus ask the log, later");
	timers[2].running = false;
	is_echo = true;
	notify_as(667, "{\"echo\":\"1\"}");
	is_echo = false;
	ok(!timers[2].running, "an echo does not");
	relay_pid = 666;
	answer(11, 11, 1, 11);
	notify_as(RELAY_PID, "{\"event\":\"a\",\"offset\":\"12\",\"route\":{\"room\":\"1\"},\"x\":1}");
	notify_as(666, "{\"event\":\"a\",\"offset\":\"12\",\"route\":{\"room\":\"1\"},\"x\":1}");
	ok(traced("11 12 ") && rt_bus_live(bus), "which says that it is the relay now");
	relay_pid = RELAY_PID;
	rt_bus_free(bus);
}

int
main(void)
{
	rt_log_set_level(RT_LOG_ERROR);
	test_live();
	test_gap();
	test_truncated();
	test_overflow();
	test_reconnect();
	test_failover();
	test_failure();
	test_late_page();
	test_stranger();
	return tap_done();
}
