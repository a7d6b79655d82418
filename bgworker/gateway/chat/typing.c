/* typing.c: who is typing where, in chat rooms and in meetings.
 *
 * Soft state: an entry lasts LASTS_MS unless the client says again that it types, and ends with the client.  All
 * entries last equally long, so the list is in the order of their ends and one timer does for all; an entry that is
 * prolonged moves to the end of the list.  The others are told through the database, which knows who they are, at
 * most once in TELL_EVERY_MS for an entry that goes on.
 *
 * Calls of the database may overtake one another.  So an entry that ends while the others are being told that it
 * began waits with its end for the answer; else they would see somebody type who has gone.
 *
 * An entry is in two lists, that of all and that of its client, from rt_typing_start() to drop(); a client must not
 * be freed before rt_typing_end_all().  chat/chat.c and meetings/meeting_event.c check who may type where before they
 * call. */
#include "typing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/user.h"

#define LASTS_MS 3000
#define TELL_EVERY_MS 1000

struct rt_typing
{
	struct rt_client *client;
	enum rt_typing_place place;
	char *id;
	uint64_t ends_ms;
	uint64_t told_ms;
	struct telling *telling;         /* that it goes on; NULL: no call is under way */
	struct rt_typing *of_client;     /* next of the same client */
	struct rt_typing *next, **prevp; /* in the order of their ends */
};

/* A call that tells what a client's event says. */
struct telling
{
	struct rt_typings *typings;
	enum rt_typing_place place;
	char id[RT_ID_LEN + 1];
	struct rt_typing *of; /* NULL: it has ended */
	char *user, *socket;  /* whose end is to be told behind it; NULL: none is */
};

struct rt_typings
{
	struct rt_loop *loop;
	struct rt_db *db;
	struct rt_timer *timer;
	struct rt_typing *first, **last;
};

/* Which function of the database is told, and of an end by which keys. */
static const struct
{
	const char *fn;
	const char *id_key;
	const char *flag_key;
} places[] = {
	[RT_TYPING_ROOM] = {"typing", "roomId", "isTyping"},
	[RT_TYPING_MEETING] = {"meeting_typing", "meetingId", "typing"},
};

static void
append(struct rt_typings *ts, struct rt_typing *t)
{
	t->ends_ms = rt_loop_now_ms(ts->loop) + LASTS_MS;
	t->next = NULL;
	t->prevp = ts->last;
	*ts->last = t;
	ts->last = &t->next;
	if (ts->first == t)
		rt_timer_start(ts->timer, LASTS_MS);
}

static void
unlink_typing(struct rt_typings *ts, struct rt_typing *t)
{
	*t->prevp = t->next;
	if (t->next != NULL)
		t->next->prevp = t->prevp;
	else
		ts->last = t->prevp;
}

static struct rt_typing *
find(const struct rt_client *c, enum rt_typing_place place, const char *id)
{
	struct rt_typing *t = c->typing;

	while (t != NULL && (t->place != place || strcmp(t->id, id) != 0))
		t = t->of_client;
	return t;
}

static void
drop(struct rt_typings *ts, struct rt_typing *t)
{
	struct rt_typing **link = &t->client->typing;

	while (*link != t)
		link = &(*link)->of_client;
	*link = t->of_client;
	unlink_typing(ts, t);
	if (t->telling != NULL)
		t->telling->of = NULL;
	free(t->id);
	free(t);
}

static void
on_end_told(void *arg, const struct rt_db_reply *reply)
{
	/* Whoever is no member any more has nobody to tell. */
	if (!reply->ok)
		rt_log(RT_LOG_DEBUG, "typing", "could not tell that typing ended: %s", reply->code);
}

static void
call_end(struct rt_typings *ts, enum rt_typing_place place, const char *id, const char *user, const char *socket)
{
	struct rt_text req;

	rt_text_init(&req);
	rt_text_addf(&req, "{\"%s\":\"%s\",\"%s\":false,\"sid\":", places[place].id_key, id, places[place].flag_key);
	rt_text_quote(&req, socket);
	rt_text_add(&req, "}");
	rt_db_call(ts->db, RT_DB_FAST, places[place].fn, user, req.data, req.len, on_end_told, NULL);
	rt_text_fini(&req);
}

