/* fanout.c: see fanout.h.  The engine has one; control.c says several times a second how busy the worker is.
 *
 *   producer ──in, out──> track ──turn──> user: what it wants ──> plan ──> limit ──> producer, allotment
 *
 * What the worker can carry is not configured: it is what it carries now, by the part of its CPU that this takes.  So
 * it follows the machine, the size of packets and the cipher.  What is limited still counts with what it would take,
 * by what comes of it and who is there to get it.  So nothing is let go only to be caught again: it comes back when
 * it sends less, or when there is room for it. */
#include "fanout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "bgworker/common/map.h"

#define NEWEST 0.5         /* the weight of the last turn in a figure */
#define BUSY 0.5           /* below that CPU says little of what packets take */
#define MARGIN 0.85        /* of the capacity, up to which what was limited comes back */
#define STICKS 1.25        /* who is limited counts for so much more, so that two alike do not take turns */
#define NORMAL_SOUND 250.0 /* packets a second: a microphone and a screen's sound, 10 ms each, and some */
#define SOUND_BURST 25.0
#define EFFECT_US 700000       /* until a limit shows in the figures: what waited at the socket comes first */
#define SETTLE_US 2000000      /* until a track that comes back shows what it takes */
#define FIRST_HOLD_US 3000000  /* a limit holds for so long; doubles */
#define MAX_HOLD_US 60000000   /* up to this, */
#define RELAPSE_US 20000000    /* each time that it comes back so soon */
#define LOG_AGAIN_US 10000000u /* between two lines of the log */

enum
{
	NOW,   /* what must be limited */
	LATER, /* what would have to be, with a margin: beyond that, limits end */
	PLANS
};

struct rt_fanout_user
{
	char *id;
	int transports;
	struct rt_fanout_track *tracks;
	int ntracks;
	double wanted, sound_per_s;
	bool limited; /* one of its tracks, or its sound */
	bool sound_limited, sound_plan[PLANS];
	double sound_room; /* packets that may still go out; grows by NORMAL_SOUND a second, up to SOUND_BURST */
	uint64_t sound_us;
	uint64_t hold_us, held_until_us, loosened_us;
};

struct rt_fanout
{
	struct rt_map *users;   /* by id */
	double used, last_used; /* lately, and in the last turn: see rt_fanout_turn() */
	double capacity; /* packets in and out a second, as of the last time that it was busy; 0: it has not been yet */
	uint64_t turned_us, logged_us, tightened_us;
	size_t nlimited;
};

struct rt_fanout *
rt_fanout_new(void)
{
	struct rt_fanout *f = rt_alloc(sizeof(*f));

	f->users = rt_map_new();
	return f;
}

void
rt_fanout_free(struct rt_fanout *f)
{
	if (f == NULL)
		return;
	rt_map_free(f->users);
	free(f);
}

struct rt_fanout_user *
rt_fanout_join(struct rt_fanout *f, const char *id)
{
	struct rt_fanout_user *u = rt_map_find_str(f->users, id);

	if (u == NULL)
	{
		u = rt_alloc(sizeof(*u));
		u->id = rt_strdup(id);
		rt_map_put_str(f->users, u->id, u);
	}
	u->transports++;
	return u;
}

void
rt_fanout_leave(struct rt_fanout *f, struct rt_fanout_user *u)
{
	if (--u->transports > 0)
		return;
	f->nlimited -= u->limited;
	rt_map_take_str(f->users, u->id);
	free(u->id);
	free(u);
}

void
rt_fanout_add(struct rt_fanout_user *u, struct rt_fanout_track *t, const struct rt_fanout_handler *h)
{
	t->user = u;
	t->handler = *h;
	t->each = 1;
	t->next = u->tracks;
	u->tracks = t;
	u->ntracks++;
}

void
rt_fanout_remove(struct rt_fanout_track *t)
{
	struct rt_fanout_track **at = &t->user->tracks;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->user->ntracks--;
}

/* ---- what there is ---- */

static void
smooth(double *mean, double value, double weight)
{
	*mean += (value - *mean) * weight;
}

static void
measure_track(struct rt_fanout_track *t, double took_s, double weight, uint64_t now_us)
{
	bool shows = t->limit == RT_FANOUT_ALL && now_us >= t->settled_us && !(t->sound && t->user->sound_limited);

	if (shows && t->in && t->receivers)
	{
		double each = (double) t->out / ((double) t->in * t->receivers);

		if (t->each_known)
			smooth(&t->each, each, NEWEST);
		else
			t->each = each;
		t->each_known = true;
	}
	smooth(&t->in_per_s, t->in / took_s, weight);
	smooth(&t->out_per_s, t->out / took_s, weight);
	t->in = t->out = 0;
	t->wanted = t->in_per_s + (shows ? t->out_per_s : t->in_per_s * t->receivers * t->each);
	t->plan[NOW] = t->plan[LATER] = RT_FANOUT_ALL;
}

