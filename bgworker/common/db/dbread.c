/* dbread.c: see dbread.h.
 *
 *     call ──> waiting ──rt_api.wal_position at the primary──> a standby that is in, by turns ──> answer
 *                │                                                   │
 *                └── none is in, or no position ──> primary <── lags, refuses, or is too slow
 *
 * What must stay true:
 *
 * - A read is sent only with a position that the primary was asked for after the read had come.  One question is
 *   under way at a time; all reads that came before it share its answer.
 * - A call is answered once.  One that the primary has answered in a standby's place stays with the standby's pool
 *   until that has done with it, as `abandoned`.
 * - A standby begins as OUT.  It is IN from a probe that it answers until it fails; the pause before the next probe
 *   doubles from OUT_FIRST_MS to OUT_MOST_MS, and begins anew once it has answered a read. */
#include "dbread.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/text.h"
#include "db.h"
#include "dbhosts.h"

#define TARGETS_MAX 16
#define LOOK_MS 50
#define PATIENCE_MS 500       /* with a standby; then the primary is asked as well */
#define PATIENCE_SLOW_MS 3000 /* with a search */
#define OUT_FIRST_MS 500
#define OUT_MOST_MS 8000
#define TELL_EVERY_MS 30000 /* one that lags comes and goes */
#define MAX_WAITING 2000

enum state
{
	OUT,
	PROBED, /* out, and asked whether it is back */
	IN
};

struct target
{
	struct rt_dbread *owner;
	struct rt_db *db;
	char *name; /* host and port, for the log */
	enum state state;
	uint64_t due_ms; /* OUT: of the next probe */
	uint64_t pause_ms;
	uint64_t told_ms; /* when the log was told last that it is out */
};

struct read
{
	struct read *next, **prevp; /* in waiting, in a question, or under way */
	struct rt_dbread *owner;
	struct target *target;
	enum rt_db_lane lane;
	const char *fn;
	char *actor;
	char *req;
	size_t req_len;
	rt_db_cb cb;
	void *arg;
	uint64_t limit_ms;
	bool abandoned;
};

struct rt_dbread
{
	struct rt_loop *loop;
	struct rt_db *primary;
	struct target targets[TARGETS_MAX];
	int ntargets;
	int turn;
	struct read *waiting;   /* for the next question */
	struct read *asked;     /* for the answer of the one that is under way */
	struct read *under_way; /* at a standby */
	bool asking;
	bool closing;
	struct rt_timer *look;
};

/* ---- lists ------------------------------------------------------------------------ */

static void
push(struct read **list, struct read *r)
{
	r->next = *list;
	r->prevp = list;
	if (r->next != NULL)
		r->next->prevp = &r->next;
	*list = r;
}

static void
unlink_read(struct read *r)
{
	*r->prevp = r->next;
	if (r->next != NULL)
		r->next->prevp = r->prevp;
}

static void
free_read(struct read *r)
{
	free(r->actor);
	free(r->req);
	free(r);
}

/* ---- the primary ------------------------------------------------------------------- */

static void
ask_primary(struct read *r)
{
	rt_db_call(r->owner->primary, r->lane, r->fn, r->actor, r->req, r->req_len, r->cb, r->arg);
}

static void
hand_to_primary(struct read *r)
{
	unlink_read(r);
	ask_primary(r);
	free_read(r);
}

/* ---- standbys that are in and out ----------------------------------------------------- */

static void
leave_out(struct target *t, const char *why)
{
	uint64_t now_ms = rt_loop_now_ms(t->owner->loop);

	if (t->state == IN && (t->told_ms == 0 || now_ms - t->told_ms > TELL_EVERY_MS))
	{
		rt_log(RT_LOG_WARNING, "read", "standby %s is left out: %s", t->name, why);
		t->told_ms = now_ms;
	}
	t->state = OUT;
	t->due_ms = now_ms + t->pause_ms;
	t->pause_ms = t->pause_ms * 2 > OUT_MOST_MS ? OUT_MOST_MS : t->pause_ms * 2;
}

