/* change.h: which messages a transaction has changed.  The numbers of the changes are given when it commits, all of a
 * room's together, however many statements and savepoints they came in. */
#ifndef RT_CHANGE_H
#define RT_CHANGE_H

/* For _PG_init. */
extern void rt_change_install(void);

#endif
