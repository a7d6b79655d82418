/* fanout.h: what each user's media costs the worker, over all meetings, and who is limited when all of it is too
 * much.
 *
 * A packet costs one, and one more for each receiver that gets it.  A worker that is over its limits is shared by
 * max-min fairness: users below the fair share are not touched, of those above it the largest lose as much as is too
 * much, video first.  Sound is limited beyond what two talkers send. */
#ifndef RT_FANOUT_H
#define RT_FANOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_fanout;
struct rt_fanout_user;

/* The more, the less goes out. */
enum rt_fanout_limit
{
	RT_FANOUT_ALL,
	RT_FANOUT_LOWEST, /* of each stream its lowest layers */
	RT_FANOUT_NONE
};

#define RT_FANOUT_REASON "the sender's share of the media worker"

struct rt_fanout_handler
{
	double (*lowest)(void *arg); /* the part of a track's packets that are of its lowest layers: 0 to 1 */
	void (*changed)(void *arg);  /* the limit */
	void *arg;
};

/* Of one producer; embedded there, zeroed at first.  The producer counts; the rest is fanout.c's. */
struct rt_fanout_track
{
	uint32_t in, out; /* packets that came, copies that went out: since the last turn */
	uint32_t receivers;
	bool sound;
	enum rt_fanout_limit limit;
	struct rt_fanout_user *user;
	struct rt_fanout_track *next; /* of the user */
	struct rt_fanout_handler handler;
	double in_per_s, out_per_s, wanted; /* wanted: in and out, if nothing were limited */
	double each;                        /* copies of a packet for each receiver, while nothing is limited */
	bool each_known;
	uint64_t settled_us; /* from then on `out` shows again what is wanted */
	enum rt_fanout_limit plan[2];
};

struct rt_fanout *rt_fanout_new(void);
void rt_fanout_free(struct rt_fanout *f); /* NULL is fine; the users are gone */

/* One transport of a user more, and one less. */
struct rt_fanout_user *rt_fanout_join(struct rt_fanout *f, const char *id);
void rt_fanout_leave(struct rt_fanout *f, struct rt_fanout_user *u);

void rt_fanout_add(struct rt_fanout_user *u, struct rt_fanout_track *t, const struct rt_fanout_handler *h);
void rt_fanout_remove(struct rt_fanout_track *t);

/* Some times a second.  used: the part of what the worker may use, of CPU or packets, that it used since the last
 * call; beyond 1 it is too much, and 0 is without limit. */
void rt_fanout_turn(struct rt_fanout *f, double used, uint64_t now_us);
/* False: this packet of sound is not forwarded. */
bool rt_fanout_takes_sound(struct rt_fanout_track *t, uint64_t now_us);

uint64_t rt_fanout_copies(const struct rt_fanout_track *t); /* a second, lately */
size_t rt_fanout_limited(const struct rt_fanout *f);        /* users */

#endif
