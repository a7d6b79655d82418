#include "control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/json.h"
#include "../common/log.h"
#include "addresses.h"
#include "ops.h"
#include "params_caps.h"
#include "stats.h"

#define RETRY_MS 500
#define FULL_PAGE 200
#define MAX_EVENTS 2000   /* that wait for the database; beyond that the newest are left out */
#define MAX_STAT_ROWS 4000
#define ANSWER_TRIES 8
#define STOP_MS 1000
#define CHANNEL "rt_media"
#define REQUEST_PREFIX "{\"event\":\"rt:media-request\""

struct rt_control
{
	struct rt_loop *loop;
	struct rt_db *db;
	struct rt_engine *engine;
	struct rt_control_options options;
	char *announced;
	char worker[48];
	json_t *caps, *addresses;
	rt_control_cb on_ready;
	void *arg;
	bool registered, was_ready, starting, stopping;
	struct rt_timer *beat, *retry, *goodbye;
	int64_t beat_ms;
	bool fetching, fetch_again, refetch;
	json_t *events;
	bool telling;
	rt_control_cb done;
	void *done_arg;
};

/* Requests that were carried out, until the database has their answers. */
struct batch
{
	struct rt_control *control;
	json_t *requests, *answers;
	struct rt_timer *retry;
	int tries;
};

static void call(struct rt_control *c, const char *fn, json_t *req, rt_db_cb cb, void *arg);
static void register_worker(struct rt_control *c);
static void fetch(struct rt_control *c);
static void tell_events(struct rt_control *c);

/* Takes req. */
static void
call(struct rt_control *c, const char *fn, json_t *req, rt_db_cb cb, void *arg)
{
	char *text = json_dumps(req, JSON_COMPACT);

	json_decref(req);
	rt_db_call(c->db, RT_DB_FAST, fn, NULL, text, strlen(text), cb, arg);
	free(text);
}

/* ---- registering and beating ---- */

static void
on_started(void *arg, const struct rt_db_reply *r)
{
	struct rt_control *c = arg;
	json_t *reply;

	c->starting = false;
	if (c->stopping)
		return;
	if (!r->ok)
	{
		rt_log(RT_LOG_DEBUG, "control", "not registered yet: %s", r->message);
		rt_timer_start(c->retry, RETRY_MS);
		return;
	}
	reply = rt_json_parse_object(r->json, r->json_len);
	c->beat_ms = rt_json_int(reply, "heartbeatMs", 1000);
	json_decref(reply);
	if (c->beat_ms < 100 || c->beat_ms > 10000)
		c->beat_ms = 1000;
	c->registered = true;
	rt_timer_start(c->beat, (uint64_t) c->beat_ms);
	if (!c->was_ready)
		c->on_ready(c->arg);
	c->was_ready = true;
	fetch(c);
}

static void
register_worker(struct rt_control *c)
{
	char random[13], host[65] = "";
	char slot[96]; /* which worker of which host: a start in it gives up the one before */

	if (c->starting)
		return;
	c->starting = true;
	rt_ice_random(random, 12);
	snprintf(c->worker, sizeof c->worker, "media%d-%s", c->options.slot, random);
	gethostname(host, sizeof host - 1);
	snprintf(slot, sizeof slot, "%s/%d", host, c->options.slot);
	call(c, "media_start",
	     json_pack("{s:s, s:s, s:O, s:i, s:i, s:i, s:{s:s, s:s}}", "worker", c->worker, "slot", slot,
	               "addresses", c->addresses, "udpPort", c->options.port, "tcpPort", c->options.port, "capacity",
	               c->options.capacity, "fingerprint", "algorithm", "sha-256", "value",
	               rt_dtls_context_fingerprint(c->engine->dtls)),
	     on_started, c);
}

static void
on_retry(void *arg)
{
	register_worker(arg);
}

static void
on_beaten(void *arg, const struct rt_db_reply *r)
{
	struct rt_control *c = arg;
	json_t *reply;

	if (c->stopping || !r->ok)
		return;
	reply = rt_json_parse_object(r->json, r->json_len);
	if (reply && !rt_json_bool(reply, "known", true))
	{
		rt_log(RT_LOG_WARNING, "control", "given up by the database, starting afresh");
		c->registered = false;
		rt_engine_close_all(c->engine);
		rt_timer_stop(c->beat);
		register_worker(c);
	}
	json_decref(reply);
}

