/* signalling.c: see signalling.h.
 *
 * A request has two ends that come in either order: the reply of rt_api.media_request, and the worker's answer over
 * the bus.  It is freed when its event has been answered and the call is back.
 *
 * What must stay true:
 *
 * - Each event is answered once: by the worker, by the database, or after ANSWER_WITHIN_MS with
 *   `unavailable`.  An answer to an unknown tag is one of a request that was given up, and ignored.
 * - A request is a barrier for its client's later events only until the database has it.  So requests of one
 *   client reach the worker in their order, and do not wait for one another's answers.
 * - All requests last equally long, so the list is in the order of their ends and one timer does for all.
 * - Answers that are too long for the bus wait in the database (`stored`).  They are fetched up to FETCHES_MAX
 *   at a time, one call after the other.
 *
 * Limit: REQUESTS_MAX requests, and as many answers to fetch; beyond it `unavailable` is the answer. */
#include "signalling.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/db/dbjson.h"
#include "bgworker/common/json.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/clients/client_event.h"
#include "bgworker/gateway/clients/client.h"

#define ANSWER_WITHIN_MS 5000
#define REQUESTS_MAX 20000 /* in all; beyond it `unavailable` */
#define FETCHES_MAX 200    /* a call; the rest goes with the next one */
#define TAG_LEN 20

/* One request.  It ends when its event has been answered and the database's call of it is back. */
struct request
{
	struct rt_signalling *signals;
	char tag[TAG_LEN + 1];
	uint64_t client;               /* serial */
	struct rt_client_event *event; /* NULL: answered */
	bool calling;                  /* media_request is under way */
	uint64_t ends_ms;
	struct request *next, **prevp; /* in the order of their ends */
};

struct rt_signalling
{
	struct rt_signalling_uses uses;
	struct rt_map *requests; /* by tag */
	uint64_t last_tag;
	struct request *first, **last;
	struct rt_timer *timer;
	json_t *stored; /* ids of answers that wait in the database */
	bool fetching;
};

/* ---- requests ---------------------------------------------------------------------------- */

static struct request *
new_request(struct rt_signalling *sg, struct rt_client_event *e)
{
	struct request *r = rt_alloc(sizeof(*r));

	r->signals = sg;
	r->event = e;
	r->client = e->client;
	snprintf(r->tag, sizeof(r->tag), "%" PRIu64, ++sg->last_tag);
	rt_map_put_str(sg->requests, r->tag, r);
	r->ends_ms = rt_loop_now_ms(sg->uses.loop) + ANSWER_WITHIN_MS;
	r->prevp = sg->last;
	*sg->last = r;
	sg->last = &r->next;
	if (sg->first == r)
		rt_timer_start(sg->timer, ANSWER_WITHIN_MS);
	return r;
}

static void
free_request(struct rt_signalling *sg, struct request *r)
{
	*r->prevp = r->next;
	if (r->next != NULL)
		r->next->prevp = r->prevp;
	else
		sg->last = r->prevp;
	rt_map_take_str(sg->requests, r->tag);
	free(r);
}

/* Takes the event for its answer; the request may be gone then. */
static struct rt_client_event *
take_event(struct rt_signalling *sg, struct request *r)
{
	struct rt_client_event *e = r->event;

	r->event = NULL;
	if (!r->calling)
		free_request(sg, r);
	return e;
}

static void
on_timer(void *arg)
{
	struct rt_signalling *sg = arg;
	uint64_t now_ms = rt_loop_now_ms(sg->uses.loop);
	struct request *next;

	for (struct request *r = sg->first; r != NULL && r->ends_ms <= now_ms; r = next)
	{
		next = r->next;
		if (r->event != NULL)
			rt_client_event_fail(take_event(sg, r), "unavailable", "The media server did not answer");
	}
	for (struct request *r = sg->first; r != NULL; r = r->next)
	{
		if (r->ends_ms <= now_ms)
			continue;
		rt_timer_start(sg->timer, r->ends_ms - now_ms);
		return;
	}
}

/* ---- asking ------------------------------------------------------------------------------- */

static void
answer_ack(struct rt_client_event *e, const json_t *ack)
{
	char *text = json_dumps(ack, JSON_COMPACT);

	rt_client_event_answer(e, text, strlen(text));
	free(text);
}

/* What the database could answer by itself. */
static void
take_reply(struct rt_signalling *sg, struct request *r, const struct rt_db_reply *reply)
{
	json_t *result = rt_json_parse_object(reply->json, reply->json_len);
	const json_t *ack = rt_json_object(result, "ack");

	if (ack != NULL)
		answer_ack(take_event(sg, r), ack);
	json_decref(result);
}

static void
on_asked(void *arg, const struct rt_db_reply *reply)
{
	struct request *r = arg;
	struct rt_signalling *sg = r->signals;
	struct rt_client *c = rt_client_find(sg->uses.clients, r->client);

	r->calling = false;
	if (r->event == NULL)
		free_request(sg, r);
	else if (!reply->ok)
		rt_client_event_fail(take_event(sg, r), reply->code, reply->message);
	else
		take_reply(sg, r, reply);
	if (c != NULL)
		rt_client_event_lower_barrier(sg->uses.events, c);
}

