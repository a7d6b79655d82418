/* renewal.h: makes the connections of this gateway known to the database again, after that has given them up.
 *
 * A promoted standby and a server that has crashed know no connections, and those of a gateway that was silent for
 * ten seconds are removed.  The sockets are still here. */
#ifndef RT_RENEWAL_H
#define RT_RENEWAL_H

#include <stdbool.h>
#include <stdint.h>

struct rt_clients;
struct rt_db;
struct rt_leave;
struct rt_loop;
struct rt_renewal;
struct rt_rooms;
struct rt_self;
struct rt_standing;
struct rt_users;

/* What it uses; all is lent, and must live as long. */
struct rt_renewal_uses
{
	struct rt_loop *loop;
	struct rt_db *db;
	const struct rt_self *self;
	const struct rt_clients *clients;
	const struct rt_users *users;
	struct rt_rooms *rooms;
	struct rt_standing *standing;
	struct rt_leave *leave;
};

struct rt_renewal *rt_renewal_new(const struct rt_renewal_uses *uses);
void rt_renewal_free(struct rt_renewal *r); /* the database's callbacks must have ended; NULL is fine */

/* The database knows this gateway again, and none of its connections. */
void rt_renewal_begin(struct rt_renewal *r);

/* A membership changed, by the bus; what the database says of a user meanwhile may be older.  user NULL: of
 * everybody. */
void rt_renewal_note_member(struct rt_renewal *r, const char *room, const char *user, bool member, uint64_t xid);

#endif