static void
on_probed(void *arg, const struct rt_db_reply *reply)
{
	struct target *t = arg;

	if (!reply->ok)
	{
		leave_out(t, "it does not answer");
		return;
	}
	t->state = IN;
	rt_log(t->told_ms == 0 ? RT_LOG_INFO : RT_LOG_DEBUG, "read", "standby %s answers reads", t->name);
}

static void
probe(struct target *t, uint64_t now_ms)
{
	if (t->state != OUT || now_ms < t->due_ms || !rt_db_lane_up(t->db, RT_DB_FAST))
		return;
	t->state = PROBED;
	rt_db_call(t->db, RT_DB_FAST, "wal_position", NULL, "{}", 2, on_probed, t);
}

static struct target *
next_in(struct rt_dbread *rd, enum rt_db_lane lane)
{
	for (int i = 0; i < rd->ntargets && !rd->closing; i++)
	{
		struct target *t = &rd->targets[(rd->turn + i) % rd->ntargets];

		if (t->state == IN && rt_db_lane_up(t->db, lane))
			return t;
	}
	return NULL;
}

static struct target *
choose(struct rt_dbread *rd, enum rt_db_lane lane)
{
	struct target *t = next_in(rd, lane);

	if (t != NULL)
		rd->turn = (int) (t - rd->targets) + 1;
	return t;
}

/* ---- reads at a standby ---------------------------------------------------------------- */

/* What a standby says of the data is as true as if the primary said it; what it says of itself is for us. */
static bool
is_answer(const struct rt_db_reply *reply)
{
	return reply->ok || (strcmp(reply->code, "unavailable") != 0 && strcmp(reply->code, "internal") != 0);
}

static void
on_read(void *arg, const struct rt_db_reply *reply)
{
	struct read *r = arg;
	struct target *t = r->target;

	unlink_read(r);
	if (is_answer(reply))
	{
		t->pause_ms = OUT_FIRST_MS;
		if (!r->abandoned)
			r->cb(r->arg, reply);
	}
	else
	{
		if (t->state == IN && !r->owner->closing)
			leave_out(t, reply->message);
		if (!r->abandoned)
			ask_primary(r);
	}
	free_read(r);
}

static void
send_read(struct read *r, const char *position, size_t position_len)
{
	struct target *t = choose(r->owner, r->lane);
	struct rt_text text;

	if (t == NULL)
	{
		hand_to_primary(r);
		return;
	}
	unlink_read(r);
	push(&r->owner->under_way, r);
	r->target = t;
	r->limit_ms = rt_loop_now_ms(r->owner->loop) + (r->lane == RT_DB_SLOW ? PATIENCE_SLOW_MS : PATIENCE_MS);
	rt_text_init(&text);
	rt_text_add(&text, "{\"fn\":");
	rt_text_quote(&text, r->fn);
	rt_text_add(&text, ",\"at\":");
	rt_text_add_n(&text, position, position_len);
	rt_text_add(&text, ",\"req\":");
	rt_text_add_n(&text, r->req, r->req_len);
	rt_text_add(&text, "}");
	rt_db_call(t->db, r->lane, "replica_read", r->actor, text.data, text.len, on_read, r);
	rt_text_fini(&text);
}

/* ---- the position ------------------------------------------------------------------------ */

static void ask_position(struct rt_dbread *rd);

static void
on_position(void *arg, const struct rt_db_reply *reply)
{
	struct rt_dbread *rd = arg;
	struct read *r;

	rd->asking = false;
	while ((r = rd->asked) != NULL)
	{
		if (reply->ok && !rd->closing)
			send_read(r, reply->json, reply->json_len);
		else
			hand_to_primary(r);
	}
	ask_position(rd);
}

static void
ask_position(struct rt_dbread *rd)
{
	if (rd->asking || rd->waiting == NULL || rd->closing)
		return;
	rd->asked = rd->waiting;
	rd->asked->prevp = &rd->asked;
	rd->waiting = NULL;
	rd->asking = true;
	rt_db_call(rd->primary, RT_DB_FAST, "wal_position", NULL, "{}", 2, on_position, rd);
}

