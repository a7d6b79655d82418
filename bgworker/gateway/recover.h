/* recover.h: from an offset to the missed events (Socket.IO connection state recovery).
 *
 * A client that comes back gets all that concerned it since its offset, in order, and only then what is new.  What
 * rt_recent still has is given at once.  For older offsets the event log is read, once for all clients that wait,
 * and handed out page by page; meanwhile such a client gets nothing live and its own events are held. */
#ifndef RT_RECOVER_H
#define RT_RECOVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct rt_app;
struct rt_client;
struct rt_frame;

/* The client was accepted as recovered: joins it to these rooms and sends what it missed behind `offset`. */
void rt_recover_begin(struct rt_app *app, struct rt_client *c, const json_t *rooms, uint64_t offset);
void rt_recover_cancel(struct rt_client *c); /* the client goes; no recovery is fine */

/* Joins the rooms and sends the rest from rt_recent.  False, and nothing done, if that does not reach back. */
bool rt_recover_finish(struct rt_app *app, struct rt_client *c, const json_t *rooms, uint64_t offset);

/* What a member who has not joined gets in place of the message; NULL for its sender. */
struct rt_frame *rt_recover_notification(const struct rt_frame *message, uint64_t pos, const char *user);

/* Up to where the client has got everything: what an event for it alone carries as its offset. */
uint64_t rt_recover_pos(const struct rt_app *app, const struct rt_client *c);

#endif