static void
on_beat(void *arg)
{
	struct rt_control *c = arg;
	size_t load = rt_stats_load(c->engine);
	json_t *req = json_pack("{s:s, s:I, s:o}", "worker", c->worker, "load", (json_int_t) load, "totals",
	                        rt_stats_totals(c->engine));

	if (load && load + rt_map_count(c->engine->transports) <= MAX_STAT_ROWS)
		json_object_set_new(req, "stats", rt_stats_rows(c->engine));
	call(c, "media_heartbeat", req, on_beaten, c);
	rt_timer_start(c->beat, (uint64_t) c->beat_ms);
}

/* ---- requests and answers ---- */

static void
free_batch(struct batch *b)
{
	rt_timer_free(b->retry);
	json_decref(b->requests);
	json_decref(b->answers);
	free(b);
}

static struct rt_ops
ops_of(struct rt_control *c)
{
	return (struct rt_ops){c->engine, c->caps, c->addresses, c->options.port};
}

static void
undo(struct rt_control *c, const json_t *requests, const char *request_id)
{
	struct rt_ops ops = ops_of(c);
	const json_t *r;
	size_t i;

	json_array_foreach(requests, i, r)
	{
		const char *id = rt_json_str(r, "requestId");

		if (id && (!request_id || strcmp(id, request_id) == 0))
			rt_ops_undo(&ops, r);
	}
}

static void send_answers(void *arg);

static void
on_answered(void *arg, const struct rt_db_reply *r)
{
	struct batch *b = arg;
	struct rt_control *c = b->control;
	json_t *reply, *id;
	size_t i;

	if (!r->ok && !c->stopping && ++b->tries < ANSWER_TRIES)
	{
		rt_timer_start(b->retry, RETRY_MS);
		return;
	}
	if (!r->ok)
		undo(c, b->requests, NULL); /* nobody will ever know of it */
	else
	{
		reply = rt_json_parse_object(r->json, r->json_len);
		json_array_foreach(rt_json_array(reply, "void"), i, id)
			if (json_is_string(id))
				undo(c, b->requests, json_string_value(id));
		json_decref(reply);
	}
	free_batch(b);
}

static void
send_answers(void *arg)
{
	struct batch *b = arg;

	call(b->control, "media_answer", json_pack("{s:s, s:O}", "worker", b->control->worker, "answers", b->answers),
	     on_answered, b);
}

static json_t *
carry_out(struct rt_control *c, const json_t *request)
{
	struct rt_ops ops = ops_of(c);
	struct rt_ops_error e = {"internal", {""}};
	json_t *result = rt_ops_run(&ops, request, &e);
	const json_t *id = json_object_get(request, "requestId");

	if (!rt_json_bool(request, "reply", true))
	{
		json_decref(result);
		return NULL;
	}
	if (result)
		return json_pack("{s:O?, s:b, s:o}", "requestId", id, "ok", 1, "result", result);
	return json_pack("{s:O?, s:b, s:{s:s, s:s}}", "requestId", id, "ok", 0, "error", "code", e.code, "message",
	                 e.text.message);
}

static void
carry_out_all(struct rt_control *c, json_t *requests)
{
	struct batch *b = rt_alloc(sizeof *b);
	const json_t *request;
	size_t i;

	b->control = c;
	b->requests = json_incref(requests);
	b->answers = json_array();
	b->retry = rt_timer_new(c->loop, send_answers, b);
	json_array_foreach(requests, i, request)
	{
		json_t *answer = carry_out(c, request);

		if (answer)
			json_array_append_new(b->answers, answer);
	}
	if (json_array_size(b->answers))
		send_answers(b);
	else
		free_batch(b);
}

static void
on_fetched(void *arg, const struct rt_db_reply *r)
{
	struct rt_control *c = arg;
	json_t *reply, *requests;
	bool more = c->fetch_again;

	c->fetching = c->fetch_again = false;
	if (c->stopping || !c->registered)
		return;
	if (!r->ok)
	{
		c->refetch = true; /* what was handed out and got lost on the way is handed out again */
		rt_log(RT_LOG_DEBUG, "control", "fetch: %s", r->message);
		return;
	}
	reply = rt_json_parse_object(r->json, r->json_len);
	requests = rt_json_array(reply, "requests");
	if (json_array_size(requests))
		carry_out_all(c, requests);
	more |= json_array_size(requests) >= FULL_PAGE;
	json_decref(reply);
	if (more)
		fetch(c);
}

