/* entry.c: see entry.h.  Called by the network for each CONNECT, by the bus for changes of memberships, and by
 * whatever an entry may wait for (keys, the bus) when it is there.
 *
 * A CONNECT takes these steps.  Each may end it, by a refusal or a broken connection:
 *
 *     waiting ──token verified──> batch ──rt_api.connect──> let in ──recovered──> recover.c, meetings
 *        ^                          │
 *        └──── notes were lost ─────┘
 *
 * What must stay true:
 *
 * - Nobody is let in before the keys have been read and the bus knows its position: without the position a
 *   client would get an offset that skips events.
 * - The database reads a user's memberships before we read its answer, and the bus may tell of changes in between. So
 *   while a batch is under way every change is noted, in the order of the bus.  An answer is applied first, then the
 *   notes from the batch's beginning on: the last word on a room is the note's.
 * - A user's rooms are filled in for the first of their clients here only.  From then on the bus keeps them.
 * - A client may go while its entry waits.  So everything here keeps its serial.  If the database has let it
 *   in by then, it is told that the connection has gone.
 * - An entry is at one place: in the list that waits, in a batch, or with auth.c while the user of another
 *   issuer's token is created.
 *
 * Limits: BATCHES_MAX calls with BATCH_MAX entries each, so that a storm of CONNECTs costs few transactions and does
 * not take all connections to the database.  Above NOTES_MAX notes are dropped and the batches under way are asked
 * anew. */
#include "entry.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/conf.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/clients/auth.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/meetings/meeting_event.h"
#include "bgworker/gateway/delivery/presence.h"
#include "bgworker/gateway/delivery/recover.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/counters.h"
#include "bgworker/gateway/clients/user.h"

#define BATCH_MAX 500
#define BATCHES_MAX 2   /* under way */
#define NOTES_MAX 50000 /* beyond it the batches under way are asked anew */
#define OFFSET_LEN 20

/* A CONNECT on its way.  The token is wiped when it is freed. */
struct waiting
{
	struct waiting *next;
	struct rt_entries *entries;
	uint64_t client; /* serial */
	char *token;
	char *user;          /* once the token is verified */
	bool is_provisioned; /* the database has been told of another issuer's user */
	char pid[24];
	char offset[OFFSET_LEN + 1];
	bool without_recovery; /* the client wants no pid and no offsets */
	char sid[24];
};

/* A change of a membership that the bus told while a batch was under way. */
struct note
{
	char *user; /* NULL: everybody's */
	char *room;
	bool member;
};

/* A call of rt_api.connect.  Freed when it has been answered. */
struct batch
{
	struct rt_entries *entries;
	size_t first_note; /* those before it are older than the question */
	size_t count;
	struct waiting *items[BATCH_MAX];
};

struct rt_entries
{
	struct rt_entries_uses uses;
	struct waiting *head, **tail;
	int under_way; /* batches */
	struct note *notes;
	size_t nnotes, notes_space;
	bool notes_lost; /* the batches under way are asked anew, and no new one begins before they are back */
};

void
rt_entry_read_settings(struct rt_entry_settings *s, struct rt_conf *c)
{
	s->max_connections_per_user = rt_conf_int(c, "max_connections_per_user");
	s->log_connections = rt_conf_bool(c, "log_connections");
}

struct rt_entries *
rt_entries_new(const struct rt_entries_uses *uses)
{
	struct rt_entries *es = rt_alloc(sizeof(*es));

	es->uses = *uses;
	es->tail = &es->head;
	return es;
}

static void
free_waiting(struct waiting *w)
{
	if (w->token != NULL)
		explicit_bzero(w->token, strlen(w->token));
	free(w->token);
	free(w->user);
	free(w);
}

static void
drop_notes(struct rt_entries *es)
{
	for (size_t i = 0; i < es->nnotes; i++)
	{
		free(es->notes[i].user);
		free(es->notes[i].room);
	}
	free(es->notes);
	es->notes = NULL;
	es->nnotes = es->notes_space = 0;
	es->notes_lost = false;
}

