/* renewal.c: see renewal.h.  main begins it when the report finds that the database had given this gateway up.
 *
 * All clients of the moment are told of, by rt_api.reconnect, PAGE_CLIENTS at a time, one call after the other.  The
 * answer has what each of their users is in, as rt:standing has it: memberships may have ended while nobody told us.
 *
 * What must stay true:
 *
 * - The database reads a standing before we read its answer, and the bus may tell of changes in between.  So changes
 *   are noted while a call is under way, and applied again behind its answer.
 * - Clients go while a call is under way, so they are kept by serial.  One that came later tells of itself.
 * - A socket that another gateway has by now is ended here, without an end of its session.
 *
 * Limit: above NOTES_MAX notes the page is asked for once more. */
#include "renewal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/user.h"
#include "bgworker/gateway/socketio/socket.h"
#include "leave.h"
#include "standing.h"

#define PAGE_CLIENTS 500
#define RETRY_MS 300
#define RETRY_REFUSED_MS 5000 /* something is wrong that a moment does not mend */
#define NOTES_MAX 10000

struct note
{
	char *room;
	char *user; /* NULL: everybody's */
	bool member;
	uint64_t xid;
};

struct rt_renewal
{
	struct rt_renewal_uses uses;
	uint64_t *serials; /* of the clients that are told of */
	size_t count, next;
	size_t page_end; /* of the call that is under way */
	bool under_way;
	bool again; /* begun anew while a call was under way */
	struct note *notes;
	size_t nnotes, notes_space;
	struct rt_timer *retry;
};

/* ---- notes ------------------------------------------------------------------------ */

static void
drop_notes(struct rt_renewal *r)
{
	for (size_t i = 0; i < r->nnotes; i++)
	{
		free(r->notes[i].room);
		free(r->notes[i].user);
	}
	free(r->notes);
	r->notes = NULL;
	r->nnotes = r->notes_space = 0;
}

void
rt_renewal_note_member(struct rt_renewal *r, const char *room, const char *user, bool member, uint64_t xid)
{
	if (!r->under_way || r->nnotes > NOTES_MAX)
		return;
	if (r->nnotes == r->notes_space)
	{
		r->notes_space = r->notes_space == 0 ? 16 : r->notes_space * 2;
		r->notes = rt_realloc(r->notes, r->notes_space * sizeof(*r->notes));
	}
	r->notes[r->nnotes++] = (struct note){rt_strdup(room), user == NULL ? NULL : rt_strdup(user), member, xid};
}

static void
apply_note(const struct rt_renewal *r, const struct note *n)
{
	struct rt_user *u = n->user == NULL ? NULL : rt_user_find(r->uses.users, n->user);

	if (n->user == NULL)
		rt_room_delete(r->uses.rooms, n->room);
	else if (u != NULL && n->member)
		rt_room_add_member(r->uses.rooms, n->room, u);
	else if (u != NULL)
		rt_room_remove_member(r->uses.rooms, n->room, u, n->xid);
}

/* ---- the answer ------------------------------------------------------------------- */

static void
take_answer(struct rt_renewal *r, const json_t *answer)
{
	const json_t *item;
	size_t i;

	json_array_foreach(rt_json_array(answer, "standings"), i, item) rt_standing_apply(r->uses.standing, item);
	for (i = 0; i < r->nnotes; i++)
		apply_note(r, &r->notes[i]);
	json_array_foreach(rt_json_array(answer, "elsewhere"), i, item)
	{
		if (json_is_string(item))
			rt_leave_end_superseded(r->uses.leave, json_string_value(item));
	}
}

static void ask(struct rt_renewal *r);

static void
on_answer(void *arg, const struct rt_db_reply *reply)
{
	struct rt_renewal *r = arg;
	json_t *answer = reply->ok ? rt_json_parse_object(reply->json, reply->json_len) : NULL;
	bool whole = answer != NULL && r->nnotes <= NOTES_MAX;

	r->under_way = false;
	if (whole && !r->again)
	{
		take_answer(r, answer);
		r->next = r->page_end;
	}
	json_decref(answer);
	drop_notes(r);
	if (r->uses.self->ending)
		return;
	if (r->again)
		rt_renewal_begin(r);
	else if (whole)
		ask(r);
	else
		rt_timer_start(r->retry, reply->ok || strcmp(reply->code, "unavailable") == 0 ? RETRY_MS : RETRY_REFUSED_MS);
}

