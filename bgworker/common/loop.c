/* loop.c: see loop.h.  A thin layer over libuv.
 *
 * Deferred work runs in libuv's check phase, right after the descriptors' callbacks.  While any waits, an idle
 * handle keeps the next poll from blocking; so what defers itself again lets new events in between, and what
 * timers defer runs after one look at the descriptors. */
#include "loop.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <uv.h>

#include "activity.h"
#include "alloc.h"
#include "clock.h"
#include "log.h"
#include "metric.h"

#define SLOW_TURN_MS 20

struct deferred
{
	rt_loop_cb fn;
	void *arg;
};

struct deferred_list
{
	struct deferred *items;
	size_t count;
	size_t room;
};

struct rt_loop
{
	uv_loop_t uv;
	uv_check_t check;
	uv_idle_t idle;
	uv_prepare_t prepare;
	struct deferred_list waiting; /* for the next run */
	struct deferred_list running; /* empty but during a run */
	bool stopping;
	uint64_t busy_ms; /* of this turn, until its descriptors and deferred work were done */
	uint64_t slow_turns;
	struct rt_histogram turns;
	struct rt_watch *signals; /* NULL: they do what they do without us; signal_fd is open if not */
	int signal_fd;
	rt_signal_cb on_signal;
	void *signal_arg;
};

struct rt_timer
{
	uv_timer_t uv;
	rt_loop_cb fn;
	void *arg;
};

struct rt_watch
{
	uv_poll_t uv;
	rt_watch_cb fn;
	void *arg;
	int events;
	bool closing;
};

static void
add_deferred(struct deferred_list *list, rt_loop_cb fn, void *arg)
{
	if (list->count == list->room)
	{
		list->room = list->room == 0 ? 64 : list->room * 2;
		list->items = rt_realloc(list->items, list->room * sizeof(*list->items));
	}
	list->items[list->count++] = (struct deferred){fn, arg};
}

static void
run_deferred(struct rt_loop *l)
{
	struct deferred_list list = l->waiting;

	l->waiting = l->running;
	l->running = list;
	for (size_t i = 0; i < list.count; i++)
	{
		rt_activity_begin(RT_ACTIVITY_DEFERRED);
		list.items[i].fn(list.items[i].arg);
	}
	l->running.count = 0;
	if (l->waiting.count == 0)
		uv_idle_stop(&l->idle);
}

/* libuv takes the time when a wait ends, and once more before it runs timers. */
static uint64_t
since_update_ms(const struct rt_loop *l)
{
	uint64_t now_ms = rt_clock_us() / 1000;

	return now_ms > uv_now(&l->uv) ? now_ms - uv_now(&l->uv) : 0;
}

static void
on_check(uv_check_t *handle)
{
	struct rt_loop *l = handle->data;

	if (l->waiting.count > 0)
		run_deferred(l);
	l->busy_ms = since_update_ms(l);
}

/* Only its being active matters. */
static void
on_idle(uv_idle_t *handle)
{
	(void) handle;
}

/* A turn is what lies between two waits: descriptors, deferred work, then timers. */
static void
on_prepare(uv_prepare_t *handle)
{
	struct rt_loop *l = handle->data;
	uint64_t turn_ms = l->busy_ms + since_update_ms(l);

	l->busy_ms = 0;
	if (turn_ms > SLOW_TURN_MS)
	{
		l->slow_turns++;
		rt_log(RT_LOG_DEBUG, "loop", "a turn took %llu ms", (unsigned long long) turn_ms);
	}
	rt_histogram_add(&l->turns, turn_ms * 1000);
	rt_activity_begin(RT_ACTIVITY_WAITING);
}

enum rt_result
rt_loop_new(struct rt_loop **lp)
{
	struct rt_loop *l = rt_alloc(sizeof(*l));

	if (uv_loop_init(&l->uv) != 0)
	{
		free(l);
		return RT_INTERNAL;
	}
	uv_check_init(&l->uv, &l->check);
	uv_idle_init(&l->uv, &l->idle);
	uv_prepare_init(&l->uv, &l->prepare);
	l->check.data = l->idle.data = l->prepare.data = l;
	uv_check_start(&l->check, on_check);
	uv_prepare_start(&l->prepare, on_prepare);
	*lp = l;
	return RT_OK;
}

void
rt_loop_free(struct rt_loop *l)
{
	if (l == NULL)
		return;
	while (l->waiting.count > 0)
		run_deferred(l);
	if (l->signals != NULL)
	{
		rt_watch_free(l->signals);
		close(l->signal_fd);
	}
	uv_close((uv_handle_t *) &l->check, NULL);
	uv_close((uv_handle_t *) &l->idle, NULL);
	uv_close((uv_handle_t *) &l->prepare, NULL);
	/* Closed handles are freed by their callbacks, which take a turn. */
	uv_run(&l->uv, UV_RUN_NOWAIT);
	if (uv_loop_close(&l->uv) != 0)
	{
		/* A handle of somebody else is still open; to free the loop under it would be worse than to keep it. */
		rt_log(RT_LOG_WARNING, "loop", "some handles are still open at the end of the program");
		return;
	}
	free(l->waiting.items);
	free(l->running.items);
	free(l);
}

