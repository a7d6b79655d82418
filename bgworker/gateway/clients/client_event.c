/* client_event.c: events of clients, from their arrival to their answer.
 *
 * An event passes, in this order: the connection's rate, the barriers of what the client asked before, the table of
 * names, the user's rate if it writes; then the module that added the name handles it, or a function of rt_api does.
 * Which events there are is known to those modules alone.
 *
 * What must stay true:
 *
 * - An argument is read once, by sio_packet.c.  Its members stay with the event while it is handled, its bytes
 *   go to SQL as they came, with our keys behind them: of a key that stands twice jsonb keeps the last, so
 *   ours cannot be forged.
 * - Events of one client begin in their order.  While `barriers` is above 0 they wait in `held`, bounded by
 *   HELD_MAX and HELD_BYTES_MAX; what is beyond is refused with rate_limited, and of what we inject for the
 *   client the socket ends.
 * - Every struct rt_client_event ends in exactly one of the answers, which frees it.  Between a call of the
 *   database and its reply the client may go, so an event knows its serial, not its pointer.
 * - What costs no query is limited too (FAULTS_PER_S): a client that sends nothing but mistakes is cut off. */
#include "client_event.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/db/dbread.h"
#include "bgworker/common/json.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/bus/self.h"
#include "client.h"
#include "counters.h"
#include "event_hint.h"
#include "rates.h"
#include "bgworker/gateway/socketio/sio_packet.h"
#include "user.h"

#define HELD_MAX 200
#define HELD_BYTES_MAX (1024 * 1024)
/* Events that earn an error without the database being asked; above, the connection is cut off. */
#define FAULTS_PER_S 50
#define FAULTS_BURST 1000

/* An event that waits for a barrier to fall. */
struct held_event
{
	struct held_event *next;
	char *name;
	char *arg; /* a copy of the argument; NULL: it was no object */
	struct rt_json_members members;
	int64_t ack;
};

struct rt_held
{
	struct held_event *head, **tail;
	size_t count;
	size_t bytes;
};

/* A name that an event can have. */
struct entry
{
	const struct rt_client_event_def *def;
	const char *name; /* def's name or its alias */
	void *owner;
};

struct rt_client_events
{
	struct rt_client_events_uses uses;
	struct rt_map *by_name;
};

struct rt_client_events *
rt_client_events_new(const struct rt_client_events_uses *uses)
{
	struct rt_client_events *es = rt_alloc(sizeof(*es));

	es->uses = *uses;
	es->by_name = rt_map_new();
	return es;
}

void
rt_client_events_free(struct rt_client_events *es)
{
	if (es == NULL)
		return;
	rt_map_free_all(es->by_name);
	free(es);
}

static void
add_name(struct rt_client_events *es, const struct rt_client_event_def *def, const char *name, void *owner)
{
	struct entry *entry = rt_alloc(sizeof(*entry));
	bool is_new;

	*entry = (struct entry){def, name, owner};
	is_new = rt_map_put_str(es->by_name, name, entry);
	assert(is_new);
	(void) is_new;
}

void
rt_client_events_add(struct rt_client_events *es, const struct rt_client_event_def *defs, size_t n, void *owner)
{
	for (size_t i = 0; i < n; i++)
	{
		add_name(es, &defs[i], defs[i].name, owner);
		if (defs[i].alias != NULL)
			add_name(es, &defs[i], defs[i].alias, owner);
	}
}

/* ---- answers ------------------------------------------------------------------------ */

/* An event to one client, with its position at the end. */
static void
emit(const struct rt_client_events *es, const struct rt_client *c, const char *name, const char *json, size_t len)
{
	struct rt_frame *f = rt_sio_packet_event_of(name, json, len, rt_client_pos(c, rt_bus_pos(es->uses.bus)));

	rt_socket_send(c->socket, f);
	rt_frame_unref(f);
}

/* An answer that tells of its success itself goes as it is. */
static void
write_success(struct rt_text *t, const char *json, size_t len)
{
	struct rt_json_pick success = {.key = "success"};
	struct rt_json_rest rest;

	if (rt_json_scan_split(json, len, &success, 1, &rest) != RT_OK || success.value.text != NULL)
	{
		rt_text_add_n(t, json, len);
		return;
	}
	rt_text_add(t, rest.n == 0 ? "{\"success\":true" : "{\"success\":true,");
	if (rest.n > 0)
		rt_text_add_n(t, rest.runs[0].p, (size_t) (rest.runs[0].end - rest.runs[0].p));
	rt_text_add(t, "}");
}

