/* share.c: shares of addresses and users in what the gateway has for all.
 *
 * httpconn.c and websocket.c ask before they keep what a client sends, httpconn.c before it spends time on a
 * stranger's request, and network.c when there is no place for a connection.
 *
 * Memory for bodies and messages that are not complete (RT_TRAFFIC_MAX_HELD_BYTES):
 *
 *     all strangers    a tenth
 *     an address       a hundredth
 *     a user           a hundredth, but always one message of limits->max_payload_bytes
 *
 * So a user finds nine tenths free of strangers; and if users fill even that, what strangers hold goes first, the
 * oldest before the others.  traffic->held_bytes is the sum over all holds, stranger_bytes that over strangers'.
 *
 * CPU time: an address has CPU_SHARE of the time that passes, and may save CPU_BURST_US of it.  `spent_us` is what it
 * has had beyond its share; above the burst it waits.  Since what is granted follows the time that has passed, one
 * turn of the loop cannot be long because of one address, however many connections that has.
 *
 * Places: guests are in the list of their address, the oldest first, and addresses in a list by the binary logarithm
 * of their number of guests, so that one with most is found at once.
 *
 * A share lives while something refers to it.  Addresses are kept a while longer, NAMES_MAX of them, so that what one
 * has spent is not forgotten with its connection. */
#include "share.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/map.h"

#define STRANGERS_BYTES (RT_TRAFFIC_MAX_HELD_BYTES / 10)
#define ONE_BYTES (RT_TRAFFIC_MAX_HELD_BYTES / 100)
#define CPU_SHARE 0.25
#define CPU_BURST_US 100000
#define NAMES_MAX 20000 /* addresses that are kept though nothing refers to them */
#define CROWDS 32
#define LOOKS_MAX 1000 /* at guests that may not go, for one that may */

struct rt_share
{
	struct rt_shares *set;
	char *key; /* "a<network>" or "u<user>" */
	uint32_t refs;
	uint32_t nguests;
	size_t held_bytes;
	double spent_us;
	uint64_t spent_at_us;
	struct rt_share_guest *guests, **last_guest;
	struct rt_share *next, **prevp; /* of those with about as many guests; or of those that nothing refers to */
};

struct rt_shares
{
	const struct rt_traffic_limits *limits;
	struct rt_traffic *traffic;
	struct rt_map *by_key;
	struct rt_share *crowds[CROWDS];        /* by the logarithm of their guests */
	struct rt_share *unused, **last_unused; /* the one that is longest so first */
	size_t nunused;
	struct rt_share_hold *strangers, **last_stranger; /* that hold something, the oldest first */
};

struct rt_shares *
rt_shares_new(const struct rt_traffic_limits *limits, struct rt_traffic *traffic)
{
	struct rt_shares *set = rt_alloc(sizeof(*set));

	set->limits = limits;
	set->traffic = traffic;
	set->by_key = rt_map_new();
	set->last_unused = &set->unused;
	set->last_stranger = &set->strangers;
	return set;
}

/* ---- shares ------------------------------------------------------------------------- */

static void
unlink_share(struct rt_share *s)
{
	if (s->prevp == NULL)
		return;
	*s->prevp = s->next;
	if (s->next != NULL)
		s->next->prevp = s->prevp;
	else if (s->set->last_unused == &s->next)
		s->set->last_unused = s->prevp;
	s->next = NULL;
	s->prevp = NULL;
}

static void
free_share(struct rt_share *s)
{
	unlink_share(s);
	rt_map_take_str(s->set->by_key, s->key);
	free(s->key);
	free(s);
}

static void
free_unused(struct rt_shares *set, size_t most)
{
	while (set->nunused > most)
	{
		set->nunused--;
		free_share(set->unused);
	}
}

void
rt_shares_free(struct rt_shares *set)
{
	if (set == NULL)
		return;
	free_unused(set, 0);
	assert(rt_map_count(set->by_key) == 0);
	rt_map_free(set->by_key);
	free(set);
}