void
rt_loop_run(struct rt_loop *l)
{
	while (!l->stopping)
		uv_run(&l->uv, UV_RUN_DEFAULT);
	l->stopping = false;
}

void
rt_loop_stop(struct rt_loop *l)
{
	l->stopping = true;
	uv_stop(&l->uv);
}

struct uv_loop_s *
rt_loop_uv(struct rt_loop *l)
{
	return &l->uv;
}

uint64_t
rt_loop_now_ms(const struct rt_loop *l)
{
	return uv_now(&l->uv);
}

void
rt_loop_defer(struct rt_loop *l, rt_loop_cb fn, void *arg)
{
	if (l->waiting.count == 0)
		uv_idle_start(&l->idle, on_idle);
	add_deferred(&l->waiting, fn, arg);
}

static void
on_timer(uv_timer_t *handle)
{
	struct rt_timer *t = handle->data;

	rt_activity_begin(RT_ACTIVITY_TIMER);
	t->fn(t->arg);
}

struct rt_timer *
rt_timer_new(struct rt_loop *l, rt_loop_cb fn, void *arg)
{
	struct rt_timer *t = rt_alloc(sizeof(*t));

	uv_timer_init(&l->uv, &t->uv);
	t->uv.data = t;
	t->fn = fn;
	t->arg = arg;
	return t;
}

void
rt_timer_start(struct rt_timer *t, uint64_t delay_ms)
{
	uv_timer_start(&t->uv, on_timer, delay_ms, 0);
}

void
rt_timer_stop(struct rt_timer *t)
{
	uv_timer_stop(&t->uv);
}

static void
on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
rt_timer_free(struct rt_timer *t)
{
	if (t != NULL)
		uv_close((uv_handle_t *) &t->uv, on_timer_closed);
}

static void on_poll(uv_poll_t *handle, int status, int uv_events);

static void
start_poll(struct rt_watch *w)
{
	uv_poll_start(&w->uv,
				  ((w->events & RT_READABLE) != 0 ? UV_READABLE : 0) |
					  ((w->events & RT_WRITABLE) != 0 ? UV_WRITABLE : 0),
				  on_poll);
}

static void
on_poll(uv_poll_t *handle, int status, int uv_events)
{
	struct rt_watch *w = handle->data;
	int events = 0;

	rt_activity_begin(RT_ACTIVITY_DESCRIPTOR);
	if (status < 0)
	{
		/* libuv saw an error and stopped.  The owner learns which one from its next call on the descriptor, and
		 * goes on being told, as a level-triggered watch must. */
		w->fn(w->arg, w->events);
		if (!w->closing && w->events != 0)
			start_poll(w);
		return;
	}
	if ((uv_events & UV_READABLE) != 0)
		events |= RT_READABLE;
	if ((uv_events & UV_WRITABLE) != 0)
		events |= RT_WRITABLE;
	w->fn(w->arg, events);
}

struct rt_watch *
rt_watch_new(struct rt_loop *l, int fd, rt_watch_cb fn, void *arg)
{
	struct rt_watch *w = rt_alloc(sizeof(*w));
	int rc = uv_poll_init(&l->uv, &w->uv, fd);

	if (rc != 0)
	{
		rt_log(RT_LOG_ERROR, "loop", "cannot watch descriptor %d: %s", fd, uv_strerror(rc));
		free(w);
		return NULL;
	}
	w->uv.data = w;
	w->fn = fn;
	w->arg = arg;
	return w;
}

void
rt_watch_set(struct rt_watch *w, int events)
{
	if (w->events == events)
		return;
	w->events = events;
	if (events == 0)
		uv_poll_stop(&w->uv);
	else
		start_poll(w);
}

static void
on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
rt_watch_free(struct rt_watch *w)
{
	if (w == NULL)
		return;
	w->closing = true;
	uv_close((uv_handle_t *) &w->uv, on_watch_closed);
}

const struct rt_histogram *
rt_loop_turns(const struct rt_loop *l)
{
	return &l->turns;
}

uint64_t
rt_loop_slow_turns(const struct rt_loop *l)
{
	return l->slow_turns;
}

static void
on_signals(void *arg, int events)
{
	struct rt_loop *l = arg;
	struct signalfd_siginfo info;

	(void) events;
	while (read(l->signal_fd, &info, sizeof(info)) == (ssize_t) sizeof(info))
		l->on_signal(l->signal_arg, (int) info.ssi_signo);
}

enum rt_result
rt_loop_watch_signals(struct rt_loop *l, rt_signal_cb fn, void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	l->on_signal = fn;
	l->signal_arg = arg;
	l->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (l->signal_fd < 0)
		return RT_INTERNAL;
	l->signals = rt_watch_new(l, l->signal_fd, on_signals, l);
	if (l->signals == NULL)
	{
		close(l->signal_fd);
		return RT_INTERNAL;
	}
	rt_watch_set(l->signals, RT_READABLE);
	return RT_OK;
}
