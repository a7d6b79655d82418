/* user.h: the connected clients, and the users that they are.
 *
 * A client is one accepted or waiting socket; a user is there while one of their clients is.  The bodies are
 * open because room.c and route.c walk them for each event. */
#ifndef RT_USER_H
#define RT_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/limit.h"

struct rt_held;
struct rt_join;
struct rt_membership;
struct rt_recovery;
struct rt_meeting_seat;
struct rt_socket;
struct rt_typing;
struct rt_user;
struct rt_users;

/* What the database knows of a client's connection: see report.c. */
struct rt_told
{
	int64_t latency_us;
	size_t queued_bytes;
	bool websocket;
};

struct rt_client
{
	uint64_t serial; /* names the client across a database reply; never reused */
	struct rt_socket *socket;
	struct rt_user *user;            /* NULL until the database has let the client in */
	struct rt_client *next, **prevp; /* of the same user */
	struct rt_join *joins;           /* room.c */
	struct rt_recovery *recovery;    /* recover.c; NULL: live */
	struct rt_held *held;            /* event.c: events that wait for one that must end first */
	struct rt_typing *typing;        /* typing.c */
	struct rt_meeting_seat *seats;   /* meeting.c */
	uint32_t njoins;
	uint32_t barriers; /* what must end before the next event is begun: a join, a leave, a recovery */
	struct rt_limit events;
	struct rt_limit faults; /* what it may get wrong before it is cut off */
	bool superseded;        /* another socket has taken over its session: the database is not told of its end */
	struct rt_told told;
	double token_expires_s; /* since 1970; 0: never */
	uint64_t entered_ms;    /* when it was let in */
	char pid[24];           /* session of connection state recovery; empty without one */
};

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

struct rt_client *rt_client_new(struct rt_users *us, struct rt_socket *s);
void rt_client_free(struct rt_users *us, struct rt_client *c);          /* rooms and user must have been left */
struct rt_client *rt_client_find(struct rt_users *us, uint64_t serial); /* NULL if it is gone */

/* Walks all clients, from *pos on, which begins with 0; NULL at the end.  They may change between two calls: one is
 * then left out or met twice. */
struct rt_client *rt_clients_next(const struct rt_users *us, size_t *pos);
size_t rt_clients_count(const struct rt_users *us);

/* Binds the client to its user, who is made if this is their first client: then *first is true. */
struct rt_user *rt_user_enter(struct rt_users *us, struct rt_client *c, const char *id, const char *name,
							  bool *first);
/* Unbinds; the user goes with the last client and must have left the rooms by then: *last tells. */
bool rt_user_is_last(const struct rt_client *c);
void rt_user_leave(struct rt_users *us, struct rt_client *c);

struct rt_user *rt_user_find(struct rt_users *us, const char *id); /* NULL if not connected here */
uint64_t rt_users_mark(struct rt_users *us);                       /* a number that no user bears as mark yet */
size_t rt_users_count(const struct rt_users *us);

/* Walks all users; the set must not change meanwhile. */
struct rt_user *rt_users_next(const struct rt_users *us, size_t *pos);

#endif
