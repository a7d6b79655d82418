/* meeting.c: see meeting.h.  The handlers of meeting_event.c call it, and the dispatch of the bus sends through it.
 *
 * A client has a seat for each meeting that it is in or wants to join.  What a seat gets:
 *
 *     asked  participant
 *       no      ""        nothing; dropped, unless the join was answered and the bus has yet to tell the participant
 *       yes     ""        nothing yet
 *       yes     given     frames are held: the answer to join-meeting must come first
 *       no      given     frames are sent
 *
 * What must stay true:
 *
 * - The answer to a join and the bus's rt:meeting-member come in either order.  Behind both the client gets
 *   everything that the meeting says since its seat, once.
 * - What was held goes out with the position of that moment: with its own a client that breaks off would get
 *   later events twice.
 * - A seat is in its meeting's list and in its client's; a meeting exists while it has seats.
 *
 * Limit: HELD_MAX frames a seat; beyond it the client is cut off. */
#include "meeting.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/json.h"
#include "bgworker/common/map.h"
#include "bgworker/gateway/socketio/sio_packet.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/clients/client.h"

/* Frames that wait for the answer to a join.  Beyond it the client is cut off: it could not keep up either. */
#define HELD_MAX 1000

struct held_frame
{
	struct held_frame *next;
	struct rt_frame *frame;
};

struct meeting
{
	char id[RT_ID_LEN + 1];
	struct rt_meeting_seat *seats;
};

/* A client's place in a meeting, or its wish for one. */
struct rt_meeting_seat
{
	struct meeting *meeting;
	struct rt_client *client;
	struct rt_meeting_seat *next, **prevp; /* in the meeting */
	struct rt_meeting_seat *of_client;     /* next of the same client */
	char participant[RT_ID_LEN + 1];       /* "": gets nothing (yet) */
	bool asked;                            /* join-meeting is not answered yet */
	bool joined;                           /* it was, and well */
	struct held_frame *held, **held_tail;
	size_t nheld;
};

struct rt_meetings
{
	struct rt_map *meetings;
	size_t nseats;
};

struct rt_meetings *
rt_meetings_new(void)
{
	struct rt_meetings *ms = rt_alloc(sizeof(*ms));

	ms->meetings = rt_map_new();
	return ms;
}

void
rt_meetings_free(struct rt_meetings *ms)
{
	if (ms == NULL)
		return;
	rt_map_free(ms->meetings);
	free(ms);
}

size_t
rt_meetings_count(const struct rt_meetings *ms)
{
	return rt_map_count(ms->meetings);
}

size_t
rt_meetings_seats(const struct rt_meetings *ms)
{
	return ms->nseats;
}

/* ---- seats --------------------------------------------------------------------------- */

static struct rt_meeting_seat *
find_seat(const struct rt_client *c, const char *id)
{
	struct rt_meeting_seat *s = c->seats;

	while (s != NULL && strcmp(s->meeting->id, id) != 0)
		s = s->of_client;
	return s;
}

static struct meeting *
get_meeting(struct rt_meetings *ms, const char *id)
{
	struct meeting *m = rt_map_find_str(ms->meetings, id);

	if (m != NULL)
		return m;
	m = rt_alloc(sizeof(*m));
	strcpy(m->id, id);
	rt_map_put_str(ms->meetings, m->id, m);
	return m;
}

static struct rt_meeting_seat *
get_seat(struct rt_meetings *ms, const char *id, struct rt_client *c)
{
	struct rt_meeting_seat *s = find_seat(c, id);

	if (s != NULL)
		return s;
	s = rt_alloc(sizeof(*s));
	s->meeting = get_meeting(ms, id);
	s->client = c;
	s->held_tail = &s->held;
	s->next = s->meeting->seats;
	s->prevp = &s->meeting->seats;
	if (s->next != NULL)
		s->next->prevp = &s->next;
	s->meeting->seats = s;
	s->of_client = c->seats;
	c->seats = s;
	ms->nseats++;
	return s;
}

static void
drop_held(struct rt_meeting_seat *s)
{
	struct held_frame *h;

	while ((h = s->held) != NULL)
	{
		s->held = h->next;
		rt_frame_unref(h->frame);
		free(h);
	}
	s->held_tail = &s->held;
	s->nheld = 0;
}

static void
drop_seat(struct rt_meetings *ms, struct rt_meeting_seat *s)
{
	struct rt_meeting_seat **link = &s->client->seats;
	struct meeting *m = s->meeting;

	while (*link != s)
		link = &(*link)->of_client;
	*link = s->of_client;
	*s->prevp = s->next;
	if (s->next != NULL)
		s->next->prevp = s->prevp;
	drop_held(s);
	free(s);
	ms->nseats--;
	if (m->seats != NULL)
		return;
	rt_map_take_str(ms->meetings, m->id);
	free(m);
}