static void
send_error(struct rt_client_events *es, struct rt_client *c, const char *name, int64_t ack, const char *code,
		   const char *message, uint32_t retry_ms)
{
	struct rt_text t;

	rt_text_init(&t);
	rt_text_add(&t, ack == RT_NO_ACK ? "{\"code\":" : "{\"success\":false,\"error\":{\"code\":");
	rt_text_quote(&t, code);
	rt_text_add(&t, ",\"message\":");
	rt_text_quote(&t, message);
	if (retry_ms > 0)
		rt_text_addf(&t, ",\"retryAfter\":%.3f", retry_ms / 1000.0);
	if (ack == RT_NO_ACK)
	{
		rt_text_add(&t, ",\"event\":");
		rt_text_quote(&t, name);
		rt_text_add(&t, "}");
		emit(es, c, "error", t.data, t.len);
	}
	else
	{
		rt_text_add(&t, "}}");
		rt_socket_ack(c->socket, ack, t.data, t.len);
	}
	rt_text_fini(&t);
	rt_counters_add(es->uses.counters, RT_COUNT_EVENT_ERRORS, 1);
}

/* An event that did not get as far as the database.  Who sends nothing but these is cut off. */
static void
refuse(struct rt_client_events *es, struct rt_client *c, const char *name, int64_t ack, const char *code,
	   const char *message, uint32_t retry_ms)
{
	uint32_t unused;

	if (rt_limit_take(&c->faults, rt_loop_now_ms(es->uses.loop), FAULTS_PER_S, FAULTS_BURST, &unused))
		send_error(es, c, name, ack, code, message, retry_ms);
	else
		rt_socket_disconnect(c->socket, "too many bad events");
}

static void
finish(struct rt_client_event *e, struct rt_client *c)
{
	struct rt_client_events *es = e->events;
	bool barrier = e->def->barrier;

	free(e);
	if (barrier && c != NULL)
		rt_client_event_lower_barrier(es, c);
}

struct rt_client *
rt_client_event_client(const struct rt_client_event *e)
{
	return rt_client_find(e->events->uses.clients, e->client);
}

void
rt_client_event_answer(struct rt_client_event *e, const char *json, size_t len)
{
	struct rt_client *c = rt_client_event_client(e);
	struct rt_text t;

	if (c != NULL && e->def->reply != NULL)
		emit(e->events, c, e->def->reply, json, len);
	if (c != NULL && e->ack != RT_NO_ACK)
	{
		rt_text_init(&t);
		write_success(&t, json, len);
		rt_socket_ack(c->socket, e->ack, t.data, t.len);
		rt_text_fini(&t);
	}
	finish(e, c);
}

void
rt_client_event_fail(struct rt_client_event *e, const char *code, const char *message)
{
	struct rt_client *c = rt_client_event_client(e);

	if (c != NULL)
		send_error(e->events, c, e->name, e->ack, code, message, 0);
	finish(e, c);
}

void
rt_client_event_answer_reply(struct rt_client_event *e, const struct rt_db_reply *reply)
{
	struct rt_json_level level;

	if (!reply->ok)
		rt_client_event_fail(e, reply->code, reply->message);
	else if (reply->json_len > 0 &&
			 rt_json_scan_open(&level, reply->json, reply->json + reply->json_len, RT_JSON_OBJECT))
		rt_client_event_answer(e, reply->json, reply->json_len);
	else
		rt_client_event_answer(e, "{}", 2);
}

/* ---- the argument ----------------------------------------------------------------------- */

bool
rt_client_event_id(const struct rt_client_event *e, const char *key, char id[RT_ID_LEN + 1])
{
	struct rt_json_span buffer;

	return rt_json_scan_id(rt_json_scan_find(e->arg, key, &buffer), id);
}

bool
rt_client_event_bool(const struct rt_client_event *e, const char *key, bool *value)
{
	struct rt_json_span buffer;

	return rt_json_scan_bool(rt_json_scan_find(e->arg, key, &buffer), value);
}

bool
rt_client_event_has_string(const struct rt_client_event *e, const char *key)
{
	struct rt_json_span buffer;
	const struct rt_json_span *value = rt_json_scan_find(e->arg, key, &buffer);

	return value != NULL && value->kind == RT_JSON_STRING;
}

