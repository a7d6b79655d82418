/* alloc.c: see alloc.h.  It exits instead of returning NULL: a program that the system gives no memory cannot serve,
 * and the supervisor starts it again. Sizes that a peer chooses are checked against a limit before they come here. */
#include "alloc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static void
give_up(unsigned long size)
{
	rt_log(RT_LOG_ERROR, "memory", "out of memory for %lu bytes", size);
	_exit(1);
}

void *
rt_alloc(unsigned long size)
{
	void *p = calloc(1, size == 0 ? 1 : size);

	if (p == NULL)
		give_up(size);
	return p;
}

void *
rt_alloc_resident(unsigned long size)
{
	void *p = rt_alloc(size);

	explicit_bzero(p, size); /* a memset() of what calloc() gave is left out by compilers */
	return p;
}

void *
rt_realloc(void *p, unsigned long size)
{
	void *q = realloc(p, size == 0 ? 1 : size);

	if (q == NULL)
		give_up(size);
	return q;
}

char *
rt_strdup(const char *s)
{
	return rt_strndup(s, strlen(s));
}

char *
rt_strndup(const char *s, unsigned long len)
{
	char *copy = rt_alloc(len + 1);

	memcpy(copy, s, len);
	return copy;
}