static void
fetch(struct rt_control *c)
{
	if (!c->registered || c->stopping)
		return;
	if (c->fetching)
	{
		c->fetch_again = true;
		return;
	}
	c->fetching = true;
	call(c, "media_fetch", json_pack("{s:s, s:b}", "worker", c->worker, "again", c->refetch), on_fetched, c);
	c->refetch = false;
}

/* Whoever sent it: it makes the worker look at what the database has for it, no more. */
static void
on_notify(void *arg, int pid, const char *payload, size_t len)
{
	struct rt_control *c = arg;
	json_t *notice;
	const char *worker;

	(void) pid;
	if (len < sizeof REQUEST_PREFIX || memcmp(payload, REQUEST_PREFIX, sizeof REQUEST_PREFIX - 1) != 0)
		return;
	notice = rt_json_parse_object(payload, len);
	worker = rt_json_str(rt_json_object(notice, "route"), "media");
	if (worker && strcmp(worker, c->worker) == 0)
		fetch(c);
	json_decref(notice);
}

static void
on_listen(void *arg, bool listening)
{
	struct rt_control *c = arg;

	if (!listening)
		return;
	c->refetch = true;
	fetch(c);
	tell_events(c);
}

/* ---- events ---- */

static void
on_told(void *arg, const struct rt_db_reply *r)
{
	struct rt_control *c = arg;

	c->telling = false;
	if (!r->ok)
		rt_log(RT_LOG_DEBUG, "control", "events: %s", r->message);
	tell_events(c);
}

static void
tell_events(struct rt_control *c)
{
	json_t *events = c->events;

	if (c->telling || !c->registered || json_array_size(events) == 0 || c->stopping)
		return;
	c->telling = true;
	c->events = json_array();
	call(c, "media_event", json_pack("{s:s, s:o}", "worker", c->worker, "events", events), on_told, c);
}

static void
on_turn_end(void *arg)
{
	tell_events(arg);
}

void
rt_control_event(void *arg, const char *json)
{
	struct rt_control *c = arg;

	if (json_array_size(c->events) >= MAX_EVENTS)
		return;
	json_array_append_new(c->events, rt_json_parse_object(json, strlen(json)));
	if (json_array_size(c->events) == 1)
		rt_loop_defer(c->loop, on_turn_end, c);
}

/* ---- life ---- */

static void
on_goodbye_timeout(void *arg)
{
	struct rt_control *c = arg;
	rt_control_cb done = c->done;

	c->done = NULL;
	if (done)
		done(c->done_arg);
}

static void
on_stopped(void *arg, const struct rt_db_reply *r)
{
	(void) r;
	on_goodbye_timeout(arg);
}

void
rt_control_stop(struct rt_control *c, rt_control_cb done, void *arg)
{
	c->stopping = true;
	c->done = done;
	c->done_arg = arg;
	rt_timer_stop(c->beat);
	rt_timer_stop(c->retry);
	rt_timer_start(c->goodbye, STOP_MS);
	call(c, "media_stop", json_pack("{s:s}", "worker", c->worker), on_stopped, c);
}

static void
on_begin(void *arg)
{
	register_worker(arg);
}

struct rt_control *
rt_control_new(struct rt_loop *l, struct rt_db *db, const struct rt_control_options *o, rt_control_cb on_ready,
               void *arg)
{
	struct rt_control *c = rt_alloc(sizeof *c);

	c->loop = l;
	c->db = db;
	c->options = *o;
	c->announced = rt_strdup(o->announced);
	c->on_ready = on_ready;
	c->arg = arg;
	c->caps = rt_params_router_caps();
	c->events = json_array();
	c->beat = rt_timer_new(l, on_beat, c);
	c->retry = rt_timer_new(l, on_retry, c);
	c->goodbye = rt_timer_new(l, on_goodbye_timeout, c);
	return c;
}

void
rt_control_set_engine(struct rt_control *c, struct rt_engine *e)
{
	c->engine = e;
	c->addresses = rt_addresses(c->announced, e->port);
	rt_db_listen(c->db, CHANNEL, on_notify, on_listen, c);
	rt_loop_defer(c->loop, on_begin, c);
}

void
rt_control_free(struct rt_control *c)
{
	if (!c)
		return;
	rt_timer_free(c->beat);
	rt_timer_free(c->retry);
	rt_timer_free(c->goodbye);
	json_decref(c->caps);
	json_decref(c->addresses);
	json_decref(c->events);
	free(c->announced);
	free(c);
}