bool
rt_client_event_array(const struct rt_client_event *e, const char *key, struct rt_json_level *items)
{
	struct rt_json_span buffer;
	const struct rt_json_span *value = rt_json_scan_find(e->arg, key, &buffer);

	return value != NULL && rt_json_scan_open(items, value->text, value->text + value->len, RT_JSON_ARRAY);
}

/* ---- calls of the database ------------------------------------------------------------ */

void
rt_client_event_call_with(struct rt_client_event *e, enum rt_db_lane lane, const char *fn, const char *keys,
						  rt_db_cb on_reply, void *arg)
{
	const struct rt_client *c = rt_client_event_client(e);
	struct rt_text t;

	/* Of a key that is given twice, jsonb keeps the last: what the client sent cannot stand for these. */
	rt_text_init(&t);
	rt_text_add_n(&t, e->arg->text, e->arg->len - 1);
	rt_text_add(&t, e->arg->n == 0 ? "\"sid\":" : ",\"sid\":");
	rt_text_quote(&t, rt_socket_id(c->socket));
	rt_text_add(&t, ",\"gateway\":");
	rt_text_quote(&t, e->events->uses.self->name);
	if (keys != NULL)
	{
		rt_text_add(&t, ",");
		rt_text_add(&t, keys);
	}
	rt_text_add(&t, "}");
	if (e->def->reads)
		rt_dbread_call(e->events->uses.reads, lane, fn, c->user->id, t.data, t.len, on_reply, arg);
	else
		rt_db_call(e->events->uses.db, lane, fn, c->user->id, t.data, t.len, on_reply, arg);
	rt_text_fini(&t);
}

static void
on_plain_reply(void *arg, const struct rt_db_reply *reply)
{
	rt_client_event_answer_reply(arg, reply);
}

void
rt_client_event_call(struct rt_client_event *e, const char *fn, rt_db_cb on_reply)
{
	rt_client_event_call_with(e, RT_DB_FAST, fn, NULL, on_reply == NULL ? on_plain_reply : on_reply, e);
}

/* ---- arrival ---------------------------------------------------------------------------- */

static void
run(struct rt_client_events *es, struct rt_client *c, const struct entry *entry, const struct rt_json_members *arg,
	int64_t ack)
{
	const struct rt_client_event_def *def = entry->def;
	struct rt_client_event *e = rt_alloc(sizeof(*e));

	e->events = es;
	e->owner = entry->owner;
	e->def = def;
	e->name = entry->name;
	e->client = c->serial;
	e->ack = ack;
	e->arg = arg;
	if (def->barrier)
		rt_client_event_raise_barrier(c);
	if (def->handle != NULL)
		def->handle(e);
	else
		rt_client_event_call(e, def->fn, NULL);
}

/* One token a user, for what is written. */
static bool
within_user_rate(struct rt_client_events *es, struct rt_client *c, const struct rt_client_event_def *def,
				 const char *name, int64_t ack)
{
	const struct rt_rates_settings *r = es->uses.rates;
	uint32_t retry_ms;

	if (!def->writes || rt_rates_take(es->uses.writers, c->user->id, rt_loop_now_ms(es->uses.loop), r->writes_per_s,
									  r->writes_burst, &retry_ms))
		return true;
	rt_counters_add(es->uses.counters, RT_COUNT_RATE_LIMITED, 1);
	refuse(es, c, name, ack, "rate_limited", "Too many events", retry_ms);
	return false;
}

static const char *
near_name(void *arg, const char *name)
{
	struct rt_client_events *es = arg;
	const struct entry *entry;
	const char *best = NULL;
	int limit = RT_EVENT_HINT_FAR;
	size_t at = 0;

	while ((entry = rt_map_next(es->by_name, &at)) != NULL)
	{
		int distance = rt_event_hint_distance(name, entry->name, limit);

		if (distance < limit)
		{
			best = entry->name;
			limit = distance;
		}
	}
	return best;
}

static void
refuse_unknown(struct rt_client_events *es, struct rt_client *c, const char *name, int64_t ack)
{
	char message[RT_EVENT_HINT_BYTES];

	rt_event_hint_unknown(message, name, near_name, es);
	refuse(es, c, name, ack, "bad_request", message, 0);
}