static struct rt_share *
get(struct rt_shares *set, char kind, const char *name)
{
	size_t len = strlen(name);
	char *key = rt_alloc(len + 2);
	struct rt_share *s;

	key[0] = kind;
	memcpy(key + 1, name, len);
	s = rt_map_find_str(set->by_key, key);
	if (s != NULL)
	{
		free(key);
		return rt_share_ref(s);
	}
	s = rt_alloc(sizeof(*s));
	s->set = set;
	s->key = key;
	s->refs = 1;
	s->last_guest = &s->guests;
	rt_map_put_str(set->by_key, key, s);
	return s;
}

void
rt_share_network(const char *address, char network[RT_SHARE_ADDRESS_BYTES])
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	unsigned char bytes[16];

	snprintf(network, RT_SHARE_ADDRESS_BYTES, "%s", address);
	if (inet_pton(AF_INET6, address, bytes) != 1)
		return;
	if (memcmp(bytes, mapped, sizeof(mapped)) == 0)
	{
		inet_ntop(AF_INET, bytes + 12, network, RT_SHARE_ADDRESS_BYTES);
		return;
	}
	memset(bytes + 8, 0, 8);
	inet_ntop(AF_INET6, bytes, network, RT_SHARE_ADDRESS_BYTES);
}

struct rt_share *
rt_share_of_address(struct rt_shares *set, const char *address)
{
	char network[RT_SHARE_ADDRESS_BYTES];

	rt_share_network(address, network);
	return get(set, 'a', network);
}

struct rt_share *
rt_share_of_user(struct rt_shares *set, const char *user)
{
	return get(set, 'u', user);
}

struct rt_share *
rt_share_ref(struct rt_share *s)
{
	if (s->refs++ == 0)
	{
		unlink_share(s);
		s->set->nunused--;
	}
	return s;
}

void
rt_share_drop(struct rt_share *s)
{
	struct rt_shares *set;

	if (s == NULL || --s->refs > 0)
		return;
	set = s->set;
	assert(s->held_bytes == 0 && s->nguests == 0);
	if (!rt_share_is_stranger(s))
	{
		free_share(s);
		return;
	}
	s->prevp = set->last_unused;
	*set->last_unused = s;
	set->last_unused = &s->next;
	set->nunused++;
	free_unused(set, NAMES_MAX);
}

bool
rt_share_is_stranger(const struct rt_share *s)
{
	return s->key[0] == 'a';
}

/* ---- memory --------------------------------------------------------------------------- */

static void
link_hold(struct rt_shares *set, struct rt_share_hold *h)
{
	h->next = NULL;
	h->prevp = set->last_stranger;
	*set->last_stranger = h;
	set->last_stranger = &h->next;
}

static void
unlink_hold(struct rt_shares *set, struct rt_share_hold *h)
{
	*h->prevp = h->next;
	if (h->next != NULL)
		h->next->prevp = h->prevp;
	else
		set->last_stranger = h->prevp;
}

/* Within its own share, `more` added: one message always is. */
static bool
fits_share(const struct rt_share_hold *h, const struct rt_share *s, size_t bytes)
{
	size_t others = s->held_bytes - (h->share == s ? h->bytes : 0);

	return others == 0 || others + bytes <= ONE_BYTES;
}

/* A user's memory is taken from strangers while there are any that hold some. */
static bool
fits_pool(struct rt_shares *set, const struct rt_share *s, size_t more)
{
	struct rt_traffic *traffic = set->traffic;

	if (rt_share_is_stranger(s))
		return traffic->stranger_bytes + more <= STRANGERS_BYTES &&
			   traffic->held_bytes + more <= RT_TRAFFIC_MAX_HELD_BYTES;
	while (traffic->held_bytes + more > RT_TRAFFIC_MAX_HELD_BYTES && set->strangers != NULL)
	{
		struct rt_share_hold *oldest = set->strangers;

		traffic->evicted++;
		oldest->evict(oldest);
		assert(set->strangers != oldest);
	}
	return traffic->held_bytes + more <= RT_TRAFFIC_MAX_HELD_BYTES;
}

