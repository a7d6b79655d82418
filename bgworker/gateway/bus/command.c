/* command.c: see command.h.  What is wrong in a command is ours: SQL wrote it. */
#include "command.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/app.h"
#include "bgworker/gateway/clients/auth.h"
#include "bgworker/gateway/ops/drain.h"
#include "bgworker/gateway/clients/joins.h"
#include "bgworker/gateway/lifecycle/leave.h"
#include "notice.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/delivery/route.h"
#include "bgworker/gateway/lifecycle/entry.h"
#include "bgworker/gateway/clients/user.h"

#define MAX_DEFS 32

static const struct rt_command_def *defs[MAX_DEFS];
static size_t ndefs;

void
rt_commands_add_table(const struct rt_command_def *table, size_t n)
{
	for (size_t i = 0; i < n && ndefs < MAX_DEFS; i++)
		defs[ndefs++] = &table[i];
}

/* A user came into a room or left it.  The end of a membership ends the delivery at once. */
static void
run_member(struct rt_app *app, const json_t *payload)
{
	const char *user = rt_json_str(payload, "userId");
	bool member = rt_json_bool(payload, "member", false);
	char room[RT_ID_LEN + 1];
	uint64_t xid = 0;
	struct rt_user *u;

	if (user == NULL || !rt_json_get_id(payload, "roomId", room))
		return;
	rt_entries_note_member(app->entries, room, user, member);
	u = rt_user_find(app->users, user);
	if (member && u != NULL)
		rt_room_add_member(app->rooms, room, u);
	if (member)
		return;
	(void) rt_json_pos(payload, "xid", &xid);
	rt_joins_end_membership(app->joins, room, user, xid);
	if (u != NULL)
		rt_room_remove_member(app->rooms, room, u, xid);
}

static void
run_room_deleted(struct rt_app *app, const json_t *payload)
{
	char room[RT_ID_LEN + 1];

	if (!rt_json_get_id(payload, "roomId", room))
		return;
	rt_entries_note_member(app->entries, room, NULL, false);
	rt_joins_end_membership(app->joins, room, NULL, 0);
	rt_room_delete(app->rooms, room);
}

static void
run_keys(struct rt_app *app, const json_t *payload)
{
	rt_auth_refresh(app->auth);
}

static void
run_disconnect(struct rt_app *app, const json_t *payload)
{
	const char *user = rt_json_str(payload, "userId");
	const char *sid = rt_json_str(payload, "sid");
	const char *gateway = rt_json_str(payload, "gateway");

	/* A socket whose client is back elsewhere, under the same id: only its old gateway is meant. */
	if (gateway != NULL && strcmp(gateway, app->name) != 0)
		return;
	if (sid != NULL)
		rt_leave_kick_socket(app, sid);
	else if (user != NULL)
		rt_leave_kick_user(app, user);
}

static void
run_drain(struct rt_app *app, const json_t *payload)
{
	const char *gateway = rt_json_str(payload, "gateway");
	int64_t spread_ms = rt_json_int(payload, "spreadMs", -1);

	if (gateway != NULL && strcmp(gateway, app->name) == 0 && spread_ms >= 0)
		rt_drain_begin(app->drain, (uint64_t) spread_ms);
}

static const struct rt_command_def commands[] = {
	{"rt:member", run_member}, {"rt:room-deleted", run_room_deleted},
	{"rt:keys", run_keys},     {"rt:disconnect", run_disconnect},
	{"rt:drain", run_drain},
};

void
rt_command_init(void)
{
	rt_commands_add_table(commands, sizeof(commands) / sizeof(commands[0]));
}

static json_t *
payload_of(const struct rt_notice *n)
{
	struct rt_text t;
	json_t *payload;

	rt_text_init(&t);
	rt_text_add(&t, "{");
	rt_text_add_n(&t, n->body, n->body_len);
	payload = rt_json_parse_object(t.data, t.len);
	rt_text_fini(&t);
	return payload;
}

void
rt_command_run(struct rt_app *app, const struct rt_notice *n, const struct rt_route *r)
{
	const char *to = rt_json_str(r->json, "to");
	json_t *payload;

	if (to != NULL && strcmp(to, app->name) != 0)
		return;
	for (size_t i = 0; i < ndefs; i++)
	{
		if (!rt_notice_is(n, defs[i]->name))
			continue;
		payload = payload_of(n);
		defs[i]->run(app, payload);
		json_decref(payload);
		return;
	}
}
