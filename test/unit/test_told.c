/* test_told.c: which changes of a connection the database is told of. */
#include "bgworker/gateway/clients/client.h"
#include "tap.h"

static bool
is_old(int64_t told_us, int64_t now_us)
{
	struct rt_told told = {.latency_us = told_us, .websocket = true};
	struct rt_told now = {.latency_us = now_us, .websocket = true};

	return rt_client_told_is_old(&told, &now);
}

static bool
is_old_queue(size_t told_bytes, size_t now_bytes)
{
	struct rt_told told = {.latency_us = -1, .queued_bytes = told_bytes};
	struct rt_told now = {.latency_us = -1, .queued_bytes = now_bytes};

	return rt_client_told_is_old(&told, &now);
}

static void
test_latency(void)
{
	ok(!is_old(-1, -1), "before the first heartbeat there is nothing to tell");
	ok(is_old(-1, 0), "the first latency is told");
	ok(!is_old(30000, 79000), "50 ms more or less are no news");
	ok(is_old(30000, 80000), "more are");
	ok(!is_old(400000, 201000), "nor is half of a long one");
	ok(is_old(400000, 200000), "from there on it is");
	ok(is_old(400000, 1000), "a slow client is quick again");
}

static void
test_queue(void)
{
	ok(!is_old_queue(0, 4095), "a few bytes that wait are no news");
	ok(is_old_queue(0, 4096), "many are");
	ok(is_old_queue(100000, 10000), "fewer than were told are");
	ok(is_old_queue(1, 0), "nothing waits any more");
}

static void
test_transport(void)
{
	struct rt_told told = {.latency_us = 1000};
	struct rt_told now = {.latency_us = 1000, .websocket = true};

	ok(rt_client_told_is_old(&told, &now), "an upgrade is told");
}

int
main(void)
{
	test_latency();
	test_queue();
	test_transport();
	return tap_done();
}