static void
handle_request(struct rt_client_event *e)
{
	struct rt_signalling *sg = e->owner;
	struct rt_text req;
	struct request *r;

	if (rt_map_count(sg->requests) >= REQUESTS_MAX)
	{
		rt_client_event_fail(e, "unavailable", "Too many requests wait for the media server");
		return;
	}
	r = new_request(sg, e);
	r->calling = true;
	rt_client_event_raise_barrier(rt_client_event_client(e));
	rt_text_init(&req);
	rt_text_addf(&req, "\"op\":\"%s\",\"tag\":\"%s\"", e->def->name, r->tag);
	rt_client_event_call_with(e, RT_DB_FAST, "media_request", req.data, on_asked, r);
	rt_text_fini(&req);
}

/* ---- answers -------------------------------------------------------------------------------- */

static void
answer_error(struct rt_client_event *e, const json_t *error)
{
	const char *code = rt_json_str(error, "code");
	const char *message = rt_json_str(error, "message");

	rt_client_event_fail(e, code == NULL ? "internal" : code, message == NULL ? "The media server failed" : message);
}

/* {tag, ack | error}.  An unknown tag is a request that was given up. */
static void
take_answer(struct rt_signalling *sg, const json_t *answer)
{
	const char *tag = rt_json_str(answer, "tag");
	struct request *r = tag == NULL ? NULL : rt_map_find_str(sg->requests, tag);
	const json_t *ack = rt_json_object(answer, "ack");
	struct rt_client_event *e;

	if (r == NULL || r->event == NULL)
		return;
	e = take_event(sg, r);
	if (ack == NULL)
		answer_error(e, rt_json_object(answer, "error"));
	else
		answer_ack(e, ack);
}

static void fetch(struct rt_signalling *sg);

static void
on_fetched(void *arg, const struct rt_db_reply *reply)
{
	struct rt_signalling *sg = arg;
	json_t *result = reply->ok ? rt_json_parse_object(reply->json, reply->json_len) : NULL;
	const json_t *answer;
	size_t i;

	sg->fetching = false;
	json_array_foreach(rt_json_array(result, "answers"), i, answer) take_answer(sg, answer);
	json_decref(result);
	fetch(sg);
}

/* Those whose fetching fails are given up in their time. */
static void
fetch(struct rt_signalling *sg)
{
	json_t *ids;

	if (sg->fetching || json_array_size(sg->stored) == 0)
		return;
	ids = json_array();
	while (json_array_size(sg->stored) > 0 && json_array_size(ids) < FETCHES_MAX)
	{
		json_array_append(ids, json_array_get(sg->stored, 0));
		json_array_remove(sg->stored, 0);
	}
	sg->fetching = true;
	rt_dbjson_call(sg->uses.db, "media_result", json_pack("{s:o}", "requestIds", ids), on_fetched, sg);
}

static void
run_media_answer(void *owner, const json_t *payload)
{
	struct rt_signalling *sg = owner;
	json_t *id = json_object_get(payload, "requestId");

	if (!rt_json_bool(payload, "stored", false))
		take_answer(sg, payload);
	else if (json_is_string(id) && json_array_size(sg->stored) < REQUESTS_MAX)
	{
		json_array_append(sg->stored, id);
		fetch(sg);
	}
}

/* ---- life -------------------------------------------------------------------------------------- */

static const struct rt_client_event_def events[] = {
	{.name = "create-transport", .handle = handle_request, .reply = "transport-created"},
	{.name = "connect-transport", .handle = handle_request, .reply = "transport-connected"},
	{.name = "restart-ice", .handle = handle_request, .reply = "ice-restarted"},
	{.name = "produce", .handle = handle_request, .reply = "produced"},
	{.name = "consume", .handle = handle_request, .reply = "consumed"},
	{.name = "resume-consumer", .handle = handle_request, .reply = "consumer-resumed"},
	{.name = "pause-consumer", .handle = handle_request, .reply = "consumer-paused"},
	{.name = "close-consumer", .handle = handle_request, .reply = "consumer-closed"},
	{.name = "pause-producer", .handle = handle_request},
	{.name = "resume-producer", .handle = handle_request},
	{.name = "close-producer", .handle = handle_request},
	{.name = "set-preferred-layers", .handle = handle_request},
	{.name = "request-keyframe", .handle = handle_request},
	{.name = "get-stats", .handle = handle_request},
};

static const struct rt_command_def commands[] = {{"rt:media-answer", run_media_answer}};

struct rt_signalling *
rt_signalling_new(const struct rt_signalling_uses *uses)
{
	struct rt_signalling *sg = rt_alloc(sizeof(*sg));

	sg->uses = *uses;
	sg->requests = rt_map_new();
	sg->last = &sg->first;
	sg->stored = json_array();
	sg->timer = rt_timer_new(uses->loop, on_timer, sg);
	rt_client_events_add(uses->events, events, sizeof(events) / sizeof(events[0]), sg);
	rt_commands_add(uses->commands, commands, sizeof(commands) / sizeof(commands[0]), sg);
	return sg;
}

void
rt_signalling_free(struct rt_signalling *sg)
{
	if (sg == NULL)
		return;
	while (sg->first != NULL)
	{
		free(sg->first->event);
		free_request(sg, sg->first);
	}
	rt_map_free(sg->requests);
	rt_timer_free(sg->timer);
	json_decref(sg->stored);
	free(sg);
}

size_t
rt_signalling_waiting(const struct rt_signalling *sg)
{
	return rt_map_count(sg->requests);
}
