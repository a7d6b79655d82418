/* thread_place.h: where a transaction finds the threads' rows that it has written, for replies by many statements. */
#ifndef RT_THREAD_PLACE_H
#define RT_THREAD_PLACE_H

/* For _PG_init. */
extern void rt_thread_place_install(void);

#endif
