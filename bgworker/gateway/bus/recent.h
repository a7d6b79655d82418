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

/* "r<room id>", "u<user id>" or "x<message id>"; longer ones are cut, and only found in vain */
#define RT_RECENT_KEY_LEN 160

enum rt_recent_kind
{
	RT_RECENT_PLAIN,
	RT_RECENT_MESSAGE, /* a new-chat-message: concerns sockets that have not joined, too */
	RT_RECENT_UNJOINED /* concerns only those */
};

struct rt_recent_event
{
	uint64_t pos;
	struct rt_frame *frame; /* owned */
	char except[24];        /* the socket that must not get it; "" if none */
	enum rt_recent_kind kind;
};

struct rt_recent *rt_recent_new(size_t limit_bytes);
void rt_recent_free(struct rt_recent *r); /* NULL is fine */

/* Starts over behind this position. */
void rt_recent_reset(struct rt_recent *r, uint64_t floor);
uint64_t rt_recent_floor(const struct rt_recent *r); /* the event at this position is not here, all later ones are */

/* In the order of positions.  References the frame. */
void rt_recent_add(struct rt_recent *r, uint64_t pos, struct rt_frame *f, const char *except,
				   enum rt_recent_kind kind, const char *const *keys, size_t nkeys);

/* The events of one key from behind `after` up to `upto`, the oldest first.  Lent until the next rt_recent_add(). */
typedef void (*rt_recent_cb)(void *arg, const struct rt_recent_event *e);
void rt_recent_each(const struct rt_recent *r, const char *key, uint64_t after, uint64_t upto, rt_recent_cb cb,
					void *arg);

/* What has been said of a message has changed: cb gives a new frame in place of each event of the key, with one
 * reference, or NULL where it stays. */
typedef struct rt_frame *(*rt_recent_change_cb)(void *arg, const struct rt_recent_event *e);
void rt_recent_change(struct rt_recent *r, const char *key, rt_recent_change_cb cb, void *arg);

/* The last position at or behind pos up to which there is no event, as far as known; at least pos, at most upto.
 * Behind a crash or a promotion of the server positions are left out by the million. */
uint64_t rt_recent_skip(const struct rt_recent *r, uint64_t pos, uint64_t upto);

size_t rt_recent_bytes(const struct rt_recent *r);

#endif
