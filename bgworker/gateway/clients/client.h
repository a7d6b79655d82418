/* client.h: the sockets that the application has accepted, or has not answered yet: a client each.
 *
 * The body is open: a dozen modules hang what they know of a client on it, and each field names its one writer. A
 * client is freed by leave.c when its socket ends, so across a database reply or a timer keep the serial and look it
 * up again. */
#ifndef RT_CLIENT_H
#define RT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth.h"
#include "bgworker/common/limit.h"

struct rt_clients;
struct rt_held;
struct rt_join;
struct rt_meeting_seat;
struct rt_recovery;
struct rt_socket;
struct rt_typing;
struct rt_user;

/* What the database knows of a client's connection; likewise, what there is to know. */
struct rt_told
{
	int64_t latency_us; /* -1: none yet */
	size_t queued_bytes;
	bool websocket;
};

struct rt_client
{
	uint64_t serial; /* names the client across a database reply; never reused */
	struct rt_socket *socket;
	struct rt_user *user;            /* user.c; NULL until the database has let the client in */
	struct rt_client *next, **prevp; /* user.c: of the same user */
	struct rt_join *joins;           /* room.c */
	uint32_t njoins;                 /* room.c */
	uint32_t barriers;               /* client_event.c: what must end before the next event is begun */
	struct rt_recovery *recovery;    /* recover.c; NULL: live */
	const uint64_t *recovered_to;    /* recover.c: up to this position it has got everything; NULL: live */
	struct rt_held *held;            /* client_event.c: events that wait for one that must end first */
	struct rt_limit events;          /* client_event.c */
	struct rt_limit faults;          /* client_event.c: what it may get wrong before it is cut off */
	struct rt_typing *typing;        /* typing.c */
	struct rt_meeting_seat *seats;   /* meeting.c */
	bool superseded;            /* another socket has taken over its session: the database is not told of its end */
	struct rt_told told;        /* entry.c, then report.c */
	struct rt_auth_token token; /* entry.c: what it was let in with; empty until it is verified */
	uint64_t entered_ms;        /* entry.c: when it was let in */
	char pid[24];               /* entry.c: session of connection state recovery; empty without one */
};

struct rt_clients *rt_clients_new(void);
void rt_clients_free(struct rt_clients *cs); /* after the last client; NULL is fine */
size_t rt_clients_count(const struct rt_clients *cs);

struct rt_client *rt_client_new(struct rt_clients *cs, struct rt_socket *s);
void rt_client_free(struct rt_clients *cs, struct rt_client *c); /* rooms and user must have been left */
struct rt_client *rt_client_find(const struct rt_clients *cs, uint64_t serial); /* NULL if it is gone */

/* Walks all clients, from *pos on, which begins with 0; NULL at the end.  They may change between two calls: one is
 * then left out or met twice. */
struct rt_client *rt_clients_next(const struct rt_clients *cs, size_t *pos);

/* Whether the database should learn of what has changed since.  A row is written for each, and idle clients answer 4
 * heartbeats a second for every hundred of them: small changes are left out, but not that nothing waits any more. */
bool rt_client_told_is_old(const struct rt_told *told, const struct rt_told *now);

/* Up to where the client has got everything, the bus being at live_pos: what an event for it alone carries as its
 * offset. */
uint64_t rt_client_pos(const struct rt_client *c, uint64_t live_pos);

#endif
