/* meeting_event.c: see meeting_event.h.  client_event.c and command.c call the handlers, entry.c and leave.c the two
 * functions.
 *
 * A client's meeting events are barriers for one another, so that of two in a row (a hand up, and down again) the
 * database sees the second one last.
 *
 * Who is in a meeting is the database's word: a seat is entered and left by commands of the bus, never by the answer
 * of an event.  A client that goes while its join is under way is told to the database as dropped, so that its place
 * is not kept for a socket that is gone. */
#include "meeting_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/client_event.h"
#include "meeting.h"
#include "bgworker/gateway/chat/typing.h"
#include "bgworker/gateway/text/json_scan.h"
#include "bgworker/gateway/clients/user.h"

struct rt_meeting_events
{
	struct rt_meeting_events_uses uses;
};

static struct rt_meeting_events *
owner_of(const struct rt_client_event *e)
{
	return e->owner;
}

/* ---- dropped sockets ---------------------------------------------------------------------- */

static void
on_place_kept(void *arg, const struct rt_db_reply *reply)
{
	/* Without it the places are kept until this gateway counts as dead, or for ever: ours to look into. */
	if (!reply->ok)
		rt_log(RT_LOG_WARNING, "meeting", "could not tell the database that a participant's socket was dropped: %s",
			   reply->message);
}

static void
tell_dropped(const struct rt_meeting_events *me, const char *user, const char *sid)
{
	struct rt_text req;

	rt_text_init(&req);
	rt_text_add(&req, "{\"sid\":");
	rt_text_quote(&req, sid);
	rt_text_add(&req, ",\"gateway\":");
	rt_text_quote(&req, me->uses.self->name);
	rt_text_add(&req, "}");
	rt_db_call(me->uses.db, RT_DB_FAST, "meeting_disconnected", user, req.data, req.len, on_place_kept, NULL);
	rt_text_fini(&req);
}

void
rt_meeting_events_gone(struct rt_meeting_events *me, struct rt_client *c, bool dropped)
{
	if (dropped && c->seats != NULL)
		tell_dropped(me, c->user->id, rt_socket_id(c->socket));
	rt_meetings_leave_all(me->uses.meetings, c);
}

/* ---- join-meeting, leave-meeting ------------------------------------------------------------ */

/* What must be known once the client may have gone. */
struct join
{
	char meeting[RT_ID_LEN + 1];
	char *user;
	char *sid;
};

static void
free_join(struct join *j)
{
	free(j->user);
	free(j->sid);
	free(j);
}

/* A refusal that the database has kept, as of a wrong password, comes as an answer and not as an error. */
static json_t *
refusal_of(const struct rt_db_reply *reply)
{
	struct rt_json_pick picked = {.key = "error"};
	struct rt_json_rest rest;

	if (!reply->ok || rt_json_scan_split(reply->json, reply->json_len, &picked, 1, &rest) != RT_OK ||
		picked.value.text == NULL)
		return NULL;
	return rt_json_parse_object(picked.value.text, picked.value.len);
}

static void
answer_join(struct rt_client_event *e, const struct rt_db_reply *reply, const json_t *refusal)
{
	const char *code = rt_json_str(refusal, "code");
	const char *message = rt_json_str(refusal, "message");

	if (refusal == NULL)
		rt_client_event_answer_reply(e, reply);
	else
		rt_client_event_fail(e, code == NULL ? "internal" : code, message == NULL ? "Internal error" : message);
}

static void
on_joined(void *arg, const struct rt_db_reply *reply)
{
	struct rt_client_event *e = arg;
	struct rt_meeting_events *me = owner_of(e);
	struct rt_client *c = rt_client_event_client(e);
	struct join *j = e->data;
	json_t *refusal = refusal_of(reply);
	bool joined = reply->ok && refusal == NULL;

	if (c == NULL && joined)
		tell_dropped(me, j->user, j->sid);
	answer_join(e, reply, refusal);
	json_decref(refusal);
	if (c != NULL)
		rt_meeting_settle(me->uses.meetings, j->meeting, c, joined, rt_client_pos(c, rt_bus_pos(me->uses.bus)));
	free_join(j);
}

/* Checking a password takes long by design; chat must not wait behind it. */
static enum rt_db_lane
lane_of(const struct rt_client_event *e)
{
	bool password = rt_client_event_has_string(e, "password") || rt_client_event_has_string(e, "meeting_password");

	return password ? RT_DB_SLOW : RT_DB_FAST;
}

static void
handle_join(struct rt_client_event *e)
{
	struct rt_client *c = rt_client_event_client(e);
	struct join *j = rt_alloc(sizeof(*j));

	if (rt_client_event_id(e, "meetingId", j->meeting))
	{
		j->user = rt_strdup(c->user->id);
		j->sid = rt_strdup(rt_socket_id(c->socket));
		e->data = j;
		rt_meeting_expect(owner_of(e)->uses.meetings, j->meeting, c);
		rt_client_event_call_with(e, lane_of(e), "meeting_join", NULL, on_joined, e);
	}
	else
	{
		free(j);
		rt_client_event_fail(e, "bad_request", "meetingId must be a meeting's id");
	}
}

