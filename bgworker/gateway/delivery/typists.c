/* typists.c: see typists.h.
 *
 * The gateway of whoever types tells that it goes on, at least every 4 s, and that it has ended (chat/typing.c).  A
 * gateway that was killed or stopped, or has lost the database, tells neither.  So every gateway keeps what it has
 * told its own clients, and ends it after SILENT_MS.  That needs no database.
 *
 * An entry is one user in one room, or one participant of a meeting, for clients know no more.  It is in one of two
 * lists: of those who type, and of those whose end was told here.  The second are kept for KEPT_MS, because the end
 * may come after all, and clients are told of it once.  In both lists all entries last equally long, so each is in
 * the order of its ends, and one timer does for both.
 *
 * Limit: ENTRIES_MAX entries; whoever types beyond that is not kept. */
#include "typists.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/json.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/bus/notice.h"
#include "route.h"

#define SILENT_MS 6000
#define KEPT_MS 60000
#define ENTRIES_MAX 100000

struct typist
{
	char *key;
	char *route;   /* as the last event had it */
	char *payload; /* likewise */
	const char *event;
	const char *flag; /* the payload's key that says whether it goes on */
	struct list *list;
	uint64_t ends_ms;
	struct typist *next, **prevp;
};

struct list
{
	struct typist *first, **last;
	uint64_t lasts_ms;
};

struct rt_typists
{
	struct rt_loop *loop;
	rt_typists_cb cb;
	void *arg;
	struct rt_map *by_key;
	struct list typing;
	struct list ended;
	struct rt_timer *timer;
};

/* The events that say who types, and the one after which nobody must hear of it. */
enum what
{
	NOTHING,
	IN_ROOM,
	IN_MEETING,
	LEFT
};

static const struct
{
	const char *event;
	const char *who;
	const char *flag;
} kinds[] = {
	[IN_ROOM] = {"chat-user-typing", "userId", "isTyping"},
	[IN_MEETING] = {"user-typing", "participantId", "typing"},
	[LEFT] = {"participant-left", "participantId", NULL},
};

/* ---- the lists ------------------------------------------------------------------------- */

static void
list_init(struct list *l, uint64_t lasts_ms)
{
	l->first = NULL;
	l->last = &l->first;
	l->lasts_ms = lasts_ms;
}

static void
unlink_typist(struct typist *t)
{
	*t->prevp = t->next;
	if (t->next != NULL)
		t->next->prevp = t->prevp;
	else
		t->list->last = t->prevp;
}

static void
start_timer(struct rt_typists *ts)
{
	uint64_t now_ms = rt_loop_now_ms(ts->loop);
	uint64_t ends_ms = UINT64_MAX;

	if (ts->typing.first != NULL)
		ends_ms = ts->typing.first->ends_ms;
	if (ts->ended.first != NULL && ts->ended.first->ends_ms < ends_ms)
		ends_ms = ts->ended.first->ends_ms;
	if (ends_ms != UINT64_MAX)
		rt_timer_start(ts->timer, ends_ms > now_ms ? ends_ms - now_ms : 0);
}

static void
append(struct rt_typists *ts, struct list *l, struct typist *t)
{
	t->list = l;
	t->ends_ms = rt_loop_now_ms(ts->loop) + l->lasts_ms;
	t->next = NULL;
	t->prevp = l->last;
	*l->last = t;
	l->last = &t->next;
	if (l->first == t)
		start_timer(ts);
}

static void
drop(struct rt_typists *ts, struct typist *t)
{
	unlink_typist(t);
	rt_map_take_str(ts->by_key, t->key);
	free(t->key);
	free(t->route);
	free(t->payload);
	free(t);
}

/* ---- an end that nobody has told ---------------------------------------------------------- */

static char *
iso_now(char *buffer, size_t size)
{
	uint64_t now_us = rt_clock_of_day_us();
	time_t now = (time_t) (now_us / 1000000);
	struct tm tm;
	size_t n;

	gmtime_r(&now, &tm);
	n = strftime(buffer, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buffer + n, size - n, ".%03dZ", (int) (now_us / 1000 % 1000));
	return buffer;
}

/* The last event once more, but that it has ended; the caller frees it.  NULL: it was no such event. */
static char *
write_end(const struct typist *t)
{
	json_t *o = rt_json_parse_object(t->payload, strlen(t->payload));
	json_t *route = rt_json_parse_object(t->route, strlen(t->route));
	char timestamp[40];
	char *text = NULL;

	if (o != NULL && route != NULL)
	{
		json_object_set_new(o, t->flag, json_false());
		if (json_object_get(o, "timestamp") != NULL)
			json_object_set_new(o, "timestamp", json_string(iso_now(timestamp, sizeof(timestamp))));
		json_object_set_new(o, "event", json_string(t->event));
		json_object_set(o, "route", route);
		text = json_dumps(o, JSON_COMPACT);
	}
	json_decref(o);
	json_decref(route);
	return text;
}

static void
tell_end(struct rt_typists *ts, const struct typist *t)
{
	char *text = write_end(t);
	struct rt_notice n;
	struct rt_route r;

	if (text != NULL && rt_notice_parse(&n, text, strlen(text)))
	{
		rt_route_parse(&r, n.route.text, n.route.len);
		ts->cb(ts->arg, &r, &n);
		rt_route_fini(&r);
	}
	free(text);
}

