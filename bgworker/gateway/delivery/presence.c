/* presence.c: see presence.h.
 *
 * Four queues, each with a timer of its own:
 *
 * - gone: connections that have ended.  They go to rt_api.disconnect in batches.  One call is under way at a
 *   time, so the order stays; what it could not tell is told again.  Above GONE_MAX the oldest is forgotten:
 *   the database ends it with this gateway, or when it counts connections that nobody reports.
 * - going: users without a client here.  All wait equally long, so they are in the order of their due times.
 *   A user who is back by then is not told of.  The database decides whether they are offline: they may be at
 *   another gateway.
 * - unknown: statuses of users in many rooms, whose event does not name these.  The database is asked for the rooms
 *   of up to ASK_MAX users at once, one call at a time (asked).  Of several of one user the last counts.
 * - waiting: statuses that wait for the end of the window.  Of several of one user the last counts.
 *
 * What must stay true: a status that waited carries the bus's position of when it is sent, not its own: with its own
 * a client that breaks off would get the events in between a second time. */
#include "presence.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/conf.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/engineio/frame.h"
#include "bgworker/gateway/socketio/sio_packet.h"
#include "bgworker/gateway/clients/room.h"
#include "route.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/clients/user.h"

#define BATCH_MAX 500
#define GONE_MAX 100000 /* beyond it the oldest is forgotten; the database ends it with this gateway */
#define RETRY_MS 500
#define WINDOW_MS 250
#define ASK_MAX 200
#define ASK_GATHER_MS 10
#define SWEEP_TICK_MS 100

/* A connection that has ended and that the database has to be told of. */
struct gone
{
	struct gone *next;
	char *user;
	char sid[24];
	uint64_t serial;
	bool recoverable;
};

/* A user without a client here, until the grace is over. */
struct going
{
	struct going *next;
	char *user;
	uint64_t due_ms;
};

/* A status that waits for the end of the window. */
struct waiting_status
{
	char *user; /* whose it is; the key */
	json_t *rooms;
	struct rt_frame *frame;
	struct waiting_status *next;
};

/* A status whose rooms the database has to tell. */
struct unknown
{
	struct unknown *next;
	char *user; /* the key */
	struct rt_frame *frame;
};

struct rt_presence
{
	struct rt_presence_uses uses;

	struct gone *gone, **gone_tail;
	size_t ngone;
	struct gone *telling; /* in the call that is under way */
	struct rt_timer *gone_timer;

	struct going *going, **going_tail;
	struct rt_timer *going_timer;

	struct rt_map *unknown; /* statuses by user; in their order from first_unknown */
	struct unknown *first_unknown, **last_unknown;
	struct unknown *asked; /* in the call that is under way */
	struct rt_timer *ask_timer;

	struct rt_map *waiting; /* statuses by user; in their order from first_waiting */
	struct waiting_status *first_waiting, **last_waiting;
	struct rt_timer *window;
	bool window_open;
};

void
rt_presence_read_settings(struct rt_presence_settings *s, struct rt_conf *c)
{
	s->grace_ms = (uint64_t) rt_conf_int(c, "presence_grace");
}

/* ---- ended connections ---------------------------------------------------------------- */

static void
free_gone(struct gone *g)
{
	free(g->user);
	free(g);
}

static void
append_gone(struct rt_presence *p, struct gone *g)
{
	g->next = NULL;
	*p->gone_tail = g;
	p->gone_tail = &g->next;
	p->ngone++;
}

static struct gone *
pop_gone(struct rt_presence *p)
{
	struct gone *g = p->gone;

	if (g == NULL)
		return NULL;
	p->gone = g->next;
	if (p->gone == NULL)
		p->gone_tail = &p->gone;
	p->ngone--;
	return g;
}

static void tell_gone(struct rt_presence *p);

static void
on_gone_told(void *arg, const struct rt_db_reply *reply)
{
	struct rt_presence *p = arg;
	struct gone *g;

	while ((g = p->telling) != NULL)
	{
		p->telling = g->next;
		if (!reply->ok && strcmp(reply->code, "unavailable") == 0 && !p->uses.self->ending)
			append_gone(p, g);
		else
			free_gone(g);
	}
	if (p->gone != NULL)
		rt_timer_start(p->gone_timer, reply->ok ? 0 : RETRY_MS);
}

