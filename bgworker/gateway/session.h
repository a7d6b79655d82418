/* session.h: from CONNECT to the end of a socket: who may come in, and what is cleared away when one goes.
 *
 * CONNECTs that wait are verified by the database in batches. */
#ifndef RT_SESSION_H
#define RT_SESSION_H

#include <stdbool.h>

#include "socketio.h"

struct rt_app;
struct rt_sessions;

struct rt_sessions *rt_sessions_new(struct rt_app *app);
void rt_sessions_free(struct rt_sessions *ss); /* NULL is fine */

/* Sends what waits, as far as keys, bus and places allow; called when one of these may have changed. */
void rt_sessions_wake(struct rt_sessions *ss);

/* A membership changed: batches under way must not undo it.  user NULL: everybody's. */
void rt_sessions_note_member(struct rt_sessions *ss, const char *room, const char *user, bool member);

/* What the transport tells; arg is the struct rt_app. */
void rt_session_on_connect(void *arg, struct rt_socket *s, const struct rt_socketio_connect *c);
void rt_session_on_disconnect(void *arg, struct rt_socket *s, const char *reason, bool clean);

/* Ends from our side. */
void rt_session_kick_user(struct rt_app *app, const char *user, const char *reason);
void rt_session_kick_socket(struct rt_app *app, const char *sid); /* another connection took its place */

#endif
