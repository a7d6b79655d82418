/* work.c: from a request to its answer; see work.h.  control.c owns it.
 *
 *   notification ──┐
 *                  ├──> inbox ──> at the turn's end: rt_ops_run() for each ──> answers, in batches ──> media_answer
 *   media_fetch  ──┘
 *
 * What must stay true: requests are carried out in the order of their numbers, each once; a fetch is under way at
 * most once, and what is notified meanwhile waits for it, since it may hold older ones; and what a request made is
 * undone when the database says that nobody waits for its answer any more. */
#include "work.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/dbjson.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "inbox.h"
#include "ops.h"

#define RETRY_MS 500
#define FULL_PAGE 200
#define ANSWER_TRIES 8
#define REQUEST_PREFIX "{\"event\":\"rt:media-request\""

struct rt_work
{
	struct rt_loop *loop;
	struct rt_db *db;
	struct rt_ops ops;
	const char *worker;
	bool on;
	int relay_pid;
	struct rt_inbox *inbox;
	bool inbox_due; /* at the end of this turn */
	bool fetching, fetch_again, refetch;
};

/* Requests that were carried out, until the database has their answers. */
struct batch
{
	struct rt_work *work;
	json_t *requests, *answers;
	struct rt_timer *retry;
	int tries;
};

static void fetch(struct rt_work *w);

/* ---- answers ---- */

static void
free_batch(struct batch *b)
{
	rt_timer_free(b->retry);
	json_decref(b->requests);
	json_decref(b->answers);
	free(b);
}

static void
undo(struct rt_work *w, const json_t *requests, const char *request_id)
{
	const json_t *r;
	size_t i;

	json_array_foreach(requests, i, r)
	{
		const char *id = rt_json_str(r, "requestId");

		if (id != NULL && (request_id == NULL || strcmp(id, request_id) == 0))
			rt_ops_undo(&w->ops, r);
	}
}

static void
on_answered(void *arg, const struct rt_db_reply *r)
{
	struct batch *b = arg;
	struct rt_work *w = b->work;
	json_t *reply, *id;
	size_t i;

	if (!r->ok && w->on && ++b->tries < ANSWER_TRIES)
	{
		rt_timer_start(b->retry, RETRY_MS);
		return;
	}
	if (!r->ok)
		undo(w, b->requests, NULL); /* nobody will ever know of it */
	else
	{
		reply = rt_json_parse_object(r->json, r->json_len);
		json_array_foreach(rt_json_array(reply, "void"), i, id) if (json_is_string(id))
			undo(w, b->requests, json_string_value(id));
		json_decref(reply);
	}
	free_batch(b);
}

static void
send_answers(void *arg)
{
	struct batch *b = arg;

	rt_dbjson_call(b->work->db, "media_answer",
				   json_pack("{s:s, s:O}", "worker", b->work->worker, "answers", b->answers), on_answered, b);
}

/* ---- carrying out ---- */

static json_t *
carry_out(struct rt_work *w, const json_t *request)
{
	struct rt_ops_error e = {"internal", {""}};
	json_t *result = rt_ops_run(&w->ops, request, &e);
	const json_t *id = json_object_get(request, "requestId");

	if (!rt_json_bool(request, "reply", true))
	{
		json_decref(result);
		return NULL;
	}
	if (result != NULL)
		return json_pack("{s:O?, s:b, s:o}", "requestId", id, "ok", 1, "result", result);
	return json_pack("{s:O?, s:b, s:{s:s, s:s}}", "requestId", id, "ok", 0, "error", "code", e.code, "message",
					 e.text.message);
}

static void
carry_out_all(struct rt_work *w, json_t *requests)
{
	struct batch *b = rt_alloc(sizeof(*b));
	const json_t *request;
	size_t i;

	b->work = w;
	b->requests = json_array();
	b->answers = json_array();
	b->retry = rt_timer_new(w->loop, send_answers, b);
	json_array_foreach(requests, i, request)
	{
		json_t *answer;

		if (!rt_inbox_note(w->inbox, request))
			continue;
		answer = carry_out(w, request);
		if (answer == NULL)
			continue;
		json_array_append(b->requests, (json_t *) request);
		json_array_append_new(b->answers, answer);
	}
	if (json_array_size(b->answers))
		send_answers(b);
	else
		free_batch(b);
}

