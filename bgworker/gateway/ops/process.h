/* process.h: what a program costs its host, as metrics of the names that Prometheus' own libraries use. */
#ifndef RT_PROCESS_H
#define RT_PROCESS_H

#include "bgworker/common/text.h"

struct rt_process;

struct rt_process *rt_process_new(void);    /* at the program's start: later it may not open files */
void rt_process_free(struct rt_process *p); /* NULL is fine */
void rt_process_write(const struct rt_process *p, struct rt_text *out, const char *labels);

#endif