void
rt_dbread_call(struct rt_dbread *rd, enum rt_db_lane lane, const char *fn, const char *actor, const char *req,
			   size_t req_len, rt_db_cb cb, void *arg)
{
	struct read *r;

	if (next_in(rd, lane) == NULL)
	{
		rt_db_call(rd->primary, lane, fn, actor, req, req_len, cb, arg);
		return;
	}
	r = rt_alloc(sizeof(*r));
	r->owner = rd;
	r->lane = lane;
	r->fn = fn;
	r->actor = actor == NULL ? NULL : rt_strdup(actor);
	r->req = rt_strndup(req, req_len);
	r->req_len = req_len;
	r->cb = cb;
	r->arg = arg;
	push(&rd->waiting, r);
	ask_position(rd);
}

/* ---- from time to time ------------------------------------------------------------------- */

static void
on_look(void *arg)
{
	struct rt_dbread *rd = arg;
	uint64_t now_ms = rt_loop_now_ms(rd->loop);

	for (struct read *r = rd->under_way; r != NULL; r = r->next)
	{
		if (r->abandoned || now_ms < r->limit_ms)
			continue;
		r->abandoned = true;
		leave_out(r->target, "it is too slow");
		ask_primary(r);
	}
	for (int i = 0; i < rd->ntargets; i++)
		probe(&rd->targets[i], now_ms);
	rt_timer_start(rd->look, LOOK_MS);
}

/* ---- connection strings -------------------------------------------------------------------- */

static const char *
value_of(const PQconninfoOption *options, const char *keyword)
{
	for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, keyword) == 0)
			return o->val != NULL && o->val[0] != '\0' ? o->val : NULL;
	return NULL;
}

/* Of a list with commas the n-th item; of one with a single item that one, as libpq has it.  NULL: there is none. */
static char *
item_of(const char *list, int n)
{
	const char *at = list;

	if (list == NULL)
		return NULL;
	if (strchr(list, ',') == NULL)
		return rt_strdup(list);
	for (; n > 0 && *at != '\0'; n--)
	{
		at += strcspn(at, ",");
		at += *at == ',';
	}
	return rt_strndup(at, strcspn(at, ","));
}

static void
add_value(struct rt_text *t, const char *keyword, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	rt_text_addf(t, "%s%s='", t->len > 0 ? " " : "", keyword);
	for (const char *p = value; *p != '\0'; p++)
	{
		if (*p == '\'' || *p == '\\')
			rt_text_add_n(t, "\\", 1);
		rt_text_add_n(t, p, 1);
	}
	rt_text_add(t, "'");
}

/* What says which of several servers is meant is not for a string with one. */
static bool
chooses_server(const char *keyword)
{
	return strcmp(keyword, "target_session_attrs") == 0 || strcmp(keyword, "load_balance_hosts") == 0;
}

/* The n-th server of `read`, and what else `base` has. */
static void
write_conninfo(struct rt_text *t, const PQconninfoOption *base, const PQconninfoOption *read, int n)
{
	for (const PQconninfoOption *o = base; o->keyword != NULL; o++)
	{
		const char *own = value_of(read, o->keyword);

		if (rt_dbhosts_lists(o->keyword))
		{
			char *item = item_of(own, n);

			add_value(t, o->keyword, item);
			free(item);
		}
		else if (!chooses_server(o->keyword))
			add_value(t, o->keyword, own != NULL ? own : o->val);
	}
}

static char *
name_of(const PQconninfoOption *read, int n)
{
	char *host = item_of(value_of(read, value_of(read, "host") != NULL ? "host" : "hostaddr"), n);
	char *port = item_of(value_of(read, "port"), n);
	struct rt_text t;
	char *name;

	rt_text_init(&t);
	rt_text_addf(&t, "%s:%s", host == NULL ? "" : host, port == NULL || *port == '\0' ? "5432" : port);
	name = rt_strndup(t.data, t.len);
	rt_text_fini(&t);
	free(host);
	free(port);
	return name;
}

static int
servers_of(const PQconninfoOption *read)
{
	const char *hosts = value_of(read, "host");

	return rt_dbhosts_items(hosts != NULL ? hosts : value_of(read, "hostaddr"));
}