/* ---- fetching ---- */

/* What came with notifications meanwhile is behind what was fetched. */
static void
empty_inbox(struct rt_work *w)
{
	json_t *requests = rt_inbox_take(w->inbox);

	if (json_array_size(requests))
		carry_out_all(w, requests);
	json_decref(requests);
}

static void
on_fetched(void *arg, const struct rt_db_reply *r)
{
	struct rt_work *w = arg;
	json_t *reply, *requests;
	bool more = w->fetch_again;

	w->fetching = w->fetch_again = false;
	if (!w->on)
		return;
	if (!r->ok)
	{
		w->refetch = true; /* what was handed out and got lost on the way is handed out again */
		rt_log(RT_LOG_DEBUG, "work", "fetch: %s", r->message);
		return;
	}
	reply = rt_json_parse_object(r->json, r->json_len);
	requests = rt_json_array(reply, "requests");
	if (json_array_size(requests))
		carry_out_all(w, requests);
	more |= json_array_size(requests) >= FULL_PAGE;
	json_decref(reply);
	if (more)
		fetch(w);
	else
		empty_inbox(w);
}

static void
fetch(struct rt_work *w)
{
	if (!w->on)
		return;
	if (w->fetching)
	{
		w->fetch_again = true;
		return;
	}
	w->fetching = true;
	rt_dbjson_call(w->db, "media_fetch", json_pack("{s:s, s:b}", "worker", w->worker, "again", w->refetch),
				   on_fetched, w);
	w->refetch = false;
}

void
rt_work_refetch(struct rt_work *w)
{
	w->refetch = true;
	fetch(w);
}

/* ---- notifications ---- */

static void
on_inbox_due(void *arg)
{
	struct rt_work *w = arg;

	w->inbox_due = false;
	if (w->on && !w->fetching)
		empty_inbox(w);
}

/* Those that come in one turn are answered together. */
static void
take_request(struct rt_work *w, json_t *request)
{
	if (rt_inbox_push(w->inbox, request) != RT_OK)
		rt_work_refetch(w);
	else if (!w->inbox_due)
	{
		w->inbox_due = true;
		rt_loop_defer(w->loop, on_inbox_due, w);
	}
}

/* A request is taken from the relay alone.  What another process sent makes us look at what the database has, no
 * more. */
static void
take_notice(struct rt_work *w, int pid, const json_t *notice)
{
	const char *worker = rt_json_str(rt_json_object(notice, "route"), "media");
	json_t *request = json_object_get(notice, "request");

	if (!w->on || worker == NULL || strcmp(worker, w->worker) != 0)
		return;
	if (json_is_object(request) && pid == w->relay_pid)
		take_request(w, request);
	else if (request != NULL)
		rt_work_refetch(w); /* it counts as handed out */
	else
		fetch(w);
}

void
rt_work_notify(struct rt_work *w, int pid, const char *payload, size_t len)
{
	json_t *notice;

	if (len < sizeof(REQUEST_PREFIX) || memcmp(payload, REQUEST_PREFIX, sizeof(REQUEST_PREFIX) - 1) != 0)
		return;
	notice = rt_json_parse_object(payload, len);
	take_notice(w, pid, notice);
	json_decref(notice);
}

void
rt_work_trust(struct rt_work *w, int relay_pid)
{
	w->relay_pid = relay_pid;
}

/* ---- life ---- */

void
rt_work_begin(struct rt_work *w, struct rt_engine *e, const char *worker)
{
	w->ops.engine = e;
	w->worker = worker;
	w->on = true;
	fetch(w);
}

void
rt_work_pause(struct rt_work *w)
{
	w->on = false;
	json_decref(rt_inbox_take(w->inbox));
}

struct rt_work *
rt_work_new(struct rt_loop *l, struct rt_db *db, const json_t *caps, const struct rt_meter *m)
{
	struct rt_work *w = rt_alloc(sizeof(*w));

	w->loop = l;
	w->db = db;
	w->ops.caps = caps;
	w->ops.meter = m;
	w->inbox = rt_inbox_new();
	return w;
}

void
rt_work_free(struct rt_work *w)
{
	if (w == NULL)
		return;
	rt_inbox_free(w->inbox);
	free(w);
}