void
rt_entries_free(struct rt_entries *es)
{
	struct waiting *w;

	if (es == NULL)
		return;
	while ((w = es->head) != NULL)
	{
		es->head = w->next;
		free_waiting(w);
	}
	drop_notes(es);
	free(es);
}

void
rt_entries_ask_anew(struct rt_entries *es)
{
	drop_notes(es);
	es->notes_lost = es->under_way > 0;
}

void
rt_entries_note_member(struct rt_entries *es, const char *room, const char *user, bool member)
{
	if (es->under_way == 0 || es->notes_lost)
		return;
	if (es->nnotes == NOTES_MAX)
	{
		rt_entries_ask_anew(es);
		return;
	}
	if (es->nnotes == es->notes_space)
	{
		es->notes_space = es->notes_space == 0 ? 16 : es->notes_space * 2;
		es->notes = rt_realloc(es->notes, es->notes_space * sizeof(*es->notes));
	}
	es->notes[es->nnotes++] = (struct note){user == NULL ? NULL : rt_strdup(user), rt_strdup(room), member};
}

/* ---- refusals --------------------------------------------------------------------------- */

static void
refuse(const struct rt_entries_uses *u, struct rt_client *c, const char *message, const char *code)
{
	struct rt_text t;

	rt_counters_add(u->counters, RT_COUNT_CONNECT_REFUSALS, 1);
	if (u->settings->log_connections)
		rt_log(RT_LOG_INFO, "entry", "socket=%s peer=%s: refused: %s", rt_socket_id(c->socket),
			   rt_socket_peer(c->socket), message);
	rt_text_init(&t);
	rt_text_add(&t, "{\"code\":");
	rt_text_quote(&t, code);
	rt_text_add(&t, "}");
	rt_socket_refuse(c->socket, message, t.data);
	rt_text_fini(&t);
	rt_socket_set_data(c->socket, NULL);
	rt_client_free(u->clients, c);
}

/* The database does not answer.  After a refusal the client would not try again, after a broken connection it does.
 */
static void
put_off(const struct rt_entries_uses *u, struct rt_client *c)
{
	rt_counters_add(u->counters, RT_COUNT_CONNECT_REFUSALS, 1);
	rt_socket_break(c->socket, "the database does not answer");
}

/* ---- the database's answer ------------------------------------------------------------------ */

static void
enter_rooms(struct rt_entries *es, const struct batch *b, struct rt_user *u, const json_t *result)
{
	struct rt_rooms *rooms = es->uses.rooms;
	const json_t *item;
	char id[RT_ID_LEN + 1];
	size_t i;

	json_array_foreach(rt_json_array(result, "rooms"), i, item)
	{
		if (rt_json_id(json_is_object(item) ? json_object_get(item, "id") : item, id))
			rt_room_add_member(rooms, id, u);
	}
	for (i = b->first_note; i < es->nnotes; i++)
	{
		const struct note *n = &es->notes[i];

		if (n->user != NULL && strcmp(n->user, u->id) != 0)
			continue;
		if (n->member)
			rt_room_add_member(rooms, n->room, u);
		else
			rt_room_remove_member(rooms, n->room, u, 0);
	}
}

/* Another socket holds the session that comes back: the server has not noticed that it is dead. */
static void
end_predecessor(const struct rt_client *c, const char *pid)
{
	struct rt_client *next;

	for (struct rt_client *old = c->user->clients; old != NULL; old = next)
	{
		next = old->next;
		if (old == c || strcmp(old->pid, pid) != 0)
			continue;
		old->superseded = true;
		rt_socket_disconnect(old->socket, "session taken over");
	}
}

