/* share.h: what each address and each user takes of what all share: places, memory for bodies, CPU time.
 *
 * A stranger is a connection that has not shown a token.  Strangers are told apart by their address, users by their
 * id. An IPv4 address counts by itself, an IPv6 address with its /64, of which one customer has as many as they want.
 */
#ifndef RT_SHARE_H
#define RT_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "traffic.h"

#define RT_SHARE_ADDRESS_BYTES 46 /* an address as text, and its NUL */

/* So much of a body or message is taken of a stranger, and no more. */
#define RT_SHARE_STRANGER_BODY_BYTES 16384

struct rt_share;  /* of one address or user; counts references */
struct rt_shares; /* all of them */

struct rt_shares *rt_shares_new(const struct rt_traffic_limits *limits, struct rt_traffic *traffic);
void rt_shares_free(struct rt_shares *set); /* no share may be in use; NULL is fine */

/* What one customer has, as text: see above.  A text that is no address stands for itself. */
void rt_share_network(const char *address, char network[RT_SHARE_ADDRESS_BYTES]);

/* A reference each; rt_share_drop() gives it back, and takes NULL. */
struct rt_share *rt_share_of_address(struct rt_shares *set, const char *address);
struct rt_share *rt_share_of_user(struct rt_shares *set, const char *user);
struct rt_share *rt_share_ref(struct rt_share *s);
void rt_share_drop(struct rt_share *s);
bool rt_share_is_stranger(const struct rt_share *s); /* an address */

/* ---- memory ------------------------------------------------------------------------ */

/* What one connection holds of the pool for bodies.  All zero is nothing. */
struct rt_share_hold
{
	struct rt_share *share; /* NULL: nothing is held */
	size_t bytes;
	void (*evict)(struct rt_share_hold *h); /* a user needs the memory: let go of it, by rt_share_release() too */
	struct rt_share_hold *next, **prevp;    /* of strangers */
};

/* From now on h holds so many bytes, at the expense of s.  RT_LIMIT: it would be too much, and nothing has changed.
 */
enum rt_result rt_share_hold(struct rt_share_hold *h, struct rt_share *s, size_t bytes);
void rt_share_release(struct rt_share_hold *h); /* nothing held is fine */

/* ---- CPU time ------------------------------------------------------------------------ */

void rt_share_charge(struct rt_share *s, uint64_t now_us, uint64_t cost_us);
uint32_t rt_share_wait_ms(struct rt_share *s, uint64_t now_us); /* until it may have more; 0: at once */

/* ---- places --------------------------------------------------------------------------- */

/* What a stranger has a place by: a connection, or a session.  All zero is none. */
struct rt_share_guest
{
	bool (*end)(struct rt_share_guest *g); /* at once; false: this one may stay.  Set it before it enters */
	struct rt_share *share;                /* NULL: not among the guests */
	struct rt_share_guest *next, **prevp;
};

void rt_share_enter(struct rt_share_guest *g, struct rt_share *s); /* as the youngest; moves it if it is there */
void rt_share_leave(struct rt_share_guest *g);                     /* not there is fine */

/* When there is no place: ends the oldest guest of the address that has most, give or take a factor of two.  `only`:
 * of those whose end() it is; NULL: of all.  False: there is none that may go. */
bool rt_shares_make_room(struct rt_shares *set, bool (*only)(struct rt_share_guest *g));

#endif
