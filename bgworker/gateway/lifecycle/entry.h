/* entry.h: a client's way in: CONNECT, and the database's word on it.
 *
 * CONNECTs that wait are put to the database together, so that a storm of them costs few transactions. */
#ifndef RT_ENTRY_H
#define RT_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "bgworker/gateway/socketio/socket.h"

struct rt_app;
struct rt_entries;

struct rt_entries *rt_entries_new(struct rt_app *app);
void rt_entries_free(struct rt_entries *es); /* NULL is fine */

/* What the transport calls; arg is the app. */
void rt_entry_on_connect(void *arg, struct rt_socket *s, const struct rt_socket_handshake *c);

/* Keys were read, or the bus has started: look whether anybody can go in now. */
void rt_entries_wake(struct rt_entries *es);

/* A membership changed; what the database says about a CONNECT that is under way may be older.  user NULL: of
 * everybody in the room. */
void rt_entries_note_member(struct rt_entries *es, const char *room, const char *user, bool member);
/* Such changes were missed: what is under way is put to the database once more. */
void rt_entries_ask_anew(struct rt_entries *es);

#endif
