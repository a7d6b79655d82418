/* loop.h: the one event loop of a program: descriptors, timers, signals, deferred work, lag.  Wraps libuv, which
 * libwebsockets shares.  Single-threaded; everything here is called from the loop's own turn. */
#ifndef RT_LOOP_H
#define RT_LOOP_H

#include <stdint.h>

#include "result.h"

struct rt_histogram;
struct rt_loop;
struct rt_timer;
struct rt_watch;
struct uv_loop_s;

typedef void (*rt_loop_cb)(void *arg);
typedef void (*rt_watch_cb)(void *arg, int events);
typedef void (*rt_signal_cb)(void *arg, int signo);

#define RT_READABLE 1
#define RT_WRITABLE 2

enum rt_result rt_loop_new(struct rt_loop **lp);
void rt_loop_free(struct rt_loop *l); /* frees what is deferred; timers and watches must be gone */
void rt_loop_run(struct rt_loop *l);  /* until rt_loop_stop() */
void rt_loop_stop(struct rt_loop *l);
/* SIGTERM, SIGINT and SIGHUP are blocked, and each calls fn from a turn of the loop.  Once a loop, before the program
 * has other threads. */
enum rt_result rt_loop_watch_signals(struct rt_loop *l, rt_signal_cb fn, void *arg);
struct uv_loop_s *rt_loop_uv(struct rt_loop *l); /* lent, for the library that shares it */

uint64_t rt_loop_now_ms(const struct rt_loop *l); /* monotonic, as of this turn */

/* Runs fn(arg) when the current turn ends, before the loop waits again.  The way to free an object that
 * is still on the stack. */
void rt_loop_defer(struct rt_loop *l, rt_loop_cb fn, void *arg);

/* One-shot; restart it in the callback for a period.  Starting a running timer moves it. */
struct rt_timer *rt_timer_new(struct rt_loop *l, rt_loop_cb fn, void *arg);
void rt_timer_start(struct rt_timer *t, uint64_t delay_ms);
void rt_timer_stop(struct rt_timer *t);
void rt_timer_free(struct rt_timer *t); /* NULL is fine */

/* Level-triggered.  events is a set of RT_READABLE and RT_WRITABLE; 0 keeps the watch and asks for nothing.  An
 * error on the descriptor is told as the events that were asked for.  NULL if the descriptor cannot be watched. */
struct rt_watch *rt_watch_new(struct rt_loop *l, int fd, rt_watch_cb fn, void *arg);
void rt_watch_set(struct rt_watch *w, int events);
void rt_watch_free(struct rt_watch *w); /* before the descriptor is closed; NULL is fine */

/* Turns by their length, to a millisecond, and how many took longer than 20 ms; for the metrics. */
const struct rt_histogram *rt_loop_turns(const struct rt_loop *l);
uint64_t rt_loop_slow_turns(const struct rt_loop *l);

#endif
