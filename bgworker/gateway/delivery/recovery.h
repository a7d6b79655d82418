/* recovery.h: one client that came back and has not got everything it missed yet.
 *
 * The body is open to recover.c and replay.c, which hand it to one another: it is owned by the list that it is in.
 *
 * Invariant: all events that concern the client up to `pos` are in its queue or were sent, and none behind it; until
 * it is live nothing else sends it events of the bus. */
#ifndef RT_RECOVERY_H
#define RT_RECOVERY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_client;
struct rt_conf;
struct rt_frame;
struct rt_map;

struct rt_recovery
{
	struct rt_client *client; /* NULL: it has left; whoever has the recovery drops it when its turn comes */
	json_t *rooms;            /* array of ids: that it had joined */
	struct rt_map *joined;    /* the same, by id */
	uint64_t pos;
	bool in_run;              /* replay.c: pages are handed out to it */
	bool is_awaited;          /* recover.c: the bus has been told that the log has more */
	struct rt_recovery *next; /* of the list that owns it */
};

struct rt_recovery_settings
{
	size_t max_queued_bytes; /* of one socket: above it the socket is cut off */
};

void rt_recovery_read_settings(struct rt_recovery_settings *s, struct rt_conf *c);

/* Has the client point to it. */
struct rt_recovery *rt_recovery_new(struct rt_client *c, const json_t *rooms, uint64_t offset);
void rt_recovery_free(struct rt_recovery *r);

/* The client is live, or goes: it and the recovery forget one another. No recovery is fine. */
void rt_recovery_release(struct rt_client *c);

/* How many bytes more the client can take now; 0: it must send off most of what it has first. */
size_t rt_recovery_space_bytes(const struct rt_recovery_settings *s, const struct rt_client *c);

/* What a user's socket that has not joined the room gets: of a message (is_message) in its place; of other events of
 * route "unjoined" these themselves.  One reference; NULL: nothing. */
struct rt_frame *rt_recovery_notification(struct rt_frame *f, bool is_message, uint64_t pos, const char *user);

#endif
