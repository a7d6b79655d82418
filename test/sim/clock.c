/* clock.c: the virtual clock, its events, and the program's loop upon it. */
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "bgworker/common/loop.h"
#include "sim.h"

#define START_US 1000000000u /* so that no time is 0, which means "never" to many */
#define WALL_S 1700000000u

struct event
{
	uint64_t at_us, order;
	sim_event_cb fn;
	void *arg;
	uint8_t *data;
	size_t len;
};

uint64_t sim_now_us;
static uint64_t order, random_state;
static struct event *heap;
static size_t nevents, room;

/* ---- randomness: splitmix64 ---- */

static uint64_t
next_random(void)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

double
sim_random(void)
{
	return (double) (next_random() >> 11) / 9007199254740992.0;
}

int __wrap_RAND_bytes(unsigned char *out, int n);
int
__wrap_RAND_bytes(unsigned char *out, int n)
{
	for (int i = 0; i < n; i++)
		out[i] = (unsigned char) next_random();
	return 1;
}

/* ---- the clock, as the C library tells it ---- */

int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int
__wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	(void) id;
	*ts = (struct timespec){(time_t) (sim_now_us / 1000000), (long) (sim_now_us % 1000000 * 1000)};
	return 0;
}

int __wrap_gettimeofday(struct timeval *tv, void *zone);
int
__wrap_gettimeofday(struct timeval *tv, void *zone)
{
	(void) zone;
	*tv = (struct timeval){(time_t) (WALL_S + sim_now_us / 1000000), (suseconds_t) (sim_now_us % 1000000)};
	return 0;
}

/* ---- events: a heap by time, then by order ---- */

static bool
is_before(const struct event *a, const struct event *b)
{
	return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

static void
swap(size_t a, size_t b)
{
	struct event e = heap[a];

	heap[a] = heap[b];
	heap[b] = e;
}

static void
push(struct event e)
{
	size_t i = nevents++;

	if (nevents > room)
	{
		room = room ? room * 2 : 1024;
		heap = realloc(heap, room * sizeof(*heap));
	}
	heap[i] = e;
	for (; i > 0 && is_before(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(i, (i - 1) / 2);
}

static struct event
pop(void)
{
	struct event e = heap[0];
	size_t i = 0, child;

	heap[0] = heap[--nevents];
	while ((child = 2 * i + 1) < nevents)
	{
		if (child + 1 < nevents && is_before(&heap[child + 1], &heap[child]))
			child++;
		if (!is_before(&heap[child], &heap[i]))
			break;
		swap(i, child);
		i = child;
	}
	return e;
}

void
sim_at(uint64_t at_us, sim_event_cb fn, void *arg, const void *data, size_t len)
{
	struct event e = {at_us > sim_now_us ? at_us : sim_now_us, order++, fn, arg, NULL, len};

	if (len)
	{
		e.data = malloc(len + 64);
		memcpy(e.data, data, len);
	}
	push(e);
}

static void run_deferred(void);
static void on_timer(void *arg, uint8_t *data, size_t len);
static void forget_timer(struct rt_timer *t);

void
sim_run_until(uint64_t at_us)
{
	while (nevents && heap[0].at_us <= at_us)
	{
		struct event e = pop();

		sim_now_us = e.at_us;
		e.fn(e.arg, e.data, e.len);
		free(e.data);
		run_deferred();
	}
	sim_now_us = at_us;
}

void
sim_begin(unsigned seed)
{
	while (nevents)
	{
		struct event *e = &heap[--nevents];

		if (e->fn == on_timer)
			forget_timer(e->arg);
		free(e->data);
	}
	random_state = seed;
	sim_now_us = START_US;
}

/* ---- the program's loop ---- */

struct rt_loop
{
	int unused;
};

struct rt_timer
{
	rt_loop_cb fn;
	void *arg;
	uint64_t generation; /* of the start that counts */
	bool running, freed;
	int pending; /* events that name it */
};

static struct
{
	rt_loop_cb fn;
	void *arg;
} deferred[4096];
static size_t ndeferred;

static void
run_deferred(void)
{
	for (size_t i = 0; i < ndeferred; i++)
		deferred[i].fn(deferred[i].arg);
	ndeferred = 0;
}

enum rt_result
rt_loop_new(struct rt_loop **lp)
{
	*lp = calloc(1, sizeof(**lp));
	return RT_OK;
}

void
rt_loop_free(struct rt_loop *l)
{
	run_deferred();
	free(l);
}

uint64_t
rt_loop_now_ms(const struct rt_loop *l)
{
	(void) l;
	return sim_now_us / 1000;
}

uint64_t
rt_loop_clock_us(void)
{
	return sim_now_us;
}

void
rt_loop_defer(struct rt_loop *l, rt_loop_cb fn, void *arg)
{
	(void) l;
	if (ndeferred == sizeof(deferred) / sizeof(*deferred))
		abort();
	deferred[ndeferred].fn = fn;
	deferred[ndeferred++].arg = arg;
}

struct rt_timer *
rt_timer_new(struct rt_loop *l, rt_loop_cb fn, void *arg)
{
	struct rt_timer *t = calloc(1, sizeof(*t));

	(void) l;
	t->fn = fn;
	t->arg = arg;
	return t;
}

/* One event less names it. */
static void
forget_timer(struct rt_timer *t)
{
	if (--t->pending == 0 && t->freed)
		free(t);
}

static void
on_timer(void *arg, uint8_t *data, size_t len)
{
	struct rt_timer *t = arg;
	uint64_t generation;

	(void) len;
	memcpy(&generation, data, sizeof(generation));
	if (!t->freed && t->running && generation == t->generation)
	{
		t->running = false;
		t->fn(t->arg);
	}
	forget_timer(t);
}

void
rt_timer_start(struct rt_timer *t, uint64_t delay_ms)
{
	t->running = true;
	t->generation++;
	t->pending++;
	sim_at(sim_now_us + delay_ms * 1000, on_timer, t, &t->generation, sizeof(t->generation));
}

void
rt_timer_stop(struct rt_timer *t)
{
	t->running = false;
}

void
rt_timer_free(struct rt_timer *t)
{
	if (t == NULL)
		return;
	t->freed = true;
	if (t->pending == 0)
		free(t);
}

/* Nothing that the engine does here watches a descriptor or measures its turns. */
void
rt_loop_run(struct rt_loop *l)
{
	(void) l;
	abort();
}

void
rt_loop_stop(struct rt_loop *l)
{
	(void) l;
}

struct uv_loop_s *
rt_loop_uv(struct rt_loop *l)
{
	(void) l;
	return NULL;
}

struct rt_watch *
rt_watch_new(struct rt_loop *l, int fd, rt_watch_cb fn, void *arg)
{
	(void) l, (void) fd, (void) fn, (void) arg;
	return NULL;
}

void
rt_watch_set(struct rt_watch *w, int events)
{
	(void) w, (void) events;
}

void
rt_watch_free(struct rt_watch *w)
{
	(void) w;
}

const struct rt_histogram *
rt_loop_turns(const struct rt_loop *l)
{
	(void) l;
	return NULL;
}

uint64_t
rt_loop_slow_turns(const struct rt_loop *l)
{
	(void) l;
	return 0;
}