static void
let_in(struct rt_entries *es, const struct batch *b, struct rt_client *c, const struct waiting *w,
	   const json_t *result, const char *epoch)
{
	const struct rt_entries_uses *u = &es->uses;
	const json_t *user = rt_json_object(result, "user");
	const char *name = rt_json_str(user, "name");
	const char *pid = rt_json_str(result, "pid");
	const char *sid = rt_json_str(result, "sid");
	bool recovered = rt_json_bool(result, "recovered", false);
	uint64_t offset = 0;
	bool first;

	rt_user_enter(u->users, c, w->user, name == NULL ? "" : name, &first);
	if (first)
		enter_rooms(es, b, c->user, result);
	if (pid != NULL && strlen(pid) < sizeof(c->pid))
	{
		end_predecessor(c, pid);
		strcpy(c->pid, pid);
	}
	rt_counters_add(u->counters, RT_COUNT_CONNECTS, 1);
	if (pid == NULL)
		rt_socket_leave_out_offsets(c->socket);
	rt_socket_accept(c->socket, w->user, recovered ? sid : NULL, pid, epoch);
	c->entered_ms = rt_loop_now_ms(u->loop);
	if (u->settings->log_connections)
		rt_log(RT_LOG_INFO, "entry", "socket=%s peer=%s user=\"%s\": %s by %s", rt_socket_id(c->socket),
			   rt_socket_peer(c->socket), c->user->id, recovered ? "recovered" : "connected",
			   rt_socket_is_websocket(c->socket) ? "websocket" : "polling");
	if (recovered && rt_json_pos(result, "pos", &offset))
	{
		rt_recover_begin(u->recover, c, rt_json_array(result, "joined"), offset);
		rt_meeting_events_resume(u->meeting_events, c, rt_json_array(result, "meetings"));
	}
}

/* The database has let somebody in who is gone, or whose session has been revoked meanwhile. */
static void
undo_entry(struct rt_entries *es, const struct waiting *w, const json_t *result)
{
	rt_presence_gone(es->uses.presence, w->user, rt_json_str(result, "sid"), w->client,
					 rt_user_find(es->uses.users, w->user) == NULL, rt_json_bool(result, "recovered", false));
}

static void
take_result(struct rt_entries *es, const struct batch *b, const struct waiting *w, const json_t *result,
			const char *epoch)
{
	struct rt_client *c = rt_client_find(es->uses.clients, w->client);
	const char *message = rt_json_str(result, "message");
	const char *code = rt_json_str(result, "code");

	if (!rt_json_bool(result, "ok", false))
	{
		if (c != NULL)
			refuse(&es->uses, c, message != NULL ? message : "Invalid token", code != NULL ? code : "unauthorized");
	}
	else if (c == NULL)
		undo_entry(es, w, result);
	else if (rt_auth_is_revoked(es->uses.auth, &c->token) || rt_auth_is_withdrawn(es->uses.auth, &c->token))
	{
		undo_entry(es, w, result);
		refuse(&es->uses, c, rt_auth_message(RT_AUTH_INVALID), "unauthorized");
	}
	else
		let_in(es, b, c, w, result, epoch);
}

static void
append(struct rt_entries *es, struct waiting *w)
{
	w->next = NULL;
	*es->tail = w;
	es->tail = &w->next;
}

static void
end_batch(struct rt_entries *es, struct batch *b, bool again)
{
	for (size_t i = 0; i < b->count; i++)
	{
		if (again)
			append(es, b->items[i]);
		else
			free_waiting(b->items[i]);
	}
	free(b);
	if (--es->under_way == 0)
		drop_notes(es);
	rt_entries_wake(es);
}

