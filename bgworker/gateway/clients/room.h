/* room.h: who is joined to which room, and which connected users are its members; the fan-out.
 *
 * "joined" is a client that asked for the room's events; "member" is a connected user whom the database has in
 * the room, joined or not.  A room is there while one of either is.  What the database says about membership
 * arrives by the bus; nothing here asks it. */
#ifndef RT_CLIENTS_ROOM_H
#define RT_CLIENTS_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/gateway/engineio/frame.h"

struct rt_client;
struct rt_room;
struct rt_rooms;
struct rt_snapshot;
struct rt_socket;
struct rt_user;

struct rt_rooms *rt_rooms_new(void);
void rt_rooms_free(struct rt_rooms *rs); /* when all have left; NULL is fine */
size_t rt_rooms_count(const struct rt_rooms *rs);

/* Again is no error.  The client's user becomes a member too, if that was not known yet.  `seen` is what the database
 * had seen when it let the client (NULL: not known); takes a reference. */
void rt_room_join(struct rt_rooms *rs, const char *id, struct rt_client *c, struct rt_snapshot *seen);
void rt_room_leave(struct rt_rooms *rs, const char *id, struct rt_client *c);
void rt_rooms_leave_all(struct rt_rooms *rs, struct rt_client *c);
bool rt_room_is_joined(const struct rt_rooms *rs, const char *id, const struct rt_client *c);

void rt_room_add_member(struct rt_rooms *rs, const char *id, struct rt_user *u);
/* The user's clients leave the room as well, but for those that were let in after this end of a membership, by
 * transaction `xid` (0: not known): then the user is a member again. */
void rt_room_remove_member(struct rt_rooms *rs, const char *id, struct rt_user *u, uint64_t xid);
void rt_rooms_forget_user(struct rt_rooms *rs, struct rt_user *u); /* leaves all rooms */
void rt_room_delete(struct rt_rooms *rs, const char *id);          /* everybody leaves */
bool rt_room_is_member(const struct rt_rooms *rs, const char *id, const struct rt_user *u);

/* Sends to the joined clients but `except` (NULL: to all); how many they were. */
size_t rt_room_send(struct rt_rooms *rs, const char *id, struct rt_frame *f, const struct rt_socket *except);

bool rt_room_has_unjoined(const struct rt_rooms *rs,
						  const char *id); /* maybe: some of them may be getting what they missed */
/* Live clients of members that have not joined, whatever the user's other clients have done. */
typedef void (*rt_room_client_cb)(void *arg, struct rt_client *c);
void rt_room_each_unjoined(const struct rt_rooms *rs, const char *id, rt_room_client_cb cb, void *arg);
typedef void (*rt_room_user_cb)(void *arg, struct rt_user *u);
void rt_room_each_member(struct rt_rooms *rs, const char *id, rt_room_user_cb cb, void *arg);

/* The rooms of one client or user, in no order; cb must not change them. */
typedef void (*rt_room_id_cb)(void *arg, const char *id);
void rt_rooms_each_joined(const struct rt_client *c, rt_room_id_cb cb, void *arg);
void rt_rooms_each_membership(const struct rt_user *u, rt_room_id_cb cb, void *arg);

/* Walks all rooms; the set must not change meanwhile. */
struct rt_room *rt_rooms_next(const struct rt_rooms *rs, size_t *pos);
const char *rt_room_id(const struct rt_room *r);
size_t rt_room_joined_count(const struct rt_room *r);

#endif
