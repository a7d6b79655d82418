/* child.h: starts a program from a background worker by fork and exec, with nothing of the server left in it. */
#ifndef RT_CHILD_H
#define RT_CHILD_H

#include "postgres.h"

#define RT_CHILD_CONFIG_FD 3
#define RT_CHILD_MAX_SOCKETS 32 /* at descriptors 4, 5, … */

struct rt_child
{
	pid_t pid;
	int config_fd; /* we write, the child reads; non-blocking */
	int log_fd;    /* the child's stdout and stderr; non-blocking */
};

/* title is what ps shows.  The sockets stay open here, too.  False, with errno, where there is no child; whether the
 * program could be executed shows when it ends (exit code 127). */
extern bool rt_child_start(struct rt_child *child, const char *path, const char *title, const int *sockets,
						   int nsockets);

#endif
