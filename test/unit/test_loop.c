/* test_loop.c: the loop, its watches, timers and signals, the wheel, buffers. */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgworker/common/buf.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/wheel.h"
#include "tap.h"

static struct rt_loop *loop;
static char order[64];

static void
note(void *arg)
{
	strncat(order, arg, sizeof(order) - strlen(order) - 1);
}

static void
note_and_defer(void *arg)
{
	note("b");
	rt_loop_defer(loop, note, "d");
}

static void
stop(void *arg)
{
	rt_loop_stop(loop);
}

static void
test_deferred(void)
{
	struct rt_timer *t = rt_timer_new(loop, stop, NULL);

	rt_loop_defer(loop, note, "a");
	rt_loop_defer(loop, note_and_defer, NULL);
	rt_loop_defer(loop, note, "c");
	rt_timer_start(t, 20);
	rt_loop_run(loop);
	is_str(order, "abcd", "deferred work runs in order, and what it defers in the next turn");
	rt_timer_free(t);
}

static void
on_signal(void *arg, int signo)
{
	*(int *) arg = signo;
	rt_loop_stop(loop);
}

static void
test_signals(void)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	struct rt_timer *deadline = rt_timer_new(loop, stop, NULL);
	int got = 0;

	ok(rt_loop_watch_signals(loop, on_signal, &got) == RT_OK, "signals are watched");
	for (int i = 0; i < 3; i++)
	{
		rt_timer_start(deadline, 60000);
		raise(signals[i]);
		ok(got != signals[i], "signal %d waits for a turn of the loop", signals[i]);
		rt_loop_run(loop);
		ok(got == signals[i], "which tells of it");
	}
	rt_timer_free(deadline);
}

struct end
{
	struct rt_watch *watch;
	int fd;
	int events;
};

static void
on_end(void *arg, int events)
{
	struct end *end = arg;

	end->events |= events;
	rt_watch_set(end->watch, 0);
	rt_loop_stop(loop);
}

static void
test_watch(void)
{
	int pair[2];
	struct end end;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		abort();
	end = (struct end){.fd = pair[0]};
	end.watch = rt_watch_new(loop, pair[0], on_end, &end);
	rt_watch_set(end.watch, RT_READABLE | RT_WRITABLE);
	rt_loop_run(loop);
	ok(end.events == RT_WRITABLE, "an empty socket is writable");
	end.events = 0;
	rt_watch_set(end.watch, RT_READABLE);
	ok(write(pair[1], "x", 1) == 1, "a byte is sent");
	rt_loop_run(loop);
	ok(end.events == RT_READABLE, "and the other end is readable");
	end.events = 0;
	close(pair[1]);
	rt_watch_set(end.watch, RT_READABLE);
	rt_loop_run(loop);
	ok(end.events == RT_READABLE, "so is a closed one");
	rt_watch_free(end.watch);
	close(pair[0]);
}

struct entry
{
	struct rt_wheel_entry entry; /* first, so that it can be cast */
	struct rt_wheel *wheel;
	uint64_t wanted_ms;
	uint64_t fired_ms;
	struct entry *other; /* unset by this one */
};

static void
on_entry(struct rt_wheel_entry *e)
{
	struct entry *entry = (struct entry *) e;

	entry->fired_ms = rt_loop_now_ms(loop);
	if (entry->other != NULL)
		rt_wheel_unset(entry->wheel, &entry->other->entry);
}

/* Whether entries fire after their deadline and soon, *precise of them within 10 ms. */
static bool
turn_wheel(int *precise)
{
	struct rt_wheel *wheel = rt_wheel_new(loop);
	struct rt_timer *t = rt_timer_new(loop, stop, NULL);
	struct entry entries[20] = {0};
	bool is_early = false, is_late = false;

	for (int i = 0; i < 20; i++)
	{
		entries[i].entry.fn = on_entry;
		entries[i].wheel = wheel;
		entries[i].wanted_ms = rt_loop_now_ms(loop) + (uint64_t) i * 37;
		rt_wheel_set(wheel, &entries[i].entry, (uint64_t) i * 37);
	}
	rt_wheel_set(wheel, &entries[19].entry, 1000000); /* moved beyond a turn of the wheel */
	rt_wheel_unset(wheel, &entries[18].entry);
	entries[0].other = &entries[17];
	rt_timer_start(t, 1000);
	rt_loop_run(loop);
	*precise = 0;
	for (int i = 0; i < 17; i++)
	{
		int64_t late_ms = entries[i].fired_ms ? (int64_t) (entries[i].fired_ms - entries[i].wanted_ms) : INT64_MAX;

		is_early |= late_ms < 0;
		is_late |= late_ms > 200;
		*precise += late_ms <= 10;
	}
	ok(!is_early, "entries fire after their deadline");
	ok(entries[17].fired_ms == 0 && entries[18].fired_ms == 0, "those that were unset do not");
	ok(entries[19].fired_ms == 0 && rt_wheel_is_set(&entries[19].entry), "a far one waits");
	rt_wheel_unset(wheel, &entries[19].entry);
	rt_wheel_unset(wheel, &entries[19].entry);
	rt_wheel_free(wheel);
	rt_timer_free(t);
	return !is_late;
}

/* A machine that is busy with something else makes them late now and then, not five times in a row. */
static void
test_wheel(void)
{
	bool in_time = false;
	int precise = 0;

	for (int i = 0; i < 5 && (!in_time || precise <= 8); i++)
		in_time = turn_wheel(&precise);
	ok(in_time, "and soon after it");
	ok(precise > 8, "%d of 17 within 10 ms", precise);
}

static void
test_buf(void)
{
	struct rt_buf b;
	char chunk[300];
	size_t len;

	memset(chunk, 'x', sizeof(chunk));
	rt_buf_init(&b, 1000);
	ok(rt_buf_put(&b, chunk, 300) == RT_OK && rt_buf_put(&b, chunk, 300) == RT_OK &&
		   rt_buf_put(&b, chunk, 300) == RT_OK,
	   "bytes are put up to the limit");
	ok(rt_buf_put(&b, chunk, 101) == RT_LIMIT && rt_buf_len(&b) == 900, "what goes over it is refused whole");
	rt_buf_drop(&b, 899);
	ok(rt_buf_put_str(&b, "yz") == RT_OK && memcmp(rt_buf_peek(&b, &len), "xyz", 3) == 0 && len == 3, "in order");
	rt_buf_drop(&b, 1000);
	ok(rt_buf_len(&b) == 0, "no more is dropped than there is");
	rt_buf_fini(&b);
	ok(rt_buf_peek(&b, &len) == NULL && len == 0, "an empty buffer");
}

int
main(void)
{
	if (rt_loop_new(&loop) != RT_OK)
		return 1;
	test_deferred();
	test_signals();
	test_watch();
	test_wheel();
	test_buf();
	rt_loop_free(loop);
	return tap_done();
}
