/* leave.h: a client's way out: by itself, by an order of the database, or because its session goes on elsewhere. */
#ifndef RT_LEAVE_H
#define RT_LEAVE_H

#include <stdbool.h>

struct rt_auth;
struct rt_clients;
struct rt_commands;
struct rt_conf;
struct rt_counters;
struct rt_leave;
struct rt_loop;
struct rt_meeting_events;
struct rt_presence;
struct rt_rooms;
struct rt_self;
struct rt_socket;
struct rt_sockets;
struct rt_typings;
struct rt_users;

struct rt_leave_settings
{
	bool log_connections;
};

void rt_leave_read_settings(struct rt_leave_settings *s, struct rt_conf *c);

/* What it uses; all is lent, and must live as long. */
struct rt_leave_uses
{
	const struct rt_loop *loop;
	const struct rt_self *self;
	struct rt_auth *auth;
	struct rt_sockets *sockets;
	struct rt_clients *clients;
	struct rt_users *users;
	struct rt_rooms *rooms;
	struct rt_typings *typings;
	struct rt_meeting_events *meeting_events;
	struct rt_presence *presence;
	struct rt_counters *counters;
	struct rt_commands *commands; /* it adds rt:disconnect */
	const struct rt_leave_settings *settings;
};

struct rt_leave *rt_leave_new(const struct rt_leave_uses *uses);
void rt_leave_free(struct rt_leave *l); /* NULL is fine */

/* A socket has ended: its client goes. */
void rt_leave_socket(struct rt_leave *l, struct rt_socket *s, const char *reason, bool clean);

/* Ends all connections of a user, for good: none comes back by itself. */
void rt_leave_end_user(struct rt_leave *l, const char *user);

/* The session of the socket goes on at another one: it ends here, and the database is not told. */
void rt_leave_end_superseded(struct rt_leave *l, const char *sid);

#endif
