/* runner.h: one program under supervision: its process, its settings, its log, and when it is started again. */
#ifndef RT_RUNNER_H
#define RT_RUNNER_H

#include "postgres.h"
#include "utils/timestamp.h"

#include "credential.h"

struct rt_runner;

enum rt_runner_state
{
	RT_RUNNER_IDLE,
	RT_RUNNER_RUNNING,
	RT_RUNNER_STOPPING
};

/* What a runner's program is to be.  Lent for the time of the call. */
struct rt_runner_plan
{
	const char *path;
	const char *line;     /* settings, one line of JSON without its end; holds a secret */
	const char *identity; /* a program whose identity changes is replaced, not reloaded */
	const int *sockets;
	int nsockets;
};

extern struct rt_runner *rt_runner_new(enum rt_program_kind kind, int worker, const char *database);

/* Once a turn: starts, reloads, replaces (plan) or ends (NULL) the program, as far as that is due.  Returns when it
 * wants to be called again at the latest. */
extern TimestampTz rt_runner_turn(struct rt_runner *r, const struct rt_runner_plan *plan);

/* A program that has told that it drains (rt.drain) ends by itself, and its successor is started at once: a runner of
 * the same title takes the place, and this one is only looked after: rt_runner_leave() in place of rt_runner_turn().
 */
extern bool rt_runner_is_leaving(const struct rt_runner *r);
extern struct rt_runner *rt_runner_successor(const struct rt_runner *r);
extern TimestampTz rt_runner_leave(struct rt_runner *r, bool stopping);
extern void rt_runner_free(struct rt_runner *r); /* its program has ended */

extern void rt_runner_ended(struct rt_runner *r, int wait_status); /* for what waitpid() gave for its pid */
extern void rt_runner_kill(struct rt_runner *r);                   /* now, and waits for it; for an exit hook */

/* The descriptor of its log, or -1; and what to do when it is readable. */
extern int rt_runner_log_fd(const struct rt_runner *r);
extern int rt_runner_log_changes(const struct rt_runner *r); /* rises each time that it is opened or closed */
extern void rt_runner_read_log(struct rt_runner *r);

extern enum rt_runner_state rt_runner_state(const struct rt_runner *r);
extern int rt_runner_pid(const struct rt_runner *r);
extern int rt_runner_restarts(const struct rt_runner *r);
extern bool rt_runner_is_ready(const struct rt_runner *r);
extern bool rt_runner_is_silent(const struct rt_runner *r); /* has not answered for seconds: see watchdog.h */
extern TimestampTz rt_runner_since(const struct rt_runner *r);

/* True once after the program has told that it cannot log in. */
extern bool rt_runner_take_login_failure(struct rt_runner *r);

#endif
