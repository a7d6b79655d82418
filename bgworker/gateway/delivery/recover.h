/* recover.h: from an offset to the missed events (Socket.IO connection state recovery).
 *
 * A client that comes back gets all that concerned it since its offset, in order, and only then what is new.  What
 * rt_recent still has is sent from there, no faster than the client takes it; for older offsets replay.h reads the
 * event log first.  Until it has caught up, a client gets nothing live and its own events are held. */
#ifndef RT_RECOVER_H
#define RT_RECOVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_app;
struct rt_client;
struct rt_frame;
struct rt_map;
struct rt_recoveries;

/* One client on its way; its body is open to replay.c.  Owned by the list that it is in. */
struct rt_recovery
{
	struct rt_client *client; /* NULL: it has left */
	json_t *rooms;            /* that it had joined */
	struct rt_map *joined;    /* the same, by id */
	uint64_t pos;             /* everything up to here has been sent */
	bool in_run;              /* replay.c */
	struct rt_recovery *next;
};

struct rt_recoveries *rt_recoveries_new(struct rt_app *app);
void rt_recoveries_free(struct rt_recoveries *rv); /* NULL is fine */

/* The client was accepted as recovered: sends what it missed behind `offset`, then joins it to these rooms. */
void rt_recover_begin(struct rt_app *app, struct rt_client *c, const json_t *rooms, uint64_t offset);
void rt_recover_resume(struct rt_app *app, struct rt_recovery *r); /* replay.c has done its part */
void rt_recover_cancel(struct rt_client *c);                       /* the client goes; no recovery is fine */
void rt_recovery_free(struct rt_recovery *r);

/* Up to where the client has got everything: what an event for it alone carries as its offset. */
uint64_t rt_recover_pos(const struct rt_app *app, const struct rt_client *c);

/* How much more the client can take now; 0 if it must send off what it has first. */
size_t rt_recover_room(const struct rt_app *app, const struct rt_client *c);

/* What a member who has not joined gets in place of the message; NULL for its sender. */
struct rt_frame *rt_recover_notification(const struct rt_frame *message, uint64_t pos, const char *user);

#endif