char *
rt_dbread_targets(const char *conninfo, const char *conninfo_read)
{
	PQconninfoOption *base = PQconninfoParse(conninfo, NULL);
	PQconninfoOption *read = conninfo_read[0] == '\0' ? NULL : PQconninfoParse(conninfo_read, NULL);
	const char *addresses = value_of(base, "hostaddr");
	const char *hosts = addresses != NULL ? addresses : value_of(base, "host");
	const char *read_addresses = value_of(read, "hostaddr");
	const char *read_hosts = read_addresses != NULL ? read_addresses : value_of(read, "host");
	struct rt_text t, list;
	char *all;

	if (hosts == NULL || read_hosts == NULL)
	{
		PQconninfoFree(base);
		PQconninfoFree(read);
		return rt_strdup(conninfo);
	}
	rt_text_init(&t);
	for (const PQconninfoOption *o = base; o->keyword != NULL; o++)
	{
		const char *own = value_of(read, o->keyword);

		if (!rt_dbhosts_lists(o->keyword))
			add_value(&t, o->keyword, own != NULL ? own : o->val);
	}
	rt_text_init(&list);
	rt_text_addf(&list, "%s,%s", hosts, read_hosts);
	add_value(&t, "host", list.data);
	rt_text_fini(&list);
	rt_text_init(&list);
	rt_text_addf(&list, "%s,%s", value_of(base, "port") == NULL ? "5432" : value_of(base, "port"),
				 value_of(read, "port") == NULL ? "5432" : value_of(read, "port"));
	add_value(&t, "port", list.data);
	rt_text_fini(&list);
	all = rt_strndup(t.data, t.len);
	rt_text_fini(&t);
	PQconninfoFree(base);
	PQconninfoFree(read);
	return all;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void
add_target(struct rt_dbread *rd, const struct rt_dbread_options *o, const PQconninfoOption *base,
		   const PQconninfoOption *read)
{
	struct target *t = &rd->targets[rd->ntargets];
	struct rt_db_options options = {.role = o->role,
									.fast_connections = o->connections,
									.slow_connections = o->connections,
									.max_waiting = MAX_WAITING};
	struct rt_text text;

	rt_text_init(&text);
	write_conninfo(&text, base, read, rd->ntargets);
	rt_text_add_n(&text, "", 1);
	options.conninfo = text.data;
	*t = (struct target){.owner = rd, .name = name_of(read, rd->ntargets), .pause_ms = OUT_FIRST_MS};
	if (rt_db_new(&t->db, rd->loop, &options) == RT_OK)
		rd->ntargets++;
	explicit_bzero(text.data, text.len);
	rt_text_fini(&text);
}

static void
add_targets(struct rt_dbread *rd, const struct rt_dbread_options *o)
{
	PQconninfoOption *base = PQconninfoParse(o->conninfo, NULL);
	PQconninfoOption *read = PQconninfoParse(o->conninfo_read, NULL);
	int n = servers_of(read);

	if (base == NULL || n == 0)
		rt_log(RT_LOG_WARNING, "read", "the connection string for reads names no host: the primary answers all");
	for (int i = 0; base != NULL && i < n && i < TARGETS_MAX; i++)
		add_target(rd, o, base, read);
	PQconninfoFree(base);
	PQconninfoFree(read);
}

struct rt_dbread *
rt_dbread_new(struct rt_loop *l, struct rt_db *primary, const struct rt_dbread_options *o)
{
	struct rt_dbread *rd = rt_alloc(sizeof(*rd));

	rd->loop = l;
	rd->primary = primary;
	rd->look = rt_timer_new(l, on_look, rd);
	if (o->conninfo_read[0] != '\0')
		add_targets(rd, o);
	if (rd->ntargets > 0)
		rt_timer_start(rd->look, 0);
	return rd;
}

void
rt_dbread_free(struct rt_dbread *rd)
{
	if (rd == NULL)
		return;
	rd->closing = true;
	rt_timer_free(rd->look);
	for (int i = 0; i < rd->ntargets; i++)
	{
		rt_db_free(rd->targets[i].db);
		free(rd->targets[i].name);
	}
	while (rd->waiting != NULL)
		hand_to_primary(rd->waiting);
	/* The answer to the position may still come, from the primary's end. */
	while (rd->asked != NULL)
		hand_to_primary(rd->asked);
	rt_loop_defer(rd->loop, free, rd);
}
