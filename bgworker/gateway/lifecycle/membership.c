/* membership.c: see membership.h.
 *
 * A change reaches four places, in this order: clients on their way in (entry.c) and standings that were asked for
 * (renewal.c), joins that the database has not answered yet (joins.c), rooms.  The end of a membership ends the
 * delivery at once: nothing behind it on the bus reaches the user's clients, but for those that were let in again by
 * a later transaction than the one that ended it.
 */
#include "membership.h"

#include <jansson.h>
#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/json.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/clients/joins.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/user.h"
#include "entry.h"
#include "renewal.h"

struct rt_membership_commands
{
	struct rt_membership_uses uses;
};

static void
run_member(void *owner, const json_t *payload)
{
	const struct rt_membership_uses *uses = &((struct rt_membership_commands *) owner)->uses;
	const char *user = rt_json_str(payload, "userId");
	bool member = rt_json_bool(payload, "member", false);
	char room[RT_ID_LEN + 1];
	uint64_t xid = 0;
	struct rt_user *u;

	if (user == NULL || !rt_json_get_id(payload, "roomId", room))
		return;
	rt_entries_note_member(uses->entries, room, user, member);
	(void) rt_json_pos(payload, "xid", &xid);
	rt_renewal_note_member(uses->renewal, room, user, member, xid);
	u = rt_user_find(uses->users, user);
	if (member && u != NULL)
		rt_room_add_member(uses->rooms, room, u);
	if (member)
		return;
	rt_joins_end_membership(uses->joins, room, user, xid);
	if (u != NULL)
		rt_room_remove_member(uses->rooms, room, u, xid);
}

static void
run_room_deleted(void *owner, const json_t *payload)
{
	const struct rt_membership_uses *uses = &((struct rt_membership_commands *) owner)->uses;
	char room[RT_ID_LEN + 1];

	if (!rt_json_get_id(payload, "roomId", room))
		return;
	rt_entries_note_member(uses->entries, room, NULL, false);
	rt_renewal_note_member(uses->renewal, room, NULL, false, 0);
	rt_joins_end_membership(uses->joins, room, NULL, 0);
	rt_room_delete(uses->rooms, room);
}

static const struct rt_command_def commands[] = {
	{"rt:member", run_member},
	{"rt:room-deleted", run_room_deleted},
};

struct rt_membership_commands *
rt_membership_new(const struct rt_membership_uses *uses)
{
	struct rt_membership_commands *m = rt_alloc(sizeof(*m));

	m->uses = *uses;
	rt_commands_add(uses->commands, commands, sizeof(commands) / sizeof(commands[0]), m);
	return m;
}

void
rt_membership_free(struct rt_membership_commands *m)
{
	free(m);
}
