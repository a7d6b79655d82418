/* test_share.c: what addresses and users take of what all share. */
#include <stdlib.h>

#include "bgworker/gateway/http/share.h"
#include "tap.h"

#define POOL RT_TRAFFIC_MAX_HELD_BYTES
#define ONE (POOL / 100)

static struct rt_traffic_limits limits = {.max_payload_bytes = 1000000};
static struct rt_traffic traffic;
static struct rt_shares *set;

static int evicted;

static void
on_evict(struct rt_share_hold *h)
{
	evicted++;
	rt_share_release(h);
}

static struct rt_share *
address(int i)
{
	char text[20];

	snprintf(text, sizeof(text), "10.0.%d.%d", i / 256, i % 256);
	return rt_share_of_address(set, text);
}

static void
test_one_address(void)
{
	struct rt_share *a = address(1);
	struct rt_share *same = address(1);
	struct rt_share *b = address(2);
	struct rt_share_hold holds[4] = {{NULL}};

	ok(a == same && a != b && rt_share_is_stranger(a), "an address has one share");
	ok(rt_share_hold(&holds[0], a, ONE / 2) == RT_OK && rt_share_hold(&holds[1], a, ONE / 2) == RT_OK,
	   "it holds a hundredth");
	ok(rt_share_hold(&holds[2], a, 1000) == RT_LIMIT && holds[2].share == NULL, "and no more");
	ok(rt_share_hold(&holds[3], b, 1000) == RT_OK, "another one does not mind");
	ok(traffic.held_bytes == 2 * (ONE / 2) + 1000 && traffic.stranger_bytes == traffic.held_bytes, "all is counted");
	ok(rt_share_hold(&holds[1], a, 10) == RT_OK && rt_share_hold(&holds[2], a, 1000) == RT_OK,
	   "what shrinks makes room");
	for (int i = 0; i < 4; i++)
		rt_share_release(&holds[i]);
	ok(traffic.held_bytes == 0 && traffic.stranger_bytes == 0, "and counted back");
	rt_share_drop(a);
	rt_share_drop(same);
	rt_share_drop(b);
}

/* Fills what strangers may have, from so many addresses; how many got in. */
static int
fill(struct rt_share_hold *holds, int n)
{
	int held = 0;

	for (int i = 0; i < n; i++)
	{
		struct rt_share *a = address(i);

		holds[i].evict = on_evict;
		held += rt_share_hold(&holds[i], a, ONE) == RT_OK;
		rt_share_drop(a);
	}
	return held;
}

static void
test_pool(void)
{
	struct rt_share_hold strangers[20] = {{NULL}};
	struct rt_share_hold users[120] = {{NULL}};
	char name[20];
	int held = 0;

	ok(fill(strangers, 20) == 10, "strangers hold a tenth, together");
	for (int i = 0; i < 120; i++)
	{
		struct rt_share *u;

		snprintf(name, sizeof(name), "user%d", i);
		u = rt_share_of_user(set, name);
		held += rt_share_hold(&users[i], u, ONE) == RT_OK;
		rt_share_drop(u);
		if (i == 89)
			ok(held == 90 && evicted == 0, "users have the rest");
	}
	ok(held == 100 && evicted == 10 && traffic.stranger_bytes == 0,
	   "and then what strangers hold: the oldest goes first");
	ok(strangers[0].share == NULL && traffic.held_bytes <= POOL, "never more than all");
	for (int i = 0; i < 120; i++)
		rt_share_release(&users[i]);
	evicted = 0;
}

static void
test_one_message(void)
{
	struct rt_share *u = rt_share_of_user(set, "ann");
	struct rt_share_hold big = {NULL};
	struct rt_share_hold other = {NULL};

	ok(rt_share_hold(&big, u, 5 * ONE) == RT_OK, "a user can send one large message");
	ok(rt_share_hold(&other, u, 10) == RT_LIMIT, "not two");
	rt_share_release(&big);
	ok(rt_share_hold(&other, u, 10) == RT_OK, "but one after the other");
	rt_share_release(&other);
	rt_share_drop(u);
}

static void
test_time(void)
{
	struct rt_share *a = address(7);
	uint64_t now = 1000000;
	uint64_t had = 0;

	ok(rt_share_wait_ms(a, now) == 0, "whoever had none may");
	rt_share_charge(a, now, 100000);
	ok(rt_share_wait_ms(a, now) == 0, "a burst is saved up");
	rt_share_charge(a, now, 20000);
	ok(rt_share_wait_ms(a, now) > 0, "above it they wait");
	now += 1000 * (uint64_t) rt_share_wait_ms(a, now);
	ok(rt_share_wait_ms(a, now) == 0, "so long, and no longer");
	rt_share_charge(a, now, 20000);
	rt_share_drop(a);
	a = address(7);
	ok(rt_share_wait_ms(a, now) > 0, "it is not forgotten with the connection");
	/* Whatever it does, three quarters of the time are others'. */
	for (uint64_t end = now + 10000000; now < end; now += 1000)
	{
		if (rt_share_wait_ms(a, now) > 0)
			continue;
		rt_share_charge(a, now, 900);
		had += 900;
	}
	ok(had > 2250000 && had < 2750000, "it has a quarter of the time: %d ms of 10 s", (int) (had / 1000));
	rt_share_drop(a);
}

static const struct rt_share_guest *spared;
static const struct rt_share_guest *ended;

static bool
end_guest(struct rt_share_guest *g)
{
	if (g == spared)
		return false;
	ended = g;
	return true;
}

static bool
end_other(struct rt_share_guest *g)
{
	return end_guest(g);
}

static void
test_places(void)
{
	struct rt_share_guest guests[40] = {{NULL}};
	struct rt_share *few = address(1);
	struct rt_share *many = address(2);

	for (int i = 0; i < 40; i++)
		guests[i].end = i == 20 ? end_other : end_guest;
	ok(!rt_shares_make_room(set, NULL), "nobody is there");
	for (int i = 0; i < 4; i++)
		rt_share_enter(&guests[i], few);
	ok(rt_shares_make_room(set, NULL) && ended == &guests[0], "the oldest goes");
	for (int i = 4; i < 40; i++)
		rt_share_enter(&guests[i], many);
	ok(rt_shares_make_room(set, NULL) && ended == &guests[4], "of the address that has most");
	ok(rt_shares_make_room(set, end_other) && ended == &guests[20], "of those that are asked for");
	spared = &guests[4];
	ok(rt_shares_make_room(set, NULL) && ended == &guests[5], "that can be spared");
	rt_share_enter(&guests[5], many);
	ok(rt_shares_make_room(set, NULL) && ended == &guests[6], "who comes again is the youngest");
	for (int i = 6; i < 40; i++)
		rt_share_leave(&guests[i]);
	ok(rt_shares_make_room(set, NULL) && ended == &guests[0], "when they have left, the others are more");
	for (int i = 0; i < 40; i++)
		rt_share_leave(&guests[i]);
	ok(!rt_shares_make_room(set, NULL), "all have left");
	rt_share_drop(few);
	rt_share_drop(many);
}

int
main(void)
{
	set = rt_shares_new(&limits, &traffic);
	test_one_address();
	test_pool();
	test_one_message();
	test_time();
	test_places();
	for (int i = 0; i < 30000; i++)
		rt_share_drop(address(i));
	rt_shares_free(set);
	return tap_done();
}
