/* revoked.c: see revoked.h
 *
 * Two maps: sid to until when it must be remembered, user to the time.  Both are as long as the database's tables,
 * which hold what has not expired. */
#include "revoked.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/json.h"
#include "bgworker/common/map.h"

#define OWN_SID "rt-"

struct entry
{
	double time_s; /* of a session: until when it counts; of a user: tokens from then or before are refused */
	char name[];
};

struct rt_revoked
{
	struct rt_map *sessions;
	struct rt_map *floors;
};

struct rt_revoked *
rt_revoked_new(void)
{
	struct rt_revoked *r = rt_alloc(sizeof(*r));

	r->sessions = rt_map_new();
	r->floors = rt_map_new();
	return r;
}

void
rt_revoked_free(struct rt_revoked *r)
{
	if (r == NULL)
		return;
	rt_map_free_all(r->sessions);
	rt_map_free_all(r->floors);
	free(r);
}

/* The later time counts. */
static void
add(struct rt_map *m, const char *name, double time_s)
{
	struct entry *e = rt_map_find_str(m, name);

	if (e == NULL)
	{
		e = rt_alloc(sizeof(*e) + strlen(name) + 1);
		strcpy(e->name, name);
		rt_map_put_str(m, e->name, e);
	}
	if (time_s > e->time_s)
		e->time_s = time_s;
}

void
rt_revoked_add_session(struct rt_revoked *r, const char *sid, double until_s)
{
	add(r->sessions, sid, until_s);
}

void
rt_revoked_add_floor(struct rt_revoked *r, const char *user, double issued_after_s)
{
	add(r->floors, user, issued_after_s);
}

/* [[name, time], …] */
static bool
add_pairs(struct rt_map *m, const json_t *pairs)
{
	json_t *pair;
	size_t i;

	if (pairs == NULL)
		return false;
	json_array_foreach(pairs, i, pair)
	{
		const json_t *name = json_array_get(pair, 0);
		const json_t *time = json_array_get(pair, 1);

		if (!json_is_string(name) || !json_is_number(time))
			return false;
		add(m, json_string_value(name), json_number_value(time));
	}
	return true;
}

bool
rt_revoked_add_answer(struct rt_revoked *r, const json_t *answer)
{
	return add_pairs(r->sessions, rt_json_array(answer, "sids")) &&
		   add_pairs(r->floors, rt_json_array(answer, "floors"));
}

void
rt_revoked_forget(struct rt_revoked *r, double now_s)
{
	struct rt_map *kept = rt_map_new();
	struct entry *e;
	size_t pos = 0;

	while ((e = rt_map_next(r->sessions, &pos)) != NULL)
	{
		if (e->time_s > now_s)
			rt_map_put_str(kept, e->name, e);
		else
			free(e);
	}
	rt_map_free(r->sessions);
	r->sessions = kept;
}

bool
rt_revoked_has(const struct rt_revoked *r, const char *sid, const char *user, double issued_s)
{
	const struct entry *floor;

	if (sid != NULL && rt_map_find_str(r->sessions, sid) != NULL)
		return true;
	if (sid != NULL && strncmp(sid, OWN_SID, strlen(OWN_SID)) == 0)
		return false;
	floor = rt_map_find_str(r->floors, user);
	return floor != NULL && issued_s <= floor->time_s;
}
