/* user.h: the users that have a connected client here.
 *
 * A user is there while one of their clients is.  The body is open because the fan-out walks it for each event. */
#ifndef RT_USER_H
#define RT_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_client;
struct rt_frame;
struct rt_membership;
struct rt_socket;
struct rt_users;

struct rt_user
{
	char *id;
	char *name;
	struct rt_client *clients;
	struct rt_membership *memberships; /* room.c */
	uint64_t mark;                     /* of the last event that walked users; see rt_users_mark() */
	uint32_t nclients;
};

struct rt_users *rt_users_new(void);
void rt_users_free(struct rt_users *us); /* after the last client; NULL is fine */

/* Binds the client to its user, who is made if this is their first client: then *first is true. */
struct rt_user *rt_user_enter(struct rt_users *us, struct rt_client *c, const char *id, const char *name,
							  bool *first);
/* Unbinds; the user goes with the last client and must have left the rooms by then: *last tells. */
bool rt_user_is_last(const struct rt_client *c);
void rt_user_leave(struct rt_users *us, struct rt_client *c);

struct rt_user *rt_user_find(const struct rt_users *us, const char *id); /* NULL if not connected here */
uint64_t rt_users_mark(struct rt_users *us);                             /* a number that no user bears as mark yet */
size_t rt_users_count(const struct rt_users *us);

/* To every live client of the user but one (NULL: to all). One that is still getting what it missed is left out: it
 * has this event before it. */
void rt_user_send(const struct rt_user *u, struct rt_frame *f, const struct rt_socket *except);

#endif
