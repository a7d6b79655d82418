/* roaming.c: see roaming.h.  The database finds the users when they connect, and names them to the gateways that have
 * them: rt:roaming {gateways: [name], userIds: [id]}.  From then on each of these tells rt:joined {gateway, userId,
 * n, rooms: [id]}, of which the highest n counts.  rt:gateway-gone {gateway} ends what a gateway has told. */
#include "roaming.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/db/dbjson.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/user.h"

#define TELL_AFTER_MS 20
#define RETRY_AFTER_MS 1000
#define USERS_MAX 100  /* in one call */
#define ENTER_MS 10000 /* a user who is named, and not let in by then, is not waited for */

/* What another gateway has told. */
struct place
{
	struct place *next;
	char *gateway;
	uint64_t n;
	json_t *rooms; /* an object with each of them */
};

struct roamer
{
	char *id;
	struct place *places;
	struct roamer *next; /* of those that go */
	uint64_t until_ms;   /* it stays so long, though the user is not here: they are named before they are let in */
	bool changed;        /* since it was told */
	bool told;           /* that something is joined */
};

struct rt_roaming
{
	struct rt_roaming_uses uses;
	struct rt_map *users; /* struct roamer by id */
	struct rt_timer *timer;
	uint64_t due_ms; /* 0: the timer does not run */
	uint64_t n;
};

/* ---- what others have told ------------------------------------------------------------------ */

static void
free_place(struct place *p)
{
	json_decref(p->rooms);
	free(p->gateway);
	free(p);
}

static void
free_places(struct roamer *u)
{
	struct place *p;

	while ((p = u->places) != NULL)
	{
		u->places = p->next;
		free_place(p);
	}
}

static void
drop_place(struct roamer *u, const char *gateway)
{
	struct place **link = &u->places;
	struct place *p;

	while ((p = *link) != NULL && strcmp(p->gateway, gateway) != 0)
		link = &p->next;
	if (p == NULL)
		return;
	*link = p->next;
	free_place(p);
}

static struct place *
need_place(struct roamer *u, const char *gateway)
{
	struct place *p = u->places;

	while (p != NULL && strcmp(p->gateway, gateway) != 0)
		p = p->next;
	if (p != NULL)
		return p;
	p = rt_alloc(sizeof(*p));
	p->gateway = rt_strdup(gateway);
	p->rooms = json_object();
	p->next = u->places;
	u->places = p;
	return p;
}

static void
set_rooms(struct place *p, const json_t *rooms)
{
	const json_t *room;
	size_t i;

	json_object_clear(p->rooms);
	json_array_foreach(rooms, i, room)
	{
		if (json_is_string(room))
			json_object_set_new(p->rooms, json_string_value(room), json_true());
	}
}

/* Mostly nobody roams, and then nothing is to be hashed. */
static struct roamer *
find_roamer(const struct rt_roaming *r, const char *id)
{
	return rt_map_count(r->users) == 0 ? NULL : rt_map_find_str(r->users, id);
}

bool
rt_roaming_is_joined(const struct rt_roaming *r, const char *user, const char *room)
{
	const struct roamer *u = find_roamer(r, user);

	for (const struct place *p = u == NULL ? NULL : u->places; p != NULL; p = p->next)
	{
		if (json_object_get(p->rooms, room) != NULL)
			return true;
	}
	return false;
}

bool
rt_roaming_is_unjoined(const struct rt_roaming *r, const struct rt_user *u, const char *room)
{
	return rt_room_is_unjoined(r->uses.rooms, room, u) && !rt_roaming_is_joined(r, u->id, room);
}

/* ---- what is told ------------------------------------------------------------------------------ */

/* Later changes do not put it off. */
static void
schedule(struct rt_roaming *r, uint64_t delay_ms)
{
	uint64_t due_ms = rt_loop_now_ms(r->uses.loop) + delay_ms;

	if (r->due_ms != 0 && r->due_ms <= due_ms)
		return;
	r->due_ms = due_ms;
	rt_timer_start(r->timer, delay_ms);
}