/* Returns what it takes now, in and out. */
static double
measure_user(struct rt_fanout_user *u, double took_s, double weight, uint64_t now_us)
{
	double carried = 0;

	u->wanted = u->sound_per_s = 0;
	u->sound_plan[NOW] = u->sound_plan[LATER] = false;
	for (struct rt_fanout_track *t = u->tracks; t != NULL; t = t->next)
	{
		measure_track(t, took_s, weight, now_us);
		u->wanted += t->wanted;
		u->sound_per_s += t->sound ? t->in_per_s : 0;
		carried += t->in_per_s + t->out_per_s;
	}
	return carried;
}

/* ---- who gets what ---- */

static double
order_of(const struct rt_fanout_user *u)
{
	return u->wanted * (u->limited ? STICKS : 1);
}

static int
by_wanted(const void *a, const void *b)
{
	const struct rt_fanout_user *const *x = a, *const *y = b;

	return ((*x)->wanted < (*y)->wanted) - ((*x)->wanted > (*y)->wanted);
}

static int
by_order(const void *a, const void *b)
{
	double x = order_of(*(struct rt_fanout_user *const *) a), y = order_of(*(struct rt_fanout_user *const *) b);

	return (x < y) - (x > y);
}

static int
by_cost(const void *a, const void *b)
{
	const struct rt_fanout_track *const *x = a, *const *y = b;

	return ((*x)->wanted > (*y)->wanted) - ((*x)->wanted < (*y)->wanted);
}

/* Max-min fairness: the share that, if nobody has more, takes up the capacity.  users: the largest first.  Sets how
 * many of them want more. */
static double
fair_share(struct rt_fanout_user **users, size_t n, double total, double capacity, size_t *above)
{
	double rest = total, share = 0;

	for (*above = 0; *above < n;)
	{
		rest -= users[*above]->wanted;
		++*above;
		share = (capacity - rest) / (double) *above;
		if (*above == n || share >= users[*above]->wanted)
			break;
	}
	return share > 0 ? share : 0;
}

/* Of a track of video, less what only comes. */
static double
cost_of(const struct rt_fanout_track *t, enum rt_fanout_limit limit)
{
	double all = t->wanted - t->in_per_s, lowest;

	if (limit != RT_FANOUT_LOWEST)
		return limit == RT_FANOUT_ALL ? all : 0;
	lowest = t->in_per_s * t->receivers * t->handler.lowest(t->handler.arg);
	return lowest < all ? lowest : all;
}

/* Sound, and what comes whatever goes out.  What is beyond two talkers' sound is left out, if it is too much. */
static double
fit_sound(struct rt_fanout_user *u, double budget, int plan)
{
	double in = 0, sound = 0;

	for (const struct rt_fanout_track *t = u->tracks; t != NULL; t = t->next)
	{
		in += t->in_per_s;
		sound += t->sound ? t->wanted - t->in_per_s : 0;
	}
	if (u->sound_per_s <= NORMAL_SOUND || in + sound <= budget)
		return in + sound;
	u->sound_plan[plan] = true;
	return in + sound * NORMAL_SOUND / u->sound_per_s;
}

/* As much of a user's media as the budget allows: each picture's lowest layers, the cheapest first, and then all of
 * them.  Returns what that takes. */
static double
fit(struct rt_fanout_user *u, double budget, int plan)
{
	struct rt_fanout_track **videos = rt_alloc(((size_t) u->ntracks + 1) * sizeof(struct rt_fanout_track *));
	double used = fit_sound(u, budget, plan);
	size_t n = 0;

	for (struct rt_fanout_track *t = u->tracks; t != NULL; t = t->next)
		if (!t->sound)
		{
			t->plan[plan] = RT_FANOUT_NONE;
			videos[n++] = t;
		}
	qsort(videos, n, sizeof(*videos), by_cost);
	for (int limit = RT_FANOUT_LOWEST; limit >= RT_FANOUT_ALL; limit--)
		for (size_t i = 0; i < n; i++)
		{
			double more =
				cost_of(videos[i], (enum rt_fanout_limit) limit) - cost_of(videos[i], videos[i]->plan[plan]);

			if (videos[i]->plan[plan] != (enum rt_fanout_limit) limit + 1 || used + more > budget)
				continue;
			used += more;
			videos[i]->plan[plan] = (enum rt_fanout_limit) limit;
		}
	free(videos);
	return used;
}

/* users: the largest first. */
static void
make_plan(struct rt_fanout_user **users, size_t n, double total, double capacity, int plan)
{
	size_t above;
	double share = fair_share(users, n, total, capacity, &above), excess = total - capacity;

	if (excess <= 0)
		return;
	qsort(users, above, sizeof(*users), by_order);
	for (size_t i = 0; i < above && excess > 0; i++)
	{
		double budget = users[i]->wanted - excess;

		excess -= users[i]->wanted - fit(users[i], budget > share ? budget : share, plan);
	}
	qsort(users, above, sizeof(*users), by_wanted);
}

/* ---- limits ---- */

static void
set_limit(struct rt_fanout_track *t, enum rt_fanout_limit limit, uint64_t now_us)
{
	if (limit < t->limit)
		t->settled_us = now_us + SETTLE_US;
	t->limit = limit;
	t->handler.changed(t->handler.arg);
}

