/* confine_syscalls.h: which system calls a program can make: libseccomp's filter. */
#ifndef RT_CONFINE_SYSCALLS_H
#define RT_CONFINE_SYSCALLS_H

#include "confine_needs.h"

/* 0, or an errno: ENOSYS where the kernel has no filters. */
int rt_confine_syscalls(const struct rt_confine_needs *needs);

void rt_confine_syscalls_no_ring(void); /* see rt_confine_no_ring() */

#endif
