/* child.h: starts a program from a background worker by fork and exec, with nothing of the server left in it. */
#ifndef RT_CHILD_H
#define RT_CHILD_H

#include "postgres.h"

#include "bgworker/common/activity.h"

#define RT_CHILD_CONFIG_FD 3
#define RT_CHILD_SOCKETS_FD (RT_ACTIVITY_FD + 1)
#define RT_CHILD_MAX_SOCKETS 32 /* at descriptors RT_CHILD_SOCKETS_FD and after */

struct rt_child
{
	pid_t pid;
	int config_fd;   /* we write, the child reads; non-blocking */
	int log_fd;      /* the child's stdout and stderr; non-blocking */
	int activity_fd; /* see common/activity.h; -1: there is none */
};

/* title is what ps shows.  The sockets stay open here, too.  False, with errno, where there is no child; whether the
 * program could be executed shows when it ends (exit code 127). */
extern bool rt_child_start(struct rt_child *child, const char *path, const char *title, const int *sockets,
						   int nsockets);

#endif
