/* hostfile.h: the file of a program that runs on a host of its own: lines `key = 'value'`, as in postgresql.conf.
 *
 * Which keys there are, each program says.  Values are text; numbers are checked where they are used. */
#ifndef RT_HOSTFILE_H
#define RT_HOSTFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "result.h"

#define RT_HOSTFILE_KEYS 12

struct rt_hostfile
{
	const char *const *keys; /* that there may be, NULL behind the last; RT_HOSTFILE_KEYS at most */
	char *values[RT_HOSTFILE_KEYS];
	int lines[RT_HOSTFILE_KEYS]; /* where the value stands; 0: it is not set */
};

/* Reads the file.  Not RT_OK: `error` has "FILE:LINE: what is wrong", and nothing is kept. */
enum rt_result rt_hostfile_read(struct rt_hostfile *f, const char *path, const char *const *keys, char *error,
								size_t size);
/* The same of a text; `path` is for the errors. */
enum rt_result rt_hostfile_parse(struct rt_hostfile *f, const char *path, const char *text, const char *const *keys,
								 char *error, size_t size);
void rt_hostfile_fini(struct rt_hostfile *f); /* values are wiped: one of them has a password */

const char *rt_hostfile_get(const struct rt_hostfile *f, const char *key); /* lent; "" if it is not set */
int rt_hostfile_line(const struct rt_hostfile *f, const char *key);        /* 0: it is not set */

#endif
