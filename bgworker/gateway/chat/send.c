/* send.c: see send.h.  Called by REST; messages of other ways do not pass here.
 *
 *     queue of a room: batch (under way) | alone: go one by one | wait for the next batch …
 *
 * What must stay true:
 *
 * - The messages of a room go to the database in the order in which they came, one batch at a time: the next
 *   one begins when the one before has been answered.  So a queue exists while it has a batch, and never
 *   without.
 * - Each message gets exactly one answer, its own.
 * - A batch is one transaction.  If the database refuses it as a whole (a trigger of the application did), all
 *   of its messages go again, each alone, so that one bad message does not refuse the others.  After a broken
 *   connection they do not: the batch may have been stored.
 * - While the database is away, a batch is refused after some seconds.  What has come since waits for the same, so it
 *   is refused too: else it would wait once more as long for its own batch.
 * - A room whose row somebody's transaction holds is remembered for HELD_MS, so that its next batches take few of the
 *   connections; those of all rooms are forgotten together.
 *
 * Limits: BATCH_MAX messages or BATCH_BYTES_MAX a batch; WAITING_MAX messages a room, beyond which `unavailable` is
 * the answer; HELD_MAX rooms are remembered. */
#include "send.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/map.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/clients/counters.h"
#include "bgworker/gateway/text/json_scan.h"

#define BATCH_MAX 128
#define BATCH_BYTES_MAX (512 * 1024)
#define WAITING_MAX 2000 /* messages a room */
#define HELD_MS 30000
#define HELD_MAX 1000
#define AWAY_MS 5000 /* unavailable after so long: the database is away */

struct message
{
	struct message *next;
	char *actor;
	char *req;
	size_t req_len;
	rt_send_cb cb;
	void *arg;
};

/* A room with messages under way.  It goes when there are none. */
struct queue
{
	struct rt_send *send;
	char *room;
	struct message *head, **tail; /* wait for the next batch */
	size_t waiting;
	struct message *batch; /* under way, in the order of the request */
	uint64_t began_ms;     /* when the batch began, by rt_clock_us() */
	size_t alone;          /* so many of those that wait go one by one, since together they were refused */
};

struct rt_send
{
	struct rt_db *db;
	struct rt_counters *counters;
	struct rt_map *queues;
	struct rt_map *held; /* names of rooms, of which each is its own value */
	uint64_t held_until_ms;
};

struct rt_send *
rt_send_new(struct rt_db *db, struct rt_counters *counters)
{
	struct rt_send *s = rt_alloc(sizeof(*s));

	s->db = db;
	s->counters = counters;
	s->queues = rt_map_new();
	s->held = rt_map_new();
	return s;
}

static void
forget_held(struct rt_send *s)
{
	rt_map_free_all(s->held);
	s->held = rt_map_new();
}

static void
note_held(struct rt_send *s, const char *room, bool is_held)
{
	char *name;

	if (!is_held)
	{
		free(rt_map_take_str(s->held, room));
		return;
	}
	s->held_until_ms = rt_clock_us() / 1000 + HELD_MS;
	if (rt_map_find_str(s->held, room) != NULL || rt_map_count(s->held) >= HELD_MAX)
		return;
	name = rt_strdup(room);
	rt_map_put_str(s->held, name, name);
}

static bool
is_held(struct rt_send *s, const char *room)
{
	if (rt_map_count(s->held) == 0)
		return false;
	if (rt_clock_us() / 1000 > s->held_until_ms)
		forget_held(s);
	return rt_map_find_str(s->held, room) != NULL;
}

void
rt_send_free(struct rt_send *s)
{
	if (s == NULL)
		return;
	rt_map_free(s->queues);
	forget_held(s);
	rt_map_free(s->held);
	free(s);
}

static void
answer(struct message *m, const struct rt_json_span *item, const char *code, const char *text)
{
	if (item != NULL)
		m->cb(m->arg, item->text, item->len, NULL, NULL);
	else
		m->cb(m->arg, NULL, 0, code, text);
	free(m->actor);
	free(m->req);
	free(m);
}

static struct message *
pop_batch(struct queue *q)
{
	struct message *m = q->batch;

	if (m != NULL)
		q->batch = m->next;
	return m;
}

static void
answer_batch(struct queue *q, const struct rt_db_reply *reply)
{
	struct rt_json_pick results = {.key = "results"};
	struct rt_json_rest rest;
	struct rt_json_level items;
	struct rt_json_span item;
	struct message *m;
	bool ok = reply->ok && rt_json_scan_split(reply->json, reply->json_len, &results, 1, &rest) == RT_OK &&
			  results.value.text != NULL &&
			  rt_json_scan_open(&items, results.value.text, results.value.text + results.value.len, RT_JSON_ARRAY);

	while ((m = pop_batch(q)) != NULL)
	{
		if (ok && rt_json_scan_item(&items, &item) == RT_OK)
			answer(m, &item, NULL, NULL);
		else if (reply->ok)
			answer(m, NULL, "internal", "Internal error");
		else
			answer(m, NULL, reply->code, reply->message);
	}
}