/* ---- the question ----------------------------------------------------------------- */

struct joined
{
	struct rt_text *t;
	bool first;
};

static void
write_joined(void *arg, const char *room)
{
	struct joined *j = arg;

	rt_text_addf(j->t, "%s\"%s\"", j->first ? "" : ",", room);
	j->first = false;
}

/* Rooms of a client that is being recovered are its session's, which stays as it is. */
static void
write_session(struct rt_text *t, const struct rt_client *c)
{
	struct joined j = {t, true};

	if (c->pid[0] == '\0' || c->recovery != NULL)
		return;
	rt_text_add(t, ",\"pid\":");
	rt_text_quote(t, c->pid);
	rt_text_add(t, ",\"joined\":[");
	rt_rooms_each_joined(c, write_joined, &j);
	rt_text_add(t, "]");
}

static void
write_client(struct rt_text *t, struct rt_client *c)
{
	c->told = (struct rt_told){.latency_us = -1, .websocket = rt_socket_is_websocket(c->socket)};
	rt_text_add(t, "{\"sid\":");
	rt_text_quote(t, rt_socket_id(c->socket));
	rt_text_add(t, ",\"user\":");
	rt_text_quote(t, c->user->id);
	rt_text_add(t, ",\"peer\":");
	rt_text_quote(t, rt_socket_peer(c->socket));
	rt_text_addf(t, ",\"serial\":%" PRIu64 ",\"transport\":\"%s\"", c->serial,
				 c->told.websocket ? "websocket" : "polling");
	write_session(t, c);
	rt_text_add(t, "}");
}

/* False: nobody is left. */
static bool
write_page(struct rt_renewal *r, struct rt_text *t)
{
	size_t n = 0;

	rt_text_add(t, "{\"gateway\":");
	rt_text_quote(t, r->uses.self->name);
	rt_text_add(t, ",\"connections\":[");
	for (r->page_end = r->next; r->page_end < r->count && n < PAGE_CLIENTS; r->page_end++)
	{
		struct rt_client *c = rt_client_find(r->uses.clients, r->serials[r->page_end]);

		if (c == NULL || c->user == NULL || c->superseded)
			continue;
		rt_text_add(t, n++ == 0 ? "" : ",");
		write_client(t, c);
	}
	rt_text_add(t, "]}");
	return n > 0;
}

static void
ask(struct rt_renewal *r)
{
	struct rt_text t;

	rt_text_init(&t);
	if (write_page(r, &t))
	{
		r->under_way = true;
		rt_db_call(r->uses.db, RT_DB_FAST, "reconnect", NULL, t.data, t.len, on_answer, r);
	}
	rt_text_fini(&t);
}

static void
on_retry(void *arg)
{
	struct rt_renewal *r = arg;

	if (!r->under_way)
		ask(r);
}

static void
collect_clients(struct rt_renewal *r)
{
	struct rt_client *c;
	size_t at = 0;

	free(r->serials);
	r->serials = rt_alloc((rt_clients_count(r->uses.clients) + 1) * sizeof(*r->serials));
	r->count = r->next = 0;
	while ((c = rt_clients_next(r->uses.clients, &at)) != NULL)
	{
		if (c->user != NULL)
			r->serials[r->count++] = c->serial;
	}
}

void
rt_renewal_begin(struct rt_renewal *r)
{
	r->again = r->under_way;
	if (r->under_way)
		return;
	collect_clients(r);
	if (r->count > 0)
		rt_log(RT_LOG_INFO, "renewal",
			   "the database no longer knew this gateway: registering its %zu connections again", r->count);
	ask(r);
}

/* ---- life ------------------------------------------------------------------------- */

struct rt_renewal *
rt_renewal_new(const struct rt_renewal_uses *uses)
{
	struct rt_renewal *r = rt_alloc(sizeof(*r));

	r->uses = *uses;
	r->retry = rt_timer_new(uses->loop, on_retry, r);
	return r;
}

void
rt_renewal_free(struct rt_renewal *r)
{
	if (r == NULL)
		return;
	drop_notes(r);
	free(r->serials);
	rt_timer_free(r->retry);
	free(r);
}