static void
note_change(struct rt_roaming *r, struct roamer *u)
{
	u->changed = true;
	schedule(r, TELL_AFTER_MS);
}

/* What was told last may not have come through. */
static void
note_all(struct rt_roaming *r)
{
	struct roamer *u;
	size_t pos = 0;

	while ((u = rt_map_next(r->users, &pos)) != NULL)
		u->changed = u->told = true;
	schedule(r, RETRY_AFTER_MS);
}

static void
on_answer(void *arg, const struct rt_db_reply *reply)
{
	struct rt_roaming *r = arg;

	if (reply->ok || r->uses.self->ending)
		return;
	rt_log(RT_LOG_DEBUG, "roaming", "not now: %s", reply->message);
	note_all(r);
}

struct walk
{
	const struct rt_rooms *rooms;
	const struct rt_user *user;
	json_t *joined;
};

static void
add_if_joined(void *arg, const char *room)
{
	struct walk *w = arg;

	if (!rt_room_is_unjoined(w->rooms, room, w->user))
		json_array_append_new(w->joined, json_string(room));
}

static json_t *
joined_by(const struct rt_roaming *r, const struct rt_user *user)
{
	struct walk w = {r->uses.rooms, user, json_array()};

	if (user != NULL)
		rt_rooms_each_membership(user, add_if_joined, &w);
	return w.joined;
}

/* False: nothing was and nothing is joined, so there is nothing to tell. */
static bool
tell(struct rt_roaming *r, struct roamer *u, json_t *all)
{
	json_t *rooms = joined_by(r, rt_user_find(r->uses.users, u->id));
	bool told = u->told;

	u->told = json_array_size(rooms) > 0;
	if (told || u->told)
		json_array_append_new(
			all, json_pack("{s:s, s:I, s:O}", "userId", u->id, "n", (json_int_t) ++r->n, "rooms", rooms));
	json_decref(rooms);
	return told || u->told;
}

static void
free_roamer(struct roamer *u)
{
	free_places(u);
	free(u->id);
	free(u);
}

static void
remove_all(struct rt_roaming *r, struct roamer *gone)
{
	struct roamer *u;

	while ((u = gone) != NULL)
	{
		gone = u->next;
		rt_map_take_str(r->users, u->id);
		free_roamer(u);
	}
}

/* Takes both arrays. */
static void
call(struct rt_roaming *r, json_t *joined, json_t *ask)
{
	bool any = json_array_size(joined) + json_array_size(ask) > 0;
	json_t *req = json_pack("{s:s, s:o, s:o}", "gateway", r->uses.self->name, "joined", joined, "ask", ask);

	if (any)
		rt_dbjson_call(r->uses.db, "roaming", req, on_answer, r);
	else
		json_decref(req);
}

/* Whoever is not here is looked at again, until that has been told and the time to come is over.  False: then. */
static bool
tell_or_keep(struct rt_roaming *r, struct roamer *u, json_t *all)
{
	bool told = tell(r, u, all);

	u->changed = rt_user_find(r->uses.users, u->id) == NULL;
	if (u->changed && !told && rt_loop_now_ms(r->uses.loop) >= u->until_ms)
		return false;
	if (u->changed)
		schedule(r, RETRY_AFTER_MS);
	return true;
}

static void
on_timer(void *arg)
{
	struct rt_roaming *r = arg;
	json_t *all = json_array();
	struct roamer *gone = NULL;
	struct roamer *u;
	size_t pos = 0;

	r->due_ms = 0;
	while ((u = rt_map_next(r->users, &pos)) != NULL)
	{
		if (!u->changed)
			continue;
		if (json_array_size(all) == USERS_MAX)
		{
			schedule(r, TELL_AFTER_MS);
			break;
		}
		if (!tell_or_keep(r, u, all))
		{
			u->next = gone;
			gone = u;
		}
	}
	call(r, all, json_array());
	remove_all(r, gone);
}

void
rt_roaming_note(struct rt_roaming *r, const char *user)
{
	struct roamer *u = find_roamer(r, user);

	if (u != NULL)
		note_change(r, u);
}