static void
on_connected(void *arg, const struct rt_db_reply *reply)
{
	struct batch *b = arg;
	struct rt_entries *es = b->entries;
	json_t *root = reply->ok ? rt_json_parse_object(reply->json, reply->json_len) : NULL;
	const json_t *results = rt_json_array(root, "results");
	bool again = es->notes_lost && !es->uses.self->ending;

	for (size_t i = 0; i < b->count && !again; i++)
	{
		struct rt_client *c;

		if (results != NULL)
			take_result(es, b, b->items[i], json_array_get(results, i), rt_json_str(root, "epoch"));
		else if ((c = rt_client_find(es->uses.clients, b->items[i]->client)) != NULL)
			put_off(&es->uses, c);
	}
	json_decref(root);
	end_batch(es, b, again);
}

/* ---- the question --------------------------------------------------------------------------- */

static void
write_item(struct rt_text *t, const char *gateway, struct rt_client *c, const struct waiting *w)
{
	c->told.websocket = rt_socket_is_websocket(c->socket);
	rt_text_add(t, "{\"user\":");
	rt_text_quote(t, w->user);
	rt_text_add(t, ",\"sid\":");
	rt_text_quote(t, w->sid);
	rt_text_add(t, ",\"gateway\":");
	rt_text_quote(t, gateway);
	rt_text_add(t, ",\"peer\":");
	rt_text_quote(t, rt_socket_peer(c->socket));
	rt_text_addf(t, ",\"serial\":%llu", (unsigned long long) c->serial);
	rt_text_addf(t, ",\"transport\":\"%s\"", c->told.websocket ? "websocket" : "polling");
	if (c->token.sid != NULL)
	{
		rt_text_add(t, ",\"session\":");
		rt_text_quote(t, c->token.sid);
	}
	if (w->without_recovery)
		rt_text_add(t, ",\"recovery\":false");
	else if (w->pid[0] != '\0')
	{
		rt_text_add(t, ",\"pid\":");
		rt_text_quote(t, w->pid);
		if (w->offset[0] != '\0')
		{
			rt_text_add(t, ",\"offset\":");
			rt_text_quote(t, w->offset);
		}
	}
	rt_text_add(t, "}");
}

/* Connections that the user has or is about to have. */
static bool
has_too_many(const struct rt_entries *es, const struct batch *b, const char *user)
{
	int64_t most = es->uses.settings->max_connections_per_user;
	const struct rt_user *u = rt_user_find(es->uses.users, user);
	int64_t n = u == NULL ? 0 : u->nclients;

	for (size_t i = 0; i < b->count; i++)
		n += strcmp(b->items[i]->user, user) == 0;
	return n >= most;
}

/* The database has been told of another issuer's user.  Whether it knows them now it says when it is to let them in.
 */
static void
on_provisioned(void *arg, bool ok)
{
	struct waiting *w = arg;
	struct rt_entries *es = w->entries;
	struct rt_client *c = rt_client_find(es->uses.clients, w->client);

	if (!ok && c != NULL)
		put_off(&es->uses, c);
	if (!ok || c == NULL)
	{
		free_waiting(w);
		return;
	}
	w->is_provisioned = true;
	append(es, w);
	rt_entries_wake(es);
}

enum answer
{
	GOES_IN, /* it is to be put to the database */
	IS_REFUSED,
	IS_CREATED /* its user is; it comes back by itself */
};

static enum answer
verify(struct rt_entries *es, const struct batch *b, struct rt_client *c, struct waiting *w)
{
	enum rt_auth_verdict v = w->user != NULL ? RT_AUTH_OK : rt_auth_verify(es->uses.auth, w->token, &c->token);

	if (v == RT_AUTH_OK && w->user == NULL)
		w->user = rt_strdup(c->token.user);
	if (v != RT_AUTH_OK)
		refuse(&es->uses, c, rt_auth_message(v), "unauthorized");
	else if (has_too_many(es, b, w->user))
		refuse(&es->uses, c, "Too many connections", "rate_limited");
	else if (!w->is_provisioned && !rt_auth_is_provisioned(es->uses.auth, &c->token))
	{
		rt_auth_provision(es->uses.auth, &c->token, on_provisioned, w);
		return IS_CREATED;
	}
	else
		return GOES_IN;
	return IS_REFUSED;
}

