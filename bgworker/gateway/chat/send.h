/* send.h: messages that come by REST, grouped.
 *
 * A room takes one commit after the other, so what waits for a room while a batch is under way goes into the next
 * one, and each sender gets its own result.  A queue that is full refuses with `unavailable`. */
#ifndef RT_SEND_H
#define RT_SEND_H

#include <stddef.h>

struct rt_counters;
struct rt_db;
struct rt_send;

/* item: {"status":201,"data":{…}} or {"status":4xx,"error":{…}}; lent.  NULL: code and message tell why. */
typedef void (*rt_send_cb)(void *arg, const char *item, size_t len, const char *code, const char *message);

struct rt_send *rt_send_new(struct rt_db *db, struct rt_counters *counters);
void rt_send_free(struct rt_send *s); /* the database's callbacks must have ended; NULL is fine */

/* req is the text of a JSON object that has been checked to be one; copied. */
void rt_send_message(struct rt_send *s, const char *room, const char *actor, const char *req, size_t len,
					 rt_send_cb cb, void *arg);

#endif