enum rt_result
rt_share_hold(struct rt_share_hold *h, struct rt_share *s, size_t bytes)
{
	struct rt_shares *set = s->set;
	size_t more;

	if (h->share != NULL && h->share != s)
		rt_share_release(h);
	more = bytes > h->bytes ? bytes - h->bytes : 0;
	if (more > 0 && (!fits_share(h, s, bytes) || !fits_pool(set, s, more)))
		return RT_LIMIT;
	if (h->share == NULL)
	{
		h->share = rt_share_ref(s);
		if (rt_share_is_stranger(s))
			link_hold(set, h);
	}
	set->traffic->held_bytes += bytes - h->bytes;
	s->held_bytes += bytes - h->bytes;
	if (rt_share_is_stranger(s))
		set->traffic->stranger_bytes += bytes - h->bytes;
	h->bytes = bytes;
	return RT_OK;
}

void
rt_share_release(struct rt_share_hold *h)
{
	struct rt_share *s = h->share;

	if (s == NULL)
		return;
	s->set->traffic->held_bytes -= h->bytes;
	s->held_bytes -= h->bytes;
	if (rt_share_is_stranger(s))
	{
		s->set->traffic->stranger_bytes -= h->bytes;
		unlink_hold(s->set, h);
	}
	h->share = NULL;
	h->bytes = 0;
	rt_share_drop(s);
}

/* ---- CPU time ---------------------------------------------------------------------------- */

static void
pay_off(struct rt_share *s, uint64_t now_us)
{
	s->spent_us -= (double) (now_us - s->spent_at_us) * CPU_SHARE;
	if (s->spent_us < 0)
		s->spent_us = 0;
	s->spent_at_us = now_us;
}

void
rt_share_charge(struct rt_share *s, uint64_t now_us, uint64_t cost_us)
{
	pay_off(s, now_us);
	s->spent_us += (double) cost_us;
}

uint32_t
rt_share_wait_ms(struct rt_share *s, uint64_t now_us)
{
	pay_off(s, now_us);
	return s->spent_us <= CPU_BURST_US ? 0 : (uint32_t) ((s->spent_us - CPU_BURST_US) / CPU_SHARE / 1000) + 1;
}

/* ---- places ------------------------------------------------------------------------------- */

static int
crowd_of(uint32_t nguests)
{
	return 31 - __builtin_clz(nguests);
}

/* After its number of guests has changed from `before`. */
static void
move_crowd(struct rt_share *s, uint32_t before)
{
	struct rt_share **first;

	if (before > 0 && s->nguests > 0 && crowd_of(before) == crowd_of(s->nguests))
		return;
	unlink_share(s);
	if (s->nguests == 0)
		return;
	first = &s->set->crowds[crowd_of(s->nguests)];
	s->next = *first;
	s->prevp = first;
	if (s->next != NULL)
		s->next->prevp = &s->next;
	*first = s;
}

void
rt_share_enter(struct rt_share_guest *g, struct rt_share *s)
{
	rt_share_leave(g);
	g->share = rt_share_ref(s);
	g->next = NULL;
	g->prevp = s->last_guest;
	*s->last_guest = g;
	s->last_guest = &g->next;
	s->nguests++;
	move_crowd(s, s->nguests - 1);
}

void
rt_share_leave(struct rt_share_guest *g)
{
	struct rt_share *s = g->share;

	if (s == NULL)
		return;
	*g->prevp = g->next;
	if (g->next != NULL)
		g->next->prevp = g->prevp;
	else
		s->last_guest = g->prevp;
	g->share = NULL;
	s->nguests--;
	move_crowd(s, s->nguests + 1);
	rt_share_drop(s);
}

bool
rt_shares_make_room(struct rt_shares *set, bool (*only)(struct rt_share_guest *g))
{
	int looks = 0;

	for (int i = CROWDS - 1; i >= 0; i--)
		for (struct rt_share *s = set->crowds[i]; s != NULL; s = s->next)
			for (struct rt_share_guest *g = s->guests; g != NULL; g = g->next)
			{
				if ((only == NULL || g->end == only) && g->end(g))
				{
					set->traffic->made_room++;
					return true;
				}
				if (++looks == LOOKS_MAX)
					return false;
			}
	return false;
}