static void begin_batch(struct queue *q);

/* What the database refuses of a batch, as a trigger of the application may, it refuses with all the others: they are
 * back in front of what waits, each to go alone.  False: nothing would be gained. */
static bool
put_back(struct queue *q, const struct rt_db_reply *reply)
{
	struct message **end = &q->batch;

	if (reply->ok || q->batch->next == NULL || strcmp(reply->code, "unavailable") == 0)
		return false;
	for (; *end != NULL; end = &(*end)->next)
		q->alone++;
	q->waiting += q->alone;
	*end = q->head;
	if (q->head == NULL)
		q->tail = end;
	q->head = q->batch;
	q->batch = NULL;
	return true;
}

static bool
shows_database_away(const struct queue *q, const struct rt_db_reply *reply)
{
	return !reply->ok && strcmp(reply->code, "unavailable") == 0 && !rt_db_reply_is_held(reply) &&
		   rt_clock_us() / 1000 - q->began_ms >= AWAY_MS;
}

static void
refuse_waiting(struct queue *q, const struct rt_db_reply *reply)
{
	struct message *m = q->head;

	q->head = NULL;
	q->tail = &q->head;
	q->waiting = 0;
	q->alone = 0;
	while (m != NULL)
	{
		struct message *next = m->next;

		answer(m, NULL, reply->code, reply->message);
		m = next;
	}
}

static void
on_sent(void *arg, const struct rt_db_reply *reply)
{
	struct queue *q = arg;

	if (reply->ok || rt_db_reply_is_held(reply))
		note_held(q->send, q->room, !reply->ok);
	if (!put_back(q, reply))
		answer_batch(q, reply);
	if (shows_database_away(q, reply))
		refuse_waiting(q, reply);
	if (q->head != NULL)
	{
		begin_batch(q);
		return;
	}
	rt_map_take_str(q->send->queues, q->room);
	free(q->room);
	free(q);
}

static void
write_item(struct rt_text *t, const struct message *m)
{
	rt_text_add(t, "{\"actor\":");
	rt_text_quote(t, m->actor);
	rt_text_add(t, ",\"req\":");
	rt_text_add_n(t, m->req, m->req_len);
	rt_text_add(t, "}");
}

/* Moves what waits into the batch, up to its limits. */
static void
begin_batch(struct queue *q)
{
	struct message **last = &q->batch;
	int most = q->alone > 0 ? 1 : BATCH_MAX;
	struct rt_text t;
	int n = 0;

	rt_text_init(&t);
	rt_text_addf(&t, "{\"roomId\":\"%s\",\"requests\":[", q->room);
	while (q->head != NULL && n < most && (n == 0 || t.len + q->head->req_len < BATCH_BYTES_MAX))
	{
		struct message *m = q->head;

		q->head = m->next;
		q->waiting--;
		m->next = NULL;
		*last = m;
		last = &m->next;
		rt_text_add(&t, n++ == 0 ? "" : ",");
		write_item(&t, m);
	}
	if (q->head == NULL)
		q->tail = &q->head;
	q->alone -= q->alone > 0;
	q->began_ms = rt_clock_us() / 1000;
	rt_text_add(&t, "]}");
	rt_counters_add(q->send->counters, RT_COUNT_SEND_BATCHES, 1);
	rt_counters_add(q->send->counters, RT_COUNT_SENT_MESSAGES, (uint64_t) n);
	if (is_held(q->send, q->room))
		rt_db_call_held(q->send->db, RT_DB_LOCKING, "message_send_batch", t.data, t.len, on_sent, q);
	else
		rt_db_call(q->send->db, RT_DB_LOCKING, "message_send_batch", NULL, t.data, t.len, on_sent, q);
	rt_text_fini(&t);
}

static struct queue *
need_queue(struct rt_send *s, const char *room)
{
	struct queue *q = rt_map_find_str(s->queues, room);

	if (q != NULL)
		return q;
	q = rt_alloc(sizeof(*q));
	q->send = s;
	q->room = rt_strdup(room);
	q->tail = &q->head;
	rt_map_put_str(s->queues, q->room, q);
	return q;
}

void
rt_send_message(struct rt_send *s, const char *room, const char *actor, const char *req, size_t len, rt_send_cb cb,
				void *arg)
{
	struct queue *q = need_queue(s, room);
	struct message *m;

	if (q->waiting >= WAITING_MAX)
	{
		cb(arg, NULL, 0, "unavailable", "Too many messages wait for this room");
		return;
	}
	m = rt_alloc(sizeof(*m));
	m->actor = rt_strdup(actor);
	m->req = rt_strndup(req, len);
	m->req_len = len;
	m->cb = cb;
	m->arg = arg;
	*q->tail = m;
	q->tail = &m->next;
	q->waiting++;
	if (q->batch == NULL)
		begin_batch(q);
}