static void
write_gone(struct rt_text *t, const struct gone *g)
{
	rt_text_add(t, "{\"sid\":");
	rt_text_quote(t, g->sid);
	rt_text_add(t, ",\"user\":");
	rt_text_quote(t, g->user);
	rt_text_addf(t, ",\"serial\":%llu,\"recoverable\":%s}", (unsigned long long) g->serial,
				 g->recoverable ? "true" : "false");
}

static void
tell_gone(struct rt_presence *p)
{
	struct rt_text t;
	struct gone *g;

	if (p->telling != NULL || p->gone == NULL)
		return;
	rt_text_init(&t);
	rt_text_add(&t, "{\"gateway\":");
	rt_text_quote(&t, p->uses.self->name);
	rt_text_add(&t, ",\"connections\":[");
	for (int i = 0; i < BATCH_MAX && (g = pop_gone(p)) != NULL; i++)
	{
		rt_text_add(&t, i == 0 ? "" : ",");
		write_gone(&t, g);
		g->next = p->telling;
		p->telling = g;
	}
	rt_text_add(&t, "]}");
	rt_db_call(p->uses.db, RT_DB_FAST, "disconnect", NULL, t.data, t.len, on_gone_told, p);
	rt_text_fini(&t);
}

static void
on_gone_timer(void *arg)
{
	tell_gone(arg);
}

/* ---- the grace ------------------------------------------------------------------------ */

static void
on_swept(void *arg, const struct rt_db_reply *reply)
{
	/* A sweep that failed is made up for by the database, which looks after users without connections. */
	if (!reply->ok)
		rt_log(RT_LOG_WARNING, "presence", "the sweep of users who have gone failed: %s", reply->code);
}

static void
sweep(struct rt_presence *p, const struct rt_text *users)
{
	struct rt_text t;

	rt_text_init(&t);
	rt_text_add(&t, "{\"gateway\":");
	rt_text_quote(&t, p->uses.self->name);
	rt_text_add(&t, ",\"users\":[");
	rt_text_add_n(&t, users->data, users->len);
	rt_text_add(&t, "]}");
	rt_db_call(p->uses.db, RT_DB_FAST, "presence_sweep", NULL, t.data, t.len, on_swept, p);
	rt_text_fini(&t);
}

static void
on_going_timer(void *arg)
{
	struct rt_presence *p = arg;
	uint64_t now_ms = rt_loop_now_ms(p->uses.loop);
	struct rt_text users;
	int n = 0;

	rt_text_init(&users);
	while (p->going != NULL && p->going->due_ms <= now_ms && n < BATCH_MAX)
	{
		struct going *g = p->going;

		p->going = g->next;
		if (p->going == NULL)
			p->going_tail = &p->going;
		if (rt_user_find(p->uses.users, g->user) == NULL)
		{
			rt_text_add(&users, n++ == 0 ? "" : ",");
			rt_text_quote(&users, g->user);
		}
		free(g->user);
		free(g);
	}
	if (n > 0)
		sweep(p, &users);
	rt_text_fini(&users);
	if (p->going != NULL)
		rt_timer_start(p->going_timer, SWEEP_TICK_MS);
}

static void
begin_grace(struct rt_presence *p, const char *user)
{
	struct going *g = rt_alloc(sizeof(*g));
	uint64_t grace_ms = p->uses.settings->grace_ms;

	g->user = rt_strdup(user);
	g->due_ms = rt_loop_now_ms(p->uses.loop) + grace_ms;
	if (p->going == NULL)
		rt_timer_start(p->going_timer, grace_ms);
	*p->going_tail = g;
	p->going_tail = &g->next;
}

void
rt_presence_gone(struct rt_presence *p, const char *user, const char *sid, uint64_t serial, bool last,
				 bool recoverable)
{
	struct gone *g = rt_alloc(sizeof(*g));

	g->user = rt_strdup(user);
	if (sid != NULL)
		memcpy(g->sid, sid, strnlen(sid, sizeof(g->sid) - 1));
	g->serial = serial;
	g->recoverable = recoverable;
	if (p->ngone == GONE_MAX)
		free_gone(pop_gone(p));
	append_gone(p, g);
	if (p->telling == NULL)
		rt_timer_start(p->gone_timer, 0);
	if (last)
		begin_grace(p, user);
}

