/* Who is limited when a worker cannot carry all: max-min fairness over users, video first, and not for a moment only.
 */
#include "bgworker/media/forward/fanout.h"

#include <stdlib.h>

#include "bgworker/common/log.h"
#include "tap.h"

#define TURN_US 250000

static struct rt_fanout *fanout;
static uint64_t now_us = 1000000000;

static double
third(void *arg)
{
	(void) arg;
	return 1.0 / 3;
}

static double
whole(void *arg)
{
	(void) arg;
	return 1;
}

static int changes;

static void
on_changed(void *arg)
{
	(void) arg;
	changes++;
}

static struct rt_fanout_track *
new_track(struct rt_fanout_user *u, bool sound, uint32_t receivers, bool layers)
{
	struct rt_fanout_track *t = calloc(1, sizeof(*t));
	struct rt_fanout_handler h = {layers ? third : whole, on_changed, NULL};

	t->sound = sound;
	t->receivers = receivers;
	rt_fanout_add(u, t, &h);
	return t;
}

/* A quarter of a second in which it sends. */
static void
flow(struct rt_fanout_track *t, uint32_t packets_per_s)
{
	for (uint32_t i = 0; i < packets_per_s / 4; i++)
	{
		t->in++;
		if (t->sound && !rt_fanout_takes_sound(t, now_us + i * TURN_US / (packets_per_s / 4)))
			continue;
		t->out += t->limit == RT_FANOUT_ALL ? t->receivers : t->limit == RT_FANOUT_LOWEST ? t->receivers / 3 : 0;
	}
}

static void
turn(double used)
{
	now_us += TURN_US;
	rt_fanout_turn(fanout, used, now_us);
}

struct cast
{
	struct rt_fanout_user *users[3];
	struct rt_fanout_track *video[3], *sound[3];
	uint32_t rate[3];
};

/* So many seconds of all of them, on a worker that carries so many packets a second. */
static void
run(struct cast *c, double seconds, double carries)
{
	for (int i = 0; i < seconds * 4; i++)
	{
		double carried = 0;

		for (int k = 0; k < 3; k++)
		{
			flow(c->video[k], c->rate[k]);
			flow(c->sound[k], 52);
			carried += c->video[k]->in + c->video[k]->out + c->sound[k]->in + c->sound[k]->out;
		}
		turn(carried * 4 / carries);
	}
}

static void
begin(struct cast *c, const uint32_t *rates, const uint32_t *receivers, bool layers)
{
	static const char *const names[] = {"ann", "ben", "cat"};

	fanout = rt_fanout_new();
	for (int k = 0; k < 3; k++)
	{
		c->users[k] = rt_fanout_join(fanout, names[k]);
		c->video[k] = new_track(c->users[k], false, receivers[k], layers);
		c->sound[k] = new_track(c->users[k], true, receivers[k], false);
		c->rate[k] = rates[k];
	}
}

static void
end(struct cast *c)
{
	for (int k = 0; k < 3; k++)
	{
		rt_fanout_remove(c->video[k]);
		rt_fanout_remove(c->sound[k]);
		free(c->video[k]);
		free(c->sound[k]);
		rt_fanout_leave(fanout, c->users[k]);
	}
	rt_fanout_free(fanout);
}

static void
test_fair(void)
{
	struct cast c;

	begin(&c, (uint32_t[]){400, 400, 4000}, (uint32_t[]){3, 20, 100}, false);
	run(&c, 10, 1e6);
	ok(rt_fanout_limited(fanout) == 0 && rt_fanout_copies(c.video[2]) > 390000, "a worker with room limits nobody");
	run(&c, 5, 100000);
	ok(c.video[2]->limit == RT_FANOUT_NONE && c.video[0]->limit == RT_FANOUT_ALL &&
		   c.video[1]->limit == RT_FANOUT_ALL,
	   "too much: the one that is far above the others loses its video");
	ok(rt_fanout_limited(fanout) == 1 && rt_fanout_copies(c.sound[2]) > 5000, "and keeps its sound");
	changes = 0;
	run(&c, 60, 100000);
	ok(changes == 0, "as long as it goes on: %d changes in a minute", changes);
	c.rate[2] = 200;
	run(&c, 5, 100000);
	ok(c.video[2]->limit == RT_FANOUT_ALL && rt_fanout_limited(fanout) == 0, "it sends less: all is as before");
	c.rate[2] = 4000;
	run(&c, 2, 100000);
	ok(c.video[2]->limit == RT_FANOUT_NONE, "more again: it is limited again");
	run(&c, 10, 1e6);
	ok(c.video[2]->limit == RT_FANOUT_ALL, "the worker has room again: its video comes back");
	end(&c);
}

