/* presence.h: who is online, and for whom.
 *
 * The database decides; here is what it cannot know: that a user's last client on this gateway has gone, and that
 * the grace (rt.presence_grace) is over.  Going users are told of in batches.
 *
 * Status events for a user's contacts are sent in windows: the first one at once, those that follow within the
 * window together at its end, and of several for one user only the last.  So N users who come back in t seconds
 * cost each of them at most t / window writes, and not N. */
#ifndef RT_PRESENCE_H
#define RT_PRESENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_bus;
struct rt_conf;
struct rt_db;
struct rt_frame;
struct rt_loop;
struct rt_presence;
struct rt_rooms;
struct rt_route;
struct rt_self;
struct rt_users;

struct rt_presence_settings
{
	uint64_t grace_ms; /* so long after the last client has gone the user is still online */
};

void rt_presence_read_settings(struct rt_presence_settings *s, struct rt_conf *c);

/* What it uses; all is lent, and must live as long. */
struct rt_presence_uses
{
	struct rt_loop *loop;
	struct rt_db *db;
	const struct rt_bus *bus;
	const struct rt_self *self;
	struct rt_users *users;
	struct rt_rooms *rooms;
	const struct rt_presence_settings *settings;
};

struct rt_presence *rt_presence_new(const struct rt_presence_uses *uses);
void rt_presence_free(struct rt_presence *p); /* NULL is fine */

/* A connection that the database knows has gone; `serial` is its client's, `last`: the user has none left on this
 * gateway. */
void rt_presence_gone(struct rt_presence *p, const char *user, const char *sid, uint64_t serial, bool last,
					  bool recoverable);

/* An event with a `contacts` route. */
void rt_presence_send(struct rt_presence *p, const struct rt_route *r, struct rt_frame *f);

#endif
