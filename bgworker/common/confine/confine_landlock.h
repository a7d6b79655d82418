/* confine_landlock.h: which files a program can read, and whom it can connect to and signal: Linux' Landlock. */
#ifndef RT_CONFINE_LANDLOCK_H
#define RT_CONFINE_LANDLOCK_H

#include "confine_needs.h"

/* The Landlock ABI that is in force; 0: the kernel has none, -1: it failed (errno). */
int rt_confine_landlock(const struct rt_confine_needs *needs);

#endif
