/* recent.h: the last events of the bus, kept for clients that come back.
 *
 * Bounded in bytes; when full, the oldest event goes.  Everything behind rt_recent_floor() is here; each event can
 * be found by the rooms and users that it concerns. */
#ifndef RT_RECENT_H
#define RT_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/gateway/engineio/frame.h"

struct rt_recent;

#define RT_RECENT_KEY_LEN 160 /* "r<room id>" or "u<user id>"; longer ones are cut, and only found in vain */

struct rt_recent_event
{
	uint64_t pos;
	struct rt_frame *frame; /* owned */
	char except[24];        /* the socket that must not get it; "" if none */
	bool message;           /* a new-chat-message: concerns members that have not joined, too */
};

struct rt_recent *rt_recent_new(size_t limit_bytes);
void rt_recent_free(struct rt_recent *r); /* NULL is fine */

/* Starts over behind this position. */
void rt_recent_reset(struct rt_recent *r, uint64_t floor);
uint64_t rt_recent_floor(const struct rt_recent *r); /* the event at this position is not here, all later ones are */

/* In the order of positions.  References the frame. */
void rt_recent_add(struct rt_recent *r, uint64_t pos, struct rt_frame *f, const char *except, bool message,
				   const char *const *keys, size_t nkeys);

/* The events of one key from behind `after` up to `upto`, the oldest first.  Lent until the next rt_recent_add(). */
typedef void (*rt_recent_cb)(void *arg, const struct rt_recent_event *e);
void rt_recent_each(const struct rt_recent *r, const char *key, uint64_t after, uint64_t upto, rt_recent_cb cb,
					void *arg);

size_t rt_recent_bytes(const struct rt_recent *r);

#endif
