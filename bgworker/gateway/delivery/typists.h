/* typists.h: who was told to be typing, so that it ends even if nobody says so. */
#ifndef RT_TYPISTS_H
#define RT_TYPISTS_H

#include <stdbool.h>

struct rt_loop;
struct rt_notice;
struct rt_route;
struct rt_typists;

/* Tells the clients here that somebody types no longer: route and notice are lent. */
typedef void (*rt_typists_cb)(void *arg, const struct rt_route *r, const struct rt_notice *n);

struct rt_typists *rt_typists_new(struct rt_loop *l, rt_typists_cb cb, void *arg);
void rt_typists_free(struct rt_typists *ts); /* NULL is fine */

/* An event that is about to be sent, of whatever kind.  False: it says what the clients here were told already, so do
 * not send it. */
bool rt_typists_note(struct rt_typists *ts, const struct rt_route *r, const struct rt_notice *n);

#endif