static void
on_timer(void *arg)
{
	struct rt_typists *ts = arg;
	uint64_t now_ms = rt_loop_now_ms(ts->loop);
	struct typist *t;

	while ((t = ts->ended.first) != NULL && t->ends_ms <= now_ms)
		drop(ts, t);
	while ((t = ts->typing.first) != NULL && t->ends_ms <= now_ms)
	{
		tell_end(ts, t);
		unlink_typist(t);
		append(ts, &ts->ended, t);
	}
	start_timer(ts);
}

struct rt_typists *
rt_typists_new(struct rt_loop *l, rt_typists_cb cb, void *arg)
{
	struct rt_typists *ts = rt_alloc(sizeof(*ts));

	ts->loop = l;
	ts->cb = cb;
	ts->arg = arg;
	ts->by_key = rt_map_new();
	list_init(&ts->typing, SILENT_MS);
	list_init(&ts->ended, KEPT_MS);
	ts->timer = rt_timer_new(l, on_timer, ts);
	return ts;
}

void
rt_typists_free(struct rt_typists *ts)
{
	if (ts == NULL)
		return;
	while (ts->typing.first != NULL)
		drop(ts, ts->typing.first);
	while (ts->ended.first != NULL)
		drop(ts, ts->ended.first);
	rt_map_free(ts->by_key);
	rt_timer_free(ts->timer);
	free(ts);
}

/* ---- events ------------------------------------------------------------------------------ */

static enum what
what_is(const struct rt_route *r, const struct rt_notice *n)
{
	if (n->truncated)
		return NOTHING;
	if (r->kind == RT_ROUTE_ROOM && rt_notice_is(n, kinds[IN_ROOM].event))
		return IN_ROOM;
	if (r->kind == RT_ROUTE_MEETING && rt_notice_is(n, kinds[IN_MEETING].event))
		return IN_MEETING;
	if (r->kind == RT_ROUTE_MEETING && rt_notice_is(n, kinds[LEFT].event))
		return LEFT;
	return NOTHING;
}

/* Of the payload: who it is, as the JSON has it, and whether it goes on.  False: it is no such payload. */
static bool
read_payload(const struct rt_text *payload, enum what what, struct rt_json_span *who, bool *goes_on)
{
	struct rt_json_pick picks[2] = {{.key = kinds[what].who}, {.key = kinds[what].flag}};
	struct rt_json_rest rest;

	*goes_on = false;
	if (rt_json_scan_split(payload->data, payload->len, picks, kinds[what].flag == NULL ? 1 : 2, &rest) != RT_OK)
		return false;
	*who = picks[0].value;
	return who->text != NULL && (kinds[what].flag == NULL || rt_json_scan_bool(&picks[1].value, goes_on));
}

/* Ids are digits: a room's key and a meeting's differ by their first letter. */
static void
write_key(struct rt_text *key, enum what what, const char *place, const struct rt_json_span *who)
{
	rt_text_addf(key, "%c%s ", what == IN_ROOM ? 'r' : 'm', place);
	rt_text_add_n(key, who->text, who->len);
}

static void
keep(struct rt_typists *ts, struct typist *t, enum what what, const struct rt_notice *n, struct rt_text *payload)
{
	t->event = kinds[what].event;
	t->flag = kinds[what].flag;
	free(t->route);
	t->route = rt_strndup(n->route.text, n->route.len);
	free(t->payload);
	t->payload = payload->data;
	rt_text_init(payload);
	append(ts, &ts->typing, t);
}

static void
go_on(struct rt_typists *ts, struct typist *t, const struct rt_text *key, enum what what, const struct rt_notice *n,
	  struct rt_text *payload)
{
	if (t != NULL)
		unlink_typist(t);
	else if (rt_map_count(ts->by_key) < ENTRIES_MAX)
	{
		t = rt_alloc(sizeof(*t));
		t->key = rt_strdup(key->data);
		rt_map_put_str(ts->by_key, t->key, t);
	}
	if (t != NULL)
		keep(ts, t, what, n, payload);
}

/* False: its end was told already. */
static bool
end(struct rt_typists *ts, struct typist *t)
{
	bool told = t->list == &ts->ended;

	drop(ts, t);
	return !told;
}

bool
rt_typists_note(struct rt_typists *ts, const struct rt_route *r, const struct rt_notice *n)
{
	enum what what = what_is(r, n);
	struct rt_text payload;
	struct rt_text key;
	struct rt_json_span who;
	struct typist *t;
	bool goes_on;
	bool send = true;

	if (what == NOTHING)
		return true;
	rt_text_init(&payload);
	rt_text_init(&key);
	rt_notice_payload(n, &payload);
	if (read_payload(&payload, what, &who, &goes_on))
	{
		write_key(&key, what, r->room, &who);
		t = rt_map_find_str(ts->by_key, key.data);
		if (goes_on)
			go_on(ts, t, &key, what, n, &payload);
		else if (t != NULL)
			send = end(ts, t) || what == LEFT;
	}
	rt_text_fini(&key);
	rt_text_fini(&payload);
	return send;
}
