/* member_count.h: how many members a room has, for the events of a transaction that changes them by many statements.
 */
#ifndef RT_MEMBER_COUNT_H
#define RT_MEMBER_COUNT_H

/* For _PG_init. */
extern void rt_member_count_install(void);

#endif
