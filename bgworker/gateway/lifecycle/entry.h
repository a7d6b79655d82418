/* entry.h: a client's way in: CONNECT, and the database's word on it.
 *
 * CONNECTs that wait are put to the database together, so that a storm of them costs few transactions. */
#ifndef RT_ENTRY_H
#define RT_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/gateway/socketio/socket.h"

struct rt_auth;
struct rt_bus;
struct rt_clients;
struct rt_conf;
struct rt_counters;
struct rt_db;
struct rt_entries;
struct rt_loop;
struct rt_meeting_events;
struct rt_presence;
struct rt_recover;
struct rt_rooms;
struct rt_self;
struct rt_users;

struct rt_entry_settings
{
	int64_t max_connections_per_user;
	bool log_connections;
};

void rt_entry_read_settings(struct rt_entry_settings *s, struct rt_conf *c);

/* What it uses; all is lent, and must live as long. */
struct rt_entries_uses
{
	const struct rt_loop *loop;
	struct rt_db *db;
	const struct rt_bus *bus;
	const struct rt_self *self;
	struct rt_auth *auth;
	struct rt_clients *clients;
	struct rt_users *users;
	struct rt_rooms *rooms;
	struct rt_presence *presence;
	struct rt_recover *recover;
	struct rt_meeting_events *meeting_events;
	struct rt_counters *counters;
	const struct rt_entry_settings *settings;
};

struct rt_entries *rt_entries_new(const struct rt_entries_uses *uses);
void rt_entries_free(struct rt_entries *es); /* NULL is fine */

/* A socket asks to be let in; it is accepted, refused or broken later, by this module. */
void rt_entry_begin(struct rt_entries *es, struct rt_socket *s, const struct rt_socket_handshake *c);

/* Keys were read, or the bus has started: look whether anybody can go in now. */
void rt_entries_wake(struct rt_entries *es);

/* A membership changed; what the database says about a CONNECT that is under way may be older.  user NULL: of
 * everybody in the room. */
void rt_entries_note_member(struct rt_entries *es, const char *room, const char *user, bool member);
/* Such changes were missed: what is under way is put to the database once more. */
void rt_entries_ask_anew(struct rt_entries *es);

#endif
