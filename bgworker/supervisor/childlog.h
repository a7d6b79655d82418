/* childlog.h: what a program writes to standard error becomes lines of the server log.
 *
 * Bounded: a line has at most RT_CHILDLOG_LINE bytes (the rest of it is left out), and a program may fill the log
 * with RT_CHILDLOG_RATE bytes a second, with a burst; what is above is counted, and told once a second. */
#ifndef RT_CHILDLOG_H
#define RT_CHILDLOG_H

#include "postgres.h"

#define RT_CHILDLOG_LINE 4096
#define RT_CHILDLOG_RATE 32768
#define RT_CHILDLOG_BURST 262144

struct rt_childlog;

/* Called with each line's text, its level cut off.  False: the line was for the owner alone, and is not logged. */
typedef bool (*rt_childlog_cb)(void *arg, const char *text);

/* Takes the descriptor.  The name ("rt_gateway[123]") goes before each line. */
extern struct rt_childlog *rt_childlog_new(int fd, const char *name, rt_childlog_cb on_line, void *arg);
extern void rt_childlog_free(struct rt_childlog *log); /* closes the descriptor; NULL is fine */
extern int rt_childlog_fd(const struct rt_childlog *log);

/* Reads a bounded amount.  False once there will be nothing more. */
extern bool rt_childlog_read(struct rt_childlog *log);

/* Tells what was left out, if a second has gone by since it last did.  True while there is something left to tell. */
extern bool rt_childlog_settle(struct rt_childlog *log);

#endif
