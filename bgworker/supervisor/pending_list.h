/* pending_list.h: moves new entries of the search index from its pending list to its tree. */
#ifndef RT_PENDING_LIST_H
#define RT_PENDING_LIST_H

struct rt_pending_list;

extern struct rt_pending_list *rt_pending_list_new(void);

/* Once a turn, where the database has the extension in the library's version.  Runs transactions of its own as often
 * as they are due. */
extern void rt_pending_list_turn(struct rt_pending_list *p);

#endif