static void
begin(struct rt_client_events *es, struct rt_client *c, const char *name, const struct rt_json_members *arg,
	  int64_t ack)
{
	const struct entry *entry = rt_map_find_str(es->by_name, name);

	rt_counters_add(es->uses.counters, RT_COUNT_EVENTS, 1);
	if (entry == NULL)
		refuse_unknown(es, c, name, ack);
	else if (arg == NULL)
		refuse(es, c, name, ack, "bad_request", "The event needs one object as its argument", 0);
	else if (within_user_rate(es, c, entry->def, name, ack))
		run(es, c, entry, arg, ack);
}

/* One token a connection. */
static bool
within_rate(struct rt_client_events *es, struct rt_client *c, const char *name, int64_t ack)
{
	double per_s = es->uses.rates->events_per_s;
	uint32_t retry_ms;

	if (rt_limit_take(&c->events, rt_loop_now_ms(es->uses.loop), per_s, per_s * 2, &retry_ms))
		return true;
	rt_counters_add(es->uses.counters, RT_COUNT_RATE_LIMITED, 1);
	refuse(es, c, name, ack, "rate_limited", "Too many events", retry_ms);
	return false;
}

/* ---- held events -------------------------------------------------------------------------- */

static bool
hold(struct rt_client *c, const struct rt_socket_event *e)
{
	struct held_event *h;

	if (c->held == NULL)
	{
		c->held = rt_alloc(sizeof(*c->held));
		c->held->tail = &c->held->head;
	}
	if (c->held->count == HELD_MAX || c->held->bytes + e->arg_len > HELD_BYTES_MAX)
		return false;
	h = rt_alloc(sizeof(*h));
	h->name = rt_strdup(e->name);
	if (e->members != NULL)
	{
		h->arg = rt_strndup(e->members->text, e->members->len);
		h->members = *e->members;
		rt_json_scan_move(&h->members, h->arg);
	}
	h->ack = e->ack;
	*c->held->tail = h;
	c->held->tail = &h->next;
	c->held->count++;
	c->held->bytes += h->members.len;
	return true;
}

static struct held_event *
pop_held(struct rt_client *c)
{
	struct held_event *h = c->held == NULL ? NULL : c->held->head;

	if (h == NULL)
		return NULL;
	c->held->head = h->next;
	if (h->next == NULL)
		c->held->tail = &c->held->head;
	c->held->count--;
	c->held->bytes -= h->members.len;
	if (c->held->count == 0)
	{
		free(c->held);
		c->held = NULL;
	}
	return h;
}

static void
free_held(struct held_event *h)
{
	free(h->name);
	free(h->arg);
	free(h);
}

void
rt_client_event_forget_held(struct rt_client *c)
{
	struct held_event *h;

	while ((h = pop_held(c)) != NULL)
		free_held(h);
}

void
rt_client_event_raise_barrier(struct rt_client *c)
{
	c->barriers++;
}

void
rt_client_event_lower_barrier(struct rt_client_events *es, struct rt_client *c)
{
	struct held_event *h;

	c->barriers--;
	while (c->barriers == 0 && (h = pop_held(c)) != NULL)
	{
		begin(es, c, h->name, h->arg == NULL ? NULL : &h->members, h->ack);
		free_held(h);
	}
}

void
rt_client_event_inject(struct rt_client_events *es, struct rt_client *c, const char *name, const char *json)
{
	struct rt_socket_event e = {.name = name, .arg = json, .arg_len = strlen(json), .nargs = 1, .ack = RT_NO_ACK};
	struct rt_json_members members;
	const char *p = json;

	if (rt_json_scan_members(&p, json + e.arg_len, &members) == RT_OK)
		e.members = &members;
	if (c->barriers == 0)
		begin(es, c, name, e.members, RT_NO_ACK);
	else if (!hold(c, &e))
		rt_socket_disconnect(c->socket, "too many events wait");
}

void
rt_client_event_arrive(struct rt_client_events *es, struct rt_socket *s, const struct rt_socket_event *e)
{
	struct rt_client *c = rt_socket_data(s);

	if (c == NULL || c->user == NULL || !within_rate(es, c, e->name, e->ack))
		return;
	if (e->error != NULL)
		refuse(es, c, e->name, e->ack, "bad_request", e->error, 0);
	else if (c->barriers == 0)
		begin(es, c, e->name, e->members, e->ack);
	else if (!hold(c, e))
		refuse(es, c, e->name, e->ack, "rate_limited", "Too many events wait for an earlier one", 1000);
}
