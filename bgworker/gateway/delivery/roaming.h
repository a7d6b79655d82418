/* roaming.h: users who are connected to several gateways, and which rooms they have joined at the others.
 *
 * A message in a room that a user has joined anywhere is no notification for the user.  So of such a user each
 * gateway tells the others what is joined at it, whenever that changes: a while after the change, and as a whole. */
#ifndef RT_ROAMING_H
#define RT_ROAMING_H

#include <stdbool.h>

struct rt_commands;
struct rt_db;
struct rt_loop;
struct rt_roaming;
struct rt_rooms;
struct rt_self;
struct rt_user;
struct rt_users;

/* What it uses; all is lent, and must live as long. */
struct rt_roaming_uses
{
	struct rt_loop *loop;
	struct rt_db *db;
	const struct rt_self *self;
	const struct rt_users *users;
	struct rt_rooms *rooms;       /* watched */
	struct rt_commands *commands; /* it adds its own */
};

struct rt_roaming *rt_roaming_new(const struct rt_roaming_uses *uses);
void rt_roaming_free(struct rt_roaming *r); /* NULL is fine; the database's callbacks must have ended */

/* At another gateway. */
bool rt_roaming_is_joined(const struct rt_roaming *r, const char *user, const char *room);
/* A member of the room who has joined it neither here nor there. */
bool rt_roaming_is_unjoined(const struct rt_roaming *r, const struct rt_user *u, const char *room);

/* What the user has joined here may have changed. */
void rt_roaming_note(struct rt_roaming *r, const char *user);

/* What others told may have been missed. */
void rt_roaming_ask_anew(struct rt_roaming *r);

#endif
