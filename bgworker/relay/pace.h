/* pace.h: how long the relay lets events gather before it writes the next batch. */
#ifndef RT_PACE_H
#define RT_PACE_H

#include "postgres.h"

struct rt_pace;

/* Opens a file of /proc, for the life of the process. */
extern struct rt_pace *rt_pace_new(MemoryContext parent);

/* Around the writing of a batch. */
extern void rt_pace_begin(struct rt_pace *p);
extern void rt_pace_end(struct rt_pace *p);

/* After a batch of so many events.  In microseconds; 0: write what is there at once. */
extern uint64 rt_pace_gather_us(const struct rt_pace *p, int events);

#endif