/* drop() must follow. */
static void
tell_end(struct rt_typings *ts, const struct rt_typing *t)
{
	const char *user = t->client->user->id;
	const char *socket = rt_socket_id(t->client->socket);

	if (t->telling == NULL)
		call_end(ts, t->place, t->id, user, socket);
	else
	{
		t->telling->user = rt_strdup(user);
		t->telling->socket = rt_strdup(socket);
	}
}

static void
on_timer(void *arg)
{
	struct rt_typings *ts = arg;
	uint64_t now_ms = rt_loop_now_ms(ts->loop);

	while (ts->first != NULL && ts->first->ends_ms <= now_ms)
	{
		tell_end(ts, ts->first);
		drop(ts, ts->first);
	}
	if (ts->first != NULL)
		rt_timer_start(ts->timer, ts->first->ends_ms - now_ms);
}

struct rt_typings *
rt_typings_new(struct rt_loop *l, struct rt_db *db)
{
	struct rt_typings *ts = rt_alloc(sizeof(*ts));

	ts->loop = l;
	ts->db = db;
	ts->last = &ts->first;
	ts->timer = rt_timer_new(l, on_timer, ts);
	return ts;
}

void
rt_typings_free(struct rt_typings *ts)
{
	if (ts == NULL)
		return;
	while (ts->first != NULL)
		drop(ts, ts->first);
	rt_timer_free(ts->timer);
	free(ts);
}

bool
rt_typing_start(struct rt_typings *ts, struct rt_client *c, enum rt_typing_place place, const char *id)
{
	uint64_t now_ms = rt_loop_now_ms(ts->loop);
	struct rt_typing *t = find(c, place, id);
	bool tell = t == NULL || now_ms - t->told_ms >= TELL_EVERY_MS;

	if (t == NULL)
	{
		t = rt_alloc(sizeof(*t));
		t->client = c;
		t->place = place;
		t->id = rt_strdup(id);
		t->of_client = c->typing;
		c->typing = t;
	}
	else
		unlink_typing(ts, t);
	append(ts, t);
	if (tell)
		t->told_ms = now_ms;
	return tell;
}

bool
rt_typing_stop(struct rt_typings *ts, struct rt_client *c, enum rt_typing_place place, const char *id)
{
	struct rt_typing *t = find(c, place, id);

	if (t == NULL)
		return false;
	drop(ts, t);
	return true;
}

void
rt_typing_end(struct rt_typings *ts, struct rt_client *c, enum rt_typing_place place, const char *id)
{
	struct rt_typing *t = find(c, place, id);

	if (t == NULL)
		return;
	tell_end(ts, t);
	drop(ts, t);
}

void
rt_typing_end_all(struct rt_typings *ts, struct rt_client *c)
{
	while (c->typing != NULL)
	{
		tell_end(ts, c->typing);
		drop(ts, c->typing);
	}
}

/* ---- the events ---------------------------------------------------------------------------- */

/* What the database refuses has not begun. */
static void
on_event_told(void *arg, const struct rt_db_reply *reply)
{
	struct rt_client_event *e = arg;
	struct telling *telling = e->data;

	if (telling->of != NULL)
	{
		telling->of->telling = NULL;
		if (!reply->ok)
			drop(telling->typings, telling->of);
	}
	if (telling->user != NULL && reply->ok)
		call_end(telling->typings, telling->place, telling->id, telling->user, telling->socket);
	free(telling->user);
	free(telling->socket);
	free(telling);
	rt_client_event_answer_reply(e, reply);
}

/* Of the calls of an entry that goes on the last one counts. */
static void
follow(struct telling *telling)
{
	struct rt_typing *t = telling->of;

	if (t->telling != NULL)
		t->telling->of = NULL;
	t->telling = telling;
}

void
rt_typing_tell(struct rt_typings *ts, struct rt_client_event *e, enum rt_typing_place place, const char *id,
			   bool typing)
{
	struct rt_client *c = rt_client_event_client(e);
	struct telling *telling;

	if (!(typing ? rt_typing_start(ts, c, place, id) : rt_typing_stop(ts, c, place, id)))
	{
		rt_client_event_answer(e, "{}", 2);
		return;
	}
	telling = rt_alloc(sizeof(*telling));
	telling->typings = ts;
	telling->place = place;
	snprintf(telling->id, sizeof(telling->id), "%s", id);
	telling->of = find(c, place, id);
	if (telling->of != NULL)
		follow(telling);
	e->data = telling;
	rt_client_event_call(e, places[place].fn, on_event_told);
}