static void
note_tightened(struct rt_fanout_user *u, uint64_t now_us)
{
	if (u->hold_us && u->loosened_us && now_us - u->loosened_us < RELAPSE_US)
		u->hold_us = u->hold_us * 2 < MAX_HOLD_US ? u->hold_us * 2 : MAX_HOLD_US;
	else
		u->hold_us = FIRST_HOLD_US;
	u->loosened_us = 0;
	u->held_until_us = now_us + u->hold_us;
}

/* Limits begin at once, and end when they have held for a while.  True: one has begun. */
static bool
apply(struct rt_fanout_user *u, uint64_t now_us)
{
	bool may_end = now_us >= u->held_until_us, tightened = u->sound_plan[NOW] && !u->sound_limited, loosened = false;

	if (tightened)
		u->sound_limited = true;
	else if (u->sound_limited && !u->sound_plan[LATER] && may_end)
		u->sound_limited = !(loosened = true);
	u->limited = u->sound_limited;
	for (struct rt_fanout_track *t = u->tracks; t != NULL; t = t->next)
	{
		if (t->plan[NOW] > t->limit)
		{
			tightened = true;
			set_limit(t, t->plan[NOW], now_us);
		}
		else if (t->plan[LATER] < t->limit && may_end)
		{
			loosened = true;
			set_limit(t, t->plan[LATER], now_us);
		}
		u->limited |= t->limit != RT_FANOUT_ALL;
	}
	if (tightened)
		note_tightened(u, now_us);
	else if (loosened)
		u->loosened_us = now_us;
	return tightened;
}

static void
tell(struct rt_fanout *f, const struct rt_fanout_user *largest, double capacity, uint64_t now_us)
{
	if (f->logged_us && now_us - f->logged_us < LOG_AGAIN_US)
		return;
	f->logged_us = now_us;
	rt_log(RT_LOG_WARNING, "fanout",
		   "over its limits: carries about %.0f packets/s; %zu users with more than their share are limited, "
		   "user=\"%s\" "
		   "wants %.0f",
		   capacity, f->nlimited, largest->id, largest->wanted);
}

static struct rt_fanout_user **
list_users(const struct rt_fanout *f)
{
	struct rt_fanout_user **users = rt_alloc((rt_map_count(f->users) + 1) * sizeof(struct rt_fanout_user *)), *u;
	size_t n = 0, pos = 0;

	while ((u = rt_map_next(f->users, &pos)) != NULL)
		users[n++] = u;
	qsort(users, n, sizeof(struct rt_fanout_user *), by_wanted);
	return users;
}

static void
share(struct rt_fanout *f, double total, double capacity, uint64_t now_us)
{
	struct rt_fanout_user **users = list_users(f);
	size_t n = rt_map_count(f->users), before = f->nlimited;

	if (now_us - f->tightened_us >= EFFECT_US)
		make_plan(users, n, total, capacity, NOW);
	make_plan(users, n, total, capacity * MARGIN, LATER);
	f->nlimited = 0;
	for (size_t i = 0; i < n; i++)
	{
		if (apply(users[i], now_us))
			f->tightened_us = now_us;
		f->nlimited += users[i]->limited;
	}
	if (f->nlimited > before)
		tell(f, users[0], capacity, now_us);
	free(users);
}

void
rt_fanout_turn(struct rt_fanout *f, double used, uint64_t now_us)
{
	double took_s = (double) (now_us - f->turned_us) / 1e6, carried = 0, total = 0, capacity;
	double weight = !f->nlimited && used >= 1 && f->last_used >= 1 ? 1 : NEWEST; /* twice is no accident */
	struct rt_fanout_user *u;
	size_t pos = 0;

	if (f->turned_us == 0 || took_s <= 0)
		took_s = 1;
	f->turned_us = now_us;
	while ((u = rt_map_next(f->users, &pos)) != NULL)
	{
		carried += measure_user(u, took_s, weight, now_us);
		total += u->wanted;
	}
	smooth(&f->used, used, weight);
	f->last_used = used;
	capacity = f->used > 0 ? carried / f->used : INFINITY;
	if (f->used >= BUSY)
		f->capacity = capacity;
	else if (capacity < f->capacity)
		capacity = f->capacity;
	if (total > capacity || f->nlimited)
		share(f, total, capacity, now_us);
}

bool
rt_fanout_takes_sound(struct rt_fanout_track *t, uint64_t now_us)
{
	struct rt_fanout_user *u = t->user;

	if (!u->sound_limited)
		return true;
	u->sound_room += NORMAL_SOUND * (double) (now_us - u->sound_us) / 1e6;
	u->sound_us = now_us;
	if (u->sound_room > SOUND_BURST)
		u->sound_room = SOUND_BURST;
	if (u->sound_room < 1)
		return false;
	u->sound_room--;
	return true;
}

uint64_t
rt_fanout_copies(const struct rt_fanout_track *t)
{
	return (uint64_t) t->out_per_s;
}

size_t
rt_fanout_limited(const struct rt_fanout *f)
{
	return f->nlimited;
}
