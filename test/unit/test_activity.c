/* What the loop does is written where the supervisor reads it. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/loop.h"
#include "tap.h"

static int fd;
static enum rt_activity seen[8];
static int nseen;

static uint64_t
word(void)
{
	uint64_t w = 0;

	return pread(fd, &w, sizeof(w), 0) == (ssize_t) sizeof(w) ? w : 0;
}

static enum rt_activity
now(void)
{
	return (enum rt_activity)(word() & ((1 << RT_ACTIVITY_BITS) - 1));
}

static void
note(void *arg)
{
	(void) arg;
	seen[nseen++] = now();
}

static void
note_and_stop(void *arg)
{
	note(NULL);
	rt_loop_stop(arg);
}

int
main(void)
{
	struct rt_loop *loop;
	struct rt_timer *t;
	uint64_t before;

	fd = memfd_create("test", 0);
	if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) != 0 || rt_loop_new(&loop) != RT_OK)
		return 1;
	rt_activity_share(-1);
	rt_activity_begin(RT_ACTIVITY_REQUEST);
	ok(word() == 0, "without a page it is written nowhere");
	rt_activity_share(dup(fd));
	rt_activity_begin(RT_ACTIVITY_REQUEST);
	ok(now() == RT_ACTIVITY_REQUEST, "what it does");
	before = word();
	rt_activity_begin(RT_ACTIVITY_REQUEST);
	ok(word() > before, "the same once more is another word");

	rt_loop_defer(loop, note, NULL);
	t = rt_timer_new(loop, note_and_stop, loop);
	rt_timer_start(t, 10);
	rt_loop_run(loop);
	ok(nseen == 2, "two callbacks");
	ok(seen[0] == RT_ACTIVITY_DEFERRED, "deferred work");
	ok(seen[1] == RT_ACTIVITY_TIMER, "a timer");
	rt_timer_free(t);
	rt_loop_free(loop);
	return tap_done();
}