/* ---- status for the contacts -------------------------------------------------------------- */

struct walk
{
	struct rt_frame *frame;
	const struct rt_socket *except;
	uint64_t mark;
};

static void
send_once(void *arg, struct rt_user *u)
{
	const struct walk *w = arg;

	if (u->mark == w->mark)
		return;
	u->mark = w->mark;
	rt_user_send(u, w->frame, w->except);
}

static void
send_to_contacts(struct rt_presence *p, const char *user, const json_t *rooms, struct rt_frame *f)
{
	struct walk w = {.frame = f, .mark = rt_users_mark(p->uses.users)};
	struct rt_user *self = rt_user_find(p->uses.users, user);
	json_t *room;
	size_t i;

	if (self != NULL)
		send_once(&w, self);
	json_array_foreach(rooms, i, room)
	{
		if (json_is_string(room))
			rt_room_each_member(p->uses.rooms, json_string_value(room), send_once, &w);
	}
}

static void
free_waiting(struct waiting_status *ws)
{
	rt_frame_unref(ws->frame);
	json_decref(ws->rooms);
	free(ws->user);
	free(ws);
}

static void
wait_for_window(struct rt_presence *p, const char *user, json_t *rooms, struct rt_frame *f)
{
	struct waiting_status *ws = rt_map_find_str(p->waiting, user);

	if (ws == NULL)
	{
		ws = rt_alloc(sizeof(*ws));
		ws->user = rt_strdup(user);
		rt_map_put_str(p->waiting, ws->user, ws);
		*p->last_waiting = ws;
		p->last_waiting = &ws->next;
	}
	else
	{
		rt_frame_unref(ws->frame);
		json_decref(ws->rooms);
	}
	ws->frame = rt_frame_ref(f);
	ws->rooms = json_incref(rooms);
}

/* What came before it is behind it now: with the position that it had then, a client that breaks off here would get
 * the events in between a second time. */
static void
send_late(struct rt_presence *p, const struct waiting_status *ws)
{
	struct rt_frame *f = rt_sio_packet_event_at(ws->frame, rt_bus_pos(p->uses.bus));

	send_to_contacts(p, ws->user, ws->rooms, f);
	rt_frame_unref(f);
}

static void
on_window(void *arg)
{
	struct rt_presence *p = arg;
	struct waiting_status *ws = p->first_waiting;

	p->window_open = ws != NULL;
	if (ws == NULL)
		return;
	p->first_waiting = NULL;
	p->last_waiting = &p->first_waiting;
	while (ws != NULL)
	{
		struct waiting_status *next = ws->next;

		rt_map_take_str(p->waiting, ws->user);
		send_late(p, ws);
		free_waiting(ws);
		ws = next;
	}
	rt_timer_start(p->window, WINDOW_MS);
}

static void
send_status(struct rt_presence *p, const char *user, json_t *rooms, struct rt_frame *f)
{
	if (p->window_open)
	{
		wait_for_window(p, user, rooms, f);
		return;
	}
	send_to_contacts(p, user, rooms, f);
	p->window_open = true;
	rt_timer_start(p->window, WINDOW_MS);
}

/* ---- rooms that the event does not name ---------------------------------------------- */

static void
free_unknown(struct unknown *u)
{
	rt_frame_unref(u->frame);
	free(u->user);
	free(u);
}

static void
add_unknown(struct rt_presence *p, const char *user, struct rt_frame *f)
{
	struct unknown *u = rt_map_find_str(p->unknown, user);

	if (u == NULL)
	{
		u = rt_alloc(sizeof(*u));
		u->user = rt_strdup(user);
		rt_map_put_str(p->unknown, u->user, u);
		*p->last_unknown = u;
		p->last_unknown = &u->next;
	}
	else
		rt_frame_unref(u->frame);
	u->frame = rt_frame_ref(f);
	if (p->asked == NULL)
		rt_timer_start(p->ask_timer, ASK_GATHER_MS);
}

static struct unknown *
pop_unknown(struct rt_presence *p)
{
	struct unknown *u = p->first_unknown;

	if (u == NULL)
		return NULL;
	p->first_unknown = u->next;
	if (p->first_unknown == NULL)
		p->last_unknown = &p->first_unknown;
	rt_map_take_str(p->unknown, u->user);
	return u;
}

