/* leave.h: a client's way out: by itself, by an order of the database, or because its session goes on elsewhere. */
#ifndef RT_LEAVE_H
#define RT_LEAVE_H

#include <stdbool.h>

struct rt_app;
struct rt_socket;

/* What the transport calls; arg is the app. */
void rt_leave_on_disconnect(void *arg, struct rt_socket *s, const char *reason, bool clean);

/* Ends all connections of a user, or that of one socket, whose session another socket has taken over. */
void rt_leave_kick_user(struct rt_app *app, const char *user);
void rt_leave_kick_socket(struct rt_app *app, const char *sid);

#endif