/* Ends the place.  What the meeting said until then still follows the answer to a join. */
static void
end_place(struct rt_meetings *ms, struct rt_meeting_seat *s)
{
	s->participant[0] = '\0';
	s->joined = false;
	if (!s->asked)
		drop_seat(ms, s);
}

/* ---- joining and leaving ---------------------------------------------------------------- */

void
rt_meeting_expect(struct rt_meetings *ms, const char *id, struct rt_client *c)
{
	get_seat(ms, id, c)->asked = true;
}

/* The client may have got later events meanwhile: with its own position the frame would lead it back behind those. */
static void
send_late(struct rt_client *c, const struct rt_frame *held, uint64_t pos)
{
	struct rt_frame *f = rt_sio_packet_event_at(held, pos);

	rt_socket_send(c->socket, f);
	rt_frame_unref(f);
}

void
rt_meeting_settle(struct rt_meetings *ms, const char *id, struct rt_client *c, bool joined, uint64_t pos)
{
	struct rt_meeting_seat *s = find_seat(c, id);

	if (s == NULL)
		return;
	s->asked = false;
	s->joined |= joined;
	for (const struct held_frame *h = s->held; h != NULL; h = h->next)
		send_late(c, h->frame, pos);
	drop_held(s);
	if (s->participant[0] == '\0' && !s->joined)
		drop_seat(ms, s);
}

void
rt_meeting_enter(struct rt_meetings *ms, const char *id, struct rt_client *c, const char *participant)
{
	strcpy(get_seat(ms, id, c)->participant, participant);
}

void
rt_meeting_leave(struct rt_meetings *ms, const char *id, struct rt_client *c, const char *participant)
{
	struct rt_meeting_seat *s = find_seat(c, id);

	if (s != NULL && (participant == NULL || strcmp(s->participant, participant) == 0))
		end_place(ms, s);
}

void
rt_meeting_close(struct rt_meetings *ms, const char *id)
{
	struct meeting *m = rt_map_find_str(ms->meetings, id);
	struct rt_meeting_seat *next;

	for (struct rt_meeting_seat *s = m == NULL ? NULL : m->seats; s != NULL; s = next)
	{
		next = s->next;
		end_place(ms, s);
	}
}

void
rt_meetings_leave_all(struct rt_meetings *ms, struct rt_client *c)
{
	while (c->seats != NULL)
		drop_seat(ms, c->seats);
}

void
rt_meetings_review(struct rt_meetings *ms, struct rt_client *c, const json_t *participants)
{
	struct rt_meeting_seat *next;

	for (struct rt_meeting_seat *s = c->seats; s != NULL; s = next)
	{
		const char *sid = rt_json_str(participants, s->participant);

		next = s->of_client;
		if (s->participant[0] != '\0' && (sid == NULL || strcmp(sid, rt_socket_id(c->socket)) != 0))
			end_place(ms, s);
	}
}

bool
rt_meeting_is_seated(const struct rt_meetings *ms, const char *id, const struct rt_client *c)
{
	const struct rt_meeting_seat *s = find_seat(c, id);

	return s != NULL && (s->joined || s->participant[0] != '\0');
}

/* ---- sending ------------------------------------------------------------------------------ */

static void
hold(struct rt_meeting_seat *s, struct rt_frame *f)
{
	struct held_frame *h;

	if (s->nheld == HELD_MAX)
	{
		rt_socket_disconnect(s->client->socket, "too slow");
		return;
	}
	h = rt_alloc(sizeof(*h));
	h->frame = rt_frame_ref(f);
	*s->held_tail = h;
	s->held_tail = &h->next;
	s->nheld++;
}

static bool
is_listed(const json_t *participants, const char *participant)
{
	const json_t *item;
	size_t i;

	json_array_foreach(participants, i, item)
	{
		if (json_is_string(item) && strcmp(json_string_value(item), participant) == 0)
			return true;
	}
	return false;
}

void
rt_meeting_send(struct rt_meetings *ms, const char *id, const json_t *participants, struct rt_frame *f,
				const struct rt_socket *except)
{
	const struct meeting *m = rt_map_find_str(ms->meetings, id);

	for (struct rt_meeting_seat *s = m == NULL ? NULL : m->seats; s != NULL; s = s->next)
	{
		if (s->participant[0] == '\0' || s->client->socket == except ||
			(participants != NULL && !is_listed(participants, s->participant)))
			continue;
		if (s->asked)
			hold(s, f);
		else
			rt_socket_send(s->client->socket, f);
	}
}