static void
on_joined_change(void *arg, const struct rt_user *user)
{
	rt_roaming_note(arg, user->id);
}

/* ---- commands -------------------------------------------------------------------------------------- */

static bool
is_named(const json_t *gateways, const char *name)
{
	const json_t *gateway;
	size_t i;

	json_array_foreach(gateways, i, gateway)
	{
		if (json_is_string(gateway) && strcmp(json_string_value(gateway), name) == 0)
			return true;
	}
	return false;
}

static struct roamer *
need_roamer(struct rt_roaming *r, const char *id)
{
	struct roamer *u = find_roamer(r, id);

	if (u != NULL)
		return u;
	u = rt_alloc(sizeof(*u));
	u->id = rt_strdup(id);
	u->until_ms = rt_loop_now_ms(r->uses.loop) + ENTER_MS;
	rt_map_put_str(r->users, u->id, u);
	return u;
}

/* Who has just come knows nothing of what was told before, so it is told again. */
static void
run_roaming(void *owner, const json_t *payload)
{
	struct rt_roaming *r = owner;
	const json_t *user;
	size_t i;

	if (!is_named(rt_json_array(payload, "gateways"), r->uses.self->name))
		return;
	json_array_foreach(rt_json_array(payload, "userIds"), i, user)
	{
		if (json_is_string(user))
			note_change(r, need_roamer(r, json_string_value(user)));
	}
}

static void
run_joined(void *owner, const json_t *payload)
{
	struct rt_roaming *r = owner;
	const char *gateway = rt_json_str(payload, "gateway");
	const char *id = rt_json_str(payload, "userId");
	struct roamer *u = id == NULL ? NULL : find_roamer(r, id);
	uint64_t n = (uint64_t) rt_json_int(payload, "n", 0);
	struct place *p;

	if (u == NULL || gateway == NULL || strcmp(gateway, r->uses.self->name) == 0)
		return;
	p = need_place(u, gateway);
	if (n <= p->n)
		return;
	p->n = n;
	set_rooms(p, rt_json_array(payload, "rooms"));
}

static void
run_gateway_gone(void *owner, const json_t *payload)
{
	struct rt_roaming *r = owner;
	const char *gateway = rt_json_str(payload, "gateway");
	struct roamer *u;
	size_t pos = 0;

	while (gateway != NULL && (u = rt_map_next(r->users, &pos)) != NULL)
		drop_place(u, gateway);
}

static const struct rt_command_def commands[] = {
	{"rt:roaming", run_roaming},
	{"rt:joined", run_joined},
	{"rt:gateway-gone", run_gateway_gone},
};

/* ---- the module ------------------------------------------------------------------------------------ */

void
rt_roaming_ask_anew(struct rt_roaming *r)
{
	json_t *ids = json_array();
	struct roamer *u;
	size_t pos = 0;

	while ((u = rt_map_next(r->users, &pos)) != NULL)
	{
		free_places(u);
		json_array_append_new(ids, json_string(u->id));
	}
	call(r, json_array(), ids);
}

struct rt_roaming *
rt_roaming_new(const struct rt_roaming_uses *uses)
{
	struct rt_roaming *r = rt_alloc(sizeof(*r));

	r->uses = *uses;
	r->users = rt_map_new();
	r->timer = rt_timer_new(uses->loop, on_timer, r);
	rt_rooms_watch(uses->rooms, on_joined_change, r);
	rt_commands_add(uses->commands, commands, sizeof(commands) / sizeof(commands[0]), r);
	return r;
}

void
rt_roaming_free(struct rt_roaming *r)
{
	struct roamer *gone = NULL;
	struct roamer *u;
	size_t pos = 0;

	if (r == NULL)
		return;
	while ((u = rt_map_next(r->users, &pos)) != NULL)
	{
		u->next = gone;
		gone = u;
	}
	remove_all(r, gone);
	rt_map_free(r->users);
	rt_timer_free(r->timer);
	free(r);
}
