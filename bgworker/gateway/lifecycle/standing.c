/* standing.c: see standing.h.  "rt:lost" comes first, then an "rt:standing" for each connected user: {userId, known,
 * rooms: [id], participants: {id: sid}, xid}.  A join that had seen transaction xid is newer, and stays. */
#include "standing.h"

#include <jansson.h>
#include <stdint.h>

#include "bgworker/common/json.h"
#include "bgworker/gateway/app.h"
#include "bgworker/gateway/clients/auth.h"
#include "bgworker/gateway/bus/command.h"
#include "entry.h"
#include "bgworker/gateway/clients/joins.h"
#include "leave.h"
#include "bgworker/gateway/meetings/meeting.h"
#include "bgworker/gateway/delivery/roaming.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/user.h"

struct rooms
{
	json_t *now;   /* an object with each room that the user is in */
	json_t *ended; /* the others that we have him in */
};

/* Clients that are on their way in, and keys, may be older than what was lost. */
static void
run_lost(struct rt_app *app, const json_t *payload)
{
	rt_entries_ask_anew(app->entries);
	rt_auth_refresh(app->auth);
	rt_roaming_ask_anew(app->roaming);
}

static void
enter_rooms(struct rt_app *app, struct rt_user *u, const json_t *payload, struct rooms *rooms)
{
	const json_t *item;
	char id[RT_ID_LEN + 1];
	size_t i;

	json_array_foreach(rt_json_array(payload, "rooms"), i, item)
	{
		if (!rt_json_id(item, id))
			continue;
		json_object_set_new(rooms->now, id, json_true());
		rt_room_add_member(app->rooms, id, u);
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
review_rooms(struct rt_app *app, struct rt_user *u, const json_t *payload)
{
	struct rooms rooms = {json_object(), json_array()};
	uint64_t xid = 0;
	const json_t *item;
	size_t i;

	(void) rt_json_pos(payload, "xid", &xid);
	enter_rooms(app, u, payload, &rooms);
	rt_rooms_each_membership(u, note_ended, &rooms);
	json_array_foreach(rooms.ended, i, item)
	{
		rt_joins_end_membership(app->joins, json_string_value(item), u->id, xid);
		rt_room_remove_member(app->rooms, json_string_value(item), u, xid);
	}
	json_decref(rooms.now);
	json_decref(rooms.ended);
}

static void
run_standing(struct rt_app *app, const json_t *payload)
{
	const char *id = rt_json_str(payload, "userId");
	struct rt_user *u = id == NULL ? NULL : rt_user_find(app->users, id);

	if (u == NULL)
		return;
	if (!rt_json_bool(payload, "known", true))
	{
		rt_leave_kick_user(app, id);
		return;
	}
	review_rooms(app, u, payload);
	for (struct rt_client *c = u->clients; c != NULL; c = c->next)
		rt_meetings_review(app->meetings, c, rt_json_object(payload, "participants"));
}

static const struct rt_command_def commands[] = {
	{"rt:lost", run_lost},
	{"rt:standing", run_standing},
};

void
rt_standing_init(void)
{
	rt_commands_add_table(commands, sizeof(commands) / sizeof(commands[0]));
}