static void
handle_leave(struct rt_client_event *e)
{
	struct rt_client *c = rt_client_event_client(e);
	char meeting[RT_ID_LEN + 1];

	if (rt_client_event_id(e, "meetingId", meeting))
	{
		rt_typing_end(owner_of(e)->uses.typings, c, RT_TYPING_MEETING, meeting);
		rt_client_event_call(e, "meeting_leave", NULL);
	}
	else
		rt_client_event_fail(e, "bad_request", "meetingId must be a meeting's id");
}

void
rt_meeting_events_resume(struct rt_meeting_events *me, struct rt_client *c, const json_t *meetings)
{
	const json_t *item;
	char id[RT_ID_LEN + 1];
	char req[64];
	size_t i;

	json_array_foreach(meetings, i, item)
	{
		if (!rt_json_id(item, id))
			continue;
		snprintf(req, sizeof(req), "{\"meetingId\":\"%s\"}", id);
		rt_client_event_inject(me->uses.events, c, "join-meeting", req);
	}
}

/* ---- typing ----------------------------------------------------------------------------------- */

static void
handle_typing(struct rt_client_event *e)
{
	char meeting[RT_ID_LEN + 1];
	bool typing;

	if (!rt_client_event_id(e, "meetingId", meeting))
		rt_client_event_fail(e, "bad_request", "meetingId must be a meeting's id");
	else if (!rt_client_event_bool(e, "typing", &typing))
		rt_client_event_fail(e, "bad_request", "typing must be true or false");
	else if (rt_meeting_is_seated(owner_of(e)->uses.meetings, meeting, rt_client_event_client(e)))
		rt_typing_tell(owner_of(e)->uses.typings, e, RT_TYPING_MEETING, meeting, typing);
	else
		/* The database knows whether it is not there, over, or none of theirs. */
		rt_client_event_call(e, "meeting_typing", NULL);
}

/* ---- what the database tells ---------------------------------------------------------------- */

static struct rt_client *
find_client(const struct rt_meeting_events *me, const json_t *payload)
{
	const char *gateway = rt_json_str(payload, "gateway");
	const char *sid = rt_json_str(payload, "sid");
	struct rt_socket *s;
	struct rt_client *c;

	if (gateway == NULL || sid == NULL || strcmp(gateway, me->uses.self->name) != 0)
		return NULL;
	s = rt_socket_find(me->uses.sockets, sid);
	c = s == NULL ? NULL : rt_socket_data(s);
	return c == NULL || c->user == NULL ? NULL : c;
}

static void
run_meeting_member(void *owner, const json_t *payload)
{
	struct rt_meeting_events *me = owner;
	struct rt_client *c = find_client(me, payload);
	char meeting[RT_ID_LEN + 1];
	char participant[RT_ID_LEN + 1];

	if (c == NULL || !rt_json_get_id(payload, "meetingId", meeting) ||
		!rt_json_get_id(payload, "participantId", participant))
		return;
	if (rt_json_bool(payload, "member", false))
		rt_meeting_enter(me->uses.meetings, meeting, c, participant);
	else
		rt_meeting_leave(me->uses.meetings, meeting, c, participant);
}

static void
run_meeting_closed(void *owner, const json_t *payload)
{
	struct rt_meeting_events *me = owner;
	char meeting[RT_ID_LEN + 1];

	if (rt_json_get_id(payload, "meetingId", meeting))
		rt_meeting_close(me->uses.meetings, meeting);
}

/* ---- the tables --------------------------------------------------------------------------------- */

static const struct rt_client_event_def events[] = {
	{.name = "join-meeting", .handle = handle_join, .reply = "meeting-joined", .barrier = true},
	{.name = "leave-meeting", .handle = handle_leave, .barrier = true},
	{.name = "typing", .handle = handle_typing, .barrier = true},
	{.name = "media-status-update", .fn = "meeting_media", .writes = true, .barrier = true},
	{.name = "send-message", .fn = "meeting_say", .writes = true, .barrier = true},
	{.name = "send-reaction", .fn = "meeting_react", .writes = true, .barrier = true},
	{.name = "raise-hand", .fn = "meeting_hand", .writes = true, .barrier = true},
	{.name = "mute-participant", .fn = "meeting_mute", .barrier = true},
	{.name = "remove-participant", .fn = "meeting_remove", .barrier = true},
	{.name = "admit-participant", .fn = "meeting_admit", .barrier = true},
	{.name = "refuse-participant", .fn = "meeting_refuse", .barrier = true},
	{.name = "update-participant-role", .fn = "meeting_role", .barrier = true},
	{.name = "lock-meeting", .fn = "meeting_lock", .barrier = true},
	{.name = "end-meeting", .fn = "meeting_close", .barrier = true},
	{.name = "toggle-recording", .fn = "meeting_record", .barrier = true},
};

static const struct rt_command_def commands[] = {
	{"rt:meeting-member", run_meeting_member},
	{"rt:meeting-closed", run_meeting_closed},
};

struct rt_meeting_events *
rt_meeting_events_new(const struct rt_meeting_events_uses *uses)
{
	struct rt_meeting_events *me = rt_alloc(sizeof(*me));

	me->uses = *uses;
	rt_client_events_add(uses->events, events, sizeof(events) / sizeof(events[0]), me);
	rt_commands_add(uses->commands, commands, sizeof(commands) / sizeof(commands[0]), me);
	return me;
}

void
rt_meeting_events_free(struct rt_meeting_events *me)
{
	free(me);
}