static void
test_layers(void)
{
	struct cast c;

	begin(&c, (uint32_t[]){300, 300, 300}, (uint32_t[]){100, 100, 100}, true);
	run(&c, 5, 90000);
	ok(rt_fanout_limited(fanout) == 1, "three alike, a little too much: one of them is limited (%zu)",
	   rt_fanout_limited(fanout));
	ok(c.video[0]->limit != RT_FANOUT_NONE && c.video[1]->limit != RT_FANOUT_NONE &&
		   c.video[2]->limit != RT_FANOUT_NONE,
	   "to its lowest layers");
	changes = 0;
	run(&c, 60, 90000);
	ok(changes == 0, "and stays the one: %d changes in a minute", changes);
	run(&c, 5, 50000);
	ok(c.video[0]->limit == RT_FANOUT_LOWEST && c.video[1]->limit == RT_FANOUT_LOWEST &&
		   c.video[2]->limit == RT_FANOUT_LOWEST,
	   "where there is room for these alone, all three are");
	end(&c);
}

static void
test_users(void)
{
	struct cast c;

	begin(&c, (uint32_t[]){300, 300, 300}, (uint32_t[]){60, 60, 60}, false);
	for (int k = 0; k < 2; k++)
	{
		rt_fanout_remove(c.video[k]);
		rt_fanout_remove(c.sound[k]);
	}
	rt_fanout_leave(fanout, c.users[0]);
	rt_fanout_leave(fanout, c.users[1]);
	for (int k = 0; k < 2; k++)
	{
		free(c.video[k]);
		free(c.sound[k]);
		c.users[k] = rt_fanout_join(fanout, "one");
		c.video[k] = new_track(c.users[k], false, 60, false);
		c.sound[k] = new_track(c.users[k], true, 60, false);
	}
	ok(c.users[0] == c.users[1], "transports of one user");
	run(&c, 10, 50000);
	ok(c.video[2]->limit == RT_FANOUT_ALL, "each no more than another user's: together they are above it");
	ok((c.video[0]->limit == RT_FANOUT_NONE) != (c.video[1]->limit == RT_FANOUT_NONE), "what fits of them stays");
	end(&c);
}

static void
test_sound(void)
{
	struct cast c;

	begin(&c, (uint32_t[]){300, 300, 0}, (uint32_t[]){10, 10, 100}, false);
	for (int i = 0; i < 40; i++)
	{
		double carried = 0;

		flow(c.video[0], 300);
		flow(c.sound[0], 100);
		flow(c.sound[2], 3000);
		for (int k = 0; k < 3; k++)
			carried += c.video[k]->in + c.video[k]->out + c.sound[k]->in + c.sound[k]->out;
		turn(carried * 4 / 60000);
	}
	ok(rt_fanout_copies(c.sound[2]) >= 24000 && rt_fanout_copies(c.sound[2]) <= 26000,
	   "3,000 packets of sound a second become 250: %llu copies to 100",
	   (unsigned long long) rt_fanout_copies(c.sound[2]));
	ok(rt_fanout_copies(c.sound[0]) >= 990 && c.video[0]->limit == RT_FANOUT_ALL,
	   "a talker beside it is not touched");
	end(&c);
}

static void
test_none(void)
{
	struct cast c;

	begin(&c, (uint32_t[]){300, 300, 5000}, (uint32_t[]){10, 10, 200}, false);
	for (int i = 0; i < 20; i++)
	{
		flow(c.video[2], 5000);
		turn(0);
	}
	ok(rt_fanout_limited(fanout) == 0, "no limits configured: nobody is limited");
	end(&c);
}

int
main(void)
{
	rt_log_set_level(RT_LOG_ERROR);
	test_fair();
	test_layers();
	test_users();
	test_sound();
	test_none();
	return tap_done();
}
