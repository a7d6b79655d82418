/* standing.c: see standing.h.
 *
 * The relay has lost commands when its ring was full or the server crashed.  It sends "rt:lost" first, then an
 * "rt:standing" for each connected user:
 *
 *     {userId, known, rooms: [id], participants: {id: sid}, xid}
 *
 * known: false for a user that was removed.  participants: the meetings' participants that are this user, and the
 * socket that acts for each.  xid: the transaction that read this.
 *
 * What must stay true: after its standing a user's clients get nothing from a room or meeting that the standing does
 * not name.  A join that had seen transaction xid is newer than the standing, and stays. */
#include "standing.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/json.h"
#include "bgworker/gateway/clients/auth.h"
#include "bgworker/gateway/bus/command.h"
#include "entry.h"
#include "bgworker/gateway/clients/joins.h"
#include "leave.h"
#include "bgworker/gateway/meetings/meeting.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/user.h"

struct rt_standing
{
	struct rt_standing_uses uses;
};

struct rooms
{
	json_t *now;   /* an object with each room that the user is in */
	json_t *ended; /* array of the others that we have the user in */
};

/* Clients that are on their way in, and keys, may be older than what was lost. */
static void
run_lost(void *owner, const json_t *payload)
{
	const struct rt_standing_uses *uses = &((struct rt_standing *) owner)->uses;
	rt_entries_ask_anew(uses->entries);
	rt_auth_refresh(uses->auth);
}

static void
enter_rooms(const struct rt_standing_uses *uses, struct rt_user *u, const json_t *payload, struct rooms *rooms)
{
	const json_t *item;
	char id[RT_ID_LEN + 1];
	size_t i;

	json_array_foreach(rt_json_array(payload, "rooms"), i, item)
	{
		if (!rt_json_id(item, id))
			continue;
		json_object_set_new(rooms->now, id, json_true());
		rt_room_add_member(uses->rooms, id, u);
	}
}

static void
note_ended(void *arg, const char *id)
{
	struct rooms *rooms = arg;

	if (json_object_get(rooms->now, id) == NULL)
		json_array_append_new(rooms->ended, json_string(id));
}

static void
review_rooms(const struct rt_standing_uses *uses, struct rt_user *u, const json_t *payload)
{
	struct rooms rooms = {json_object(), json_array()};
	uint64_t xid = 0;
	const json_t *item;
	size_t i;

	(void) rt_json_pos(payload, "xid", &xid);
	enter_rooms(uses, u, payload, &rooms);
	rt_rooms_each_membership(u, note_ended, &rooms);
	json_array_foreach(rooms.ended, i, item)
	{
		rt_joins_end_membership(uses->joins, json_string_value(item), u->id, xid);
		rt_room_remove_member(uses->rooms, json_string_value(item), u, xid);
	}
	json_decref(rooms.now);
	json_decref(rooms.ended);
}

void
rt_standing_apply(struct rt_standing *st, const json_t *payload)
{
	const struct rt_standing_uses *uses = &st->uses;
	const char *id = rt_json_str(payload, "userId");
	struct rt_user *u = id == NULL ? NULL : rt_user_find(uses->users, id);

	if (u == NULL)
		return;
	if (!rt_json_bool(payload, "known", true))
	{
		rt_leave_end_user(uses->leave, id);
		return;
	}
	review_rooms(uses, u, payload);
	for (struct rt_client *c = u->clients; c != NULL; c = c->next)
		rt_meetings_review(uses->meetings, c, rt_json_object(payload, "participants"));
}

static void
run_standing(void *owner, const json_t *payload)
{
	rt_standing_apply(owner, payload);
}

static const struct rt_command_def commands[] = {
	{"rt:lost", run_lost},
	{"rt:standing", run_standing},
};

struct rt_standing *
rt_standing_new(const struct rt_standing_uses *uses)
{
	struct rt_standing *st = rt_alloc(sizeof(*st));

	st->uses = *uses;
	rt_commands_add(uses->commands, commands, sizeof(commands) / sizeof(commands[0]), st);
	return st;
}

void
rt_standing_free(struct rt_standing *st)
{
	free(st);
}
