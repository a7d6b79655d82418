/* recover.h: from an offset to the missed events (Socket.IO connection state recovery).
 *
 * A client that comes back gets all that concerned it since its offset, in order, and only then what is new.  What
 * recent.h still has is sent from there, no faster than the client takes it; for older offsets replay.h reads the
 * event log first.  Until it has caught up, a client gets nothing live and its own events are held. */
#ifndef RT_RECOVER_H
#define RT_RECOVER_H

#include <jansson.h>
#include <stdint.h>

struct rt_bus;
struct rt_client;
struct rt_counters;
struct rt_db;
struct rt_client_events;
struct rt_loop;
struct rt_recent;
struct rt_recover;
struct rt_recovery_settings;
struct rt_rooms;

/* What it uses; all is lent, and must live as long. */
struct rt_recover_uses
{
	struct rt_loop *loop;
	struct rt_db *db;
	struct rt_bus *bus;
	const struct rt_recent *recent;
	struct rt_rooms *rooms;
	struct rt_client_events *events;
	struct rt_counters *counters;
	const struct rt_recovery_settings *settings;
};

struct rt_recover *rt_recover_new(const struct rt_recover_uses *uses);
void rt_recover_free(struct rt_recover *rc); /* the database's callbacks must have ended; NULL is fine */

/* The client was accepted as recovered: sends what it missed behind `offset`, then joins it to these rooms (ids).  If
 * it goes meanwhile, rt_recovery_release() tells. */
void rt_recover_begin(struct rt_recover *rc, struct rt_client *c, const json_t *rooms, uint64_t offset);

#endif