static struct waiting *
pop(struct rt_entries *es)
{
	struct waiting *w = es->head;

	if (w == NULL)
		return NULL;
	es->head = w->next;
	if (es->head == NULL)
		es->tail = &es->head;
	return w;
}

static void
collect_batch(struct rt_entries *es, struct batch *b, struct rt_text *t)
{
	struct waiting *w;

	while (b->count < BATCH_MAX && (w = pop(es)) != NULL)
	{
		struct rt_client *c = rt_client_find(es->uses.clients, w->client);

		enum answer answer = c == NULL ? IS_REFUSED : verify(es, b, c, w);

		if (answer == IS_REFUSED)
			free_waiting(w);
		if (answer != GOES_IN)
			continue;
		rt_text_add(t, b->count == 0 ? "" : ",");
		write_item(t, es->uses.self->name, c, w);
		b->items[b->count++] = w;
	}
}

static void
send_batch(struct rt_entries *es)
{
	struct batch *b = rt_alloc(sizeof(*b));
	struct rt_text t;

	b->entries = es;
	b->first_note = es->nnotes;
	rt_text_init(&t);
	rt_text_add(&t, "{\"requests\":[");
	collect_batch(es, b, &t);
	rt_text_add(&t, "]}");
	if (b->count == 0)
		free(b);
	else
	{
		es->under_way++;
		rt_db_call(es->uses.db, RT_DB_FAST, "connect", NULL, t.data, t.len, on_connected, b);
	}
	rt_text_fini(&t);
}

void
rt_entries_wake(struct rt_entries *es)
{
	const struct rt_entries_uses *u = &es->uses;

	/* Where notes were lost, those under way come back first. */
	while (es->head != NULL && es->under_way < BATCHES_MAX && !es->notes_lost && !u->self->ending &&
		   rt_auth_ready(u->auth) && rt_bus_started(u->bus))
		send_batch(es);
}

/* ---- what the transport tells ------------------------------------------------------------------ */

static void
copy_bounded(char *to, size_t size, const char *from)
{
	if (from != NULL && strlen(from) < size)
		strcpy(to, from);
}

/* Of several tokens the CONNECT packet's wins over the header's, and that over the query's.  One that cannot be valid
 * is not kept: it may have to wait. */
static char *
choose_token(const struct rt_socket_handshake *c, const json_t *auth)
{
	const json_t *given = json_object_get(auth, "token");
	size_t len = json_string_length(given);

	if (len > 0 && len <= RT_TOKEN_LIMIT_BYTES)
		return rt_strdup(json_string_value(given));
	if (len > 0 || (given != NULL && !json_is_null(given) && !json_is_string(given)))
		return rt_strdup("no token");
	if (c->bearer != NULL && c->bearer[0] != '\0')
		return rt_strdup(c->bearer);
	return c->query_token == NULL ? NULL : rt_strdup(c->query_token);
}

void
rt_entry_begin(struct rt_entries *es, struct rt_socket *s, const struct rt_socket_handshake *c)
{
	struct rt_client *client = rt_client_new(es->uses.clients, s);
	struct waiting *w = rt_alloc(sizeof(*w));
	json_t *auth = rt_json_parse_object(c->auth, c->auth_len);

	rt_socket_set_data(s, client);
	w->entries = es;
	w->client = client->serial;
	w->token = choose_token(c, auth);
	copy_bounded(w->sid, sizeof(w->sid), rt_socket_id(s));
	copy_bounded(w->pid, sizeof(w->pid), rt_json_str(auth, "pid"));
	copy_bounded(w->offset, sizeof(w->offset), rt_json_str(auth, "offset"));
	w->without_recovery = c->query_without_recovery || !rt_json_bool(auth, "recovery", true);
	json_decref(auth);
	append(es, w);
	rt_entries_wake(es);
}