/* With the position of now: what came meanwhile is with the clients already. */
static void
send_known(struct rt_presence *p, const struct unknown *u, const json_t *answer)
{
	struct rt_frame *f = rt_sio_packet_event_at(u->frame, rt_bus_pos(p->uses.bus));

	send_status(p, u->user, rt_json_array(answer, u->user), f);
	rt_frame_unref(f);
}

static void
on_rooms(void *arg, const struct rt_db_reply *reply)
{
	struct rt_presence *p = arg;
	json_t *answer = reply->ok ? rt_json_parse_object(reply->json, reply->json_len) : NULL;
	struct unknown *u;
	struct unknown *list = p->asked;

	p->asked = NULL;
	while ((u = list) != NULL)
	{
		list = u->next;
		if (answer != NULL)
			send_known(p, u, answer);
		else if (!p->uses.self->ending && rt_map_find_str(p->unknown, u->user) == NULL)
			add_unknown(p, u->user, u->frame);
		free_unknown(u);
	}
	json_decref(answer);
	if (p->first_unknown != NULL)
		rt_timer_start(p->ask_timer, reply->ok ? 0 : RETRY_MS);
}

static void
on_ask_timer(void *arg)
{
	struct rt_presence *p = arg;
	struct unknown **tail = &p->asked;
	struct unknown *u;
	struct rt_text t;

	if (p->asked != NULL || p->first_unknown == NULL)
		return;
	rt_text_init(&t);
	rt_text_add(&t, "{\"users\":[");
	for (int i = 0; i < ASK_MAX && (u = pop_unknown(p)) != NULL; i++)
	{
		rt_text_add(&t, i == 0 ? "" : ",");
		rt_text_quote(&t, u->user);
		u->next = NULL;
		*tail = u;
		tail = &u->next;
	}
	rt_text_add(&t, "]}");
	rt_db_call(p->uses.db, RT_DB_FAST, "status_rooms", NULL, t.data, t.len, on_rooms, p);
	rt_text_fini(&t);
}

void
rt_presence_send(struct rt_presence *p, const struct rt_route *r, struct rt_frame *f)
{
	const char *user = rt_json_str(r->json, "contacts");
	json_t *rooms = rt_json_array(r->json, "rooms");

	if (user == NULL)
		user = "";
	if (rooms == NULL)
		add_unknown(p, user, f);
	else
		send_status(p, user, rooms, f);
}

/* ---- life ---------------------------------------------------------------------------------- */

struct rt_presence *
rt_presence_new(const struct rt_presence_uses *uses)
{
	struct rt_presence *p = rt_alloc(sizeof(*p));

	p->uses = *uses;
	p->gone_tail = &p->gone;
	p->going_tail = &p->going;
	p->last_waiting = &p->first_waiting;
	p->last_unknown = &p->first_unknown;
	p->unknown = rt_map_new();
	p->ask_timer = rt_timer_new(uses->loop, on_ask_timer, p);
	p->waiting = rt_map_new();
	p->gone_timer = rt_timer_new(uses->loop, on_gone_timer, p);
	p->going_timer = rt_timer_new(uses->loop, on_going_timer, p);
	p->window = rt_timer_new(uses->loop, on_window, p);
	return p;
}

void
rt_presence_free(struct rt_presence *p)
{
	struct gone *g;

	if (p == NULL)
		return;
	while ((g = pop_gone(p)) != NULL)
		free_gone(g);
	for (struct going *go = p->going, *next; go != NULL; go = next)
	{
		next = go->next;
		free(go->user);
		free(go);
	}
	for (struct waiting_status *ws = p->first_waiting, *next; ws != NULL; ws = next)
	{
		next = ws->next;
		free_waiting(ws);
	}
	for (struct unknown *u; (u = pop_unknown(p)) != NULL;)
		free_unknown(u);
	rt_map_free(p->unknown);
	rt_timer_free(p->ask_timer);
	rt_map_free(p->waiting);
	rt_timer_free(p->gone_timer);
	rt_timer_free(p->going_timer);
	rt_timer_free(p->window);
	free(p);
}
