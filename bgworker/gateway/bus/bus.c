/* bus.c: see bus.h.
 *
 *     STARTING ──first page──> CATCHING_UP ──nothing is missing──> LIVE
 *                                   ^                                │
 *                                   └─ gap, truncated text, LISTEN ──┘
 *
 * What must stay true:
 *
 * - Logged events are dispatched strictly in the order of their positions, each once: b->pos is the last one.  Events
 *   without a position (soft state) are dispatched as they come.
 * - A position that the log does not have was never used, as long as the log reaches back to ours: the relay
 *   leaves some out after a crash.  If it does not reach back, events are lost and everything starts afresh
 *   (on_reset).  So it does if our position is of events that a promoted server never had.
 * - A page counts only while a relay runs, which begins an epoch before anything else: a server that was just
 *   promoted still has the positions of its predecessor.  Until then the bus waits.
 * - While the log is read, notifications are held, up to HELD_MAX and HELD_BYTES_MAX; beyond that all are
 *   dropped, because the log has them.  They are offered again behind each page.
 * - One page is under way at a time.  LIVE is left at once when something is missing, and reached again when
 *   the last page and what was held leave no hole up to the newest position that anybody told of.
 * - NOTIFY can fail without a word (the server's queue is full), so after QUIET_MS without an event the log is asked.
 * - Any role may NOTIFY on the channel, so only what the relay's own process sent is taken; each page of the
 *   log tells which one that is.  A stranger's notification makes the bus ask the log, once in STRANGER_MS at
 *   most: it may be a new relay's. */
#include "bus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/db/dbecho.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "notice.h"

#define CHANNEL "rt_events"
#define PAGE_EVENTS 500
#define PAGE_BYTES 1000000
#define HELD_MAX 2000
#define HELD_BYTES_MAX (4 * 1024 * 1024)
#define RETRY_MS 200    /* the database did not answer */
#define RELAY_MS 50     /* it did, and its relay has not begun */
#define STRANGER_MS 100 /* until a notification of an unknown process makes the log be asked */
#define EPOCH_LEN 63
#define QUIET_MS 5000 /* without an event: a NOTIFY may have failed, so the log is asked */

enum state
{
	STARTING, /* no position yet */
	LIVE,
	CATCHING_UP
};

/* A notification that came too early. */
struct held
{
	char *text;
	size_t len;
};

struct rt_bus
{
	struct rt_db *db;
	struct rt_bus_user user;
	enum state state;
	uint64_t pos;
	uint64_t newest; /* position that notifications have told of */
	uint64_t asked;  /* b->pos when the page was asked for; the answer may be older than what was dispatched since */
	bool reading;    /* a page is under way */
	int relay_pid;   /* 0: not known, or none runs */
	struct held held[HELD_MAX];
	size_t nheld, held_bytes;
	struct rt_dbecho *echo;
	struct rt_timer *retry;
	struct rt_timer *quiet;
	struct rt_timer *stranger;
	bool stranger_waits;
	char epoch[EPOCH_LEN + 1]; /* of b->pos */
	struct rt_bus_stats stats;
};

static void read_page(struct rt_bus *b);

/* ---- what waits while the log is read ------------------------------------------- */

static void
drop_held(struct rt_bus *b)
{
	for (size_t i = 0; i < b->nheld; i++)
		free(b->held[i].text);
	b->nheld = 0;
	b->held_bytes = 0;
}

static void
hold(struct rt_bus *b, const char *text, size_t len)
{
	if (b->nheld == HELD_MAX || b->held_bytes + len > HELD_BYTES_MAX)
		drop_held(b);
	b->held[b->nheld++] = (struct held){rt_strndup(text, len), len};
	b->held_bytes += len;
}

/* ---- dispatch ------------------------------------------------------------------- */

static void
dispatch(struct rt_bus *b, const struct rt_notice *n)
{
	if (n->logged)
		b->pos = n->pos;
	b->stats.events++;
	b->user.on_event(b->user.arg, n);
}

static void
catch_up(struct rt_bus *b)
{
	if (b->state == LIVE)
	{
		b->state = CATCHING_UP;
		b->stats.catch_ups++;
	}
	read_page(b);
}

/* Live events are lost for good, or what we had is of another history. */
static void
reset(struct rt_bus *b, uint64_t pos, bool lost)
{
	if (lost)
		rt_log(RT_LOG_WARNING, "bus",
			   "the server that has taken over never had position %" PRIu64 ": clients come back", b->pos);
	else
		rt_log(RT_LOG_WARNING, "bus",
			   "the event log does not reach back to position %" PRIu64 ": clients start afresh", b->pos);
	b->stats.resets++;
	b->pos = b->newest = pos;
	b->state = CATCHING_UP;
	drop_held(b);
	b->user.on_reset(b->user.arg);
}

/* True if it could be dispatched or was seen before; false if what comes before it is missing, or its text. */
static bool
offer(struct rt_bus *b, const struct rt_notice *n)
{
	if (n->pos <= b->pos)
		return true;
	if (n->pos != b->pos + 1 || n->truncated)
		return false;
	dispatch(b, n);
	return true;
}

/* Dispatches what was held as far as it joins on.  False if there is a hole to be read. */
static bool
offer_held(struct rt_bus *b)
{
	struct rt_notice n;

	for (size_t i = 0; i < b->nheld; i++)
	{
		if (rt_notice_parse(&n, b->held[i].text, b->held[i].len) && !offer(b, &n))
			return false;
	}
	return true;
}

static void
on_stranger_timer(void *arg)
{
	struct rt_bus *b = arg;

	b->stranger_waits = false;
	catch_up(b);
}

static void
note_stranger(struct rt_bus *b, int pid)
{
	b->stats.bad_notices++;
	rt_log(RT_LOG_DEBUG, "bus", "ignoring a notification of process %d, which is not the relay", pid);
	if (b->stranger_waits)
		return;
	b->stranger_waits = true;
	rt_timer_start(b->stranger, STRANGER_MS);
}

static void
on_notify(void *arg, int pid, const char *payload, size_t len)
{
	struct rt_bus *b = arg;
	struct rt_notice n;

	if (pid != b->relay_pid)
	{
		if (!rt_dbecho_take(b->echo, payload, len))
			note_stranger(b, pid);
		return;
	}
	rt_dbecho_note_relay(b->echo);
	if (!rt_notice_parse(&n, payload, len))
	{
		b->stats.bad_notices++;
		rt_log(RT_LOG_DEBUG, "bus", "ignoring a notification of %zu bytes that does not have the relay's form", len);
		return;
	}
	if (!n.logged)
	{
		if (b->state != STARTING)
			dispatch(b, &n);
		return;
	}
	rt_timer_start(b->quiet, QUIET_MS);
	if (n.pos > b->newest)
		b->newest = n.pos;
	if (b->state == LIVE && offer(b, &n))
		return;
	hold(b, payload, len);
	catch_up(b);
}

/* ---- the event log -------------------------------------------------------------- */

/* One event of a page. */
static void
take_logged(struct rt_bus *b, const json_t *item)
{
	struct rt_notice n;

	if (!json_is_string(item) || !rt_notice_parse(&n, json_string_value(item), json_string_length(item)) ||
		!n.logged || n.pos <= b->pos)
		return;
	n.truncated = false; /* the log's text is whole, whatever it ends with */
	dispatch(b, &n);
}

static void
start_at(struct rt_bus *b, uint64_t pos)
{
	b->pos = pos;
	b->state = CATCHING_UP;
	b->user.on_started(b->user.arg);
}

static void
take_epoch(struct rt_bus *b, const json_t *page)
{
	const char *epoch = rt_json_str(page, "epoch");

	if (epoch == NULL || strlen(epoch) > EPOCH_LEN || strcmp(epoch, b->epoch) == 0)
		return;
	if (b->epoch[0] != '\0')
		rt_log(RT_LOG_INFO, "bus", "another server has taken over: epoch %s", epoch);
	strcpy(b->epoch, epoch);
}

/* Positions that the log does not have were never used (the relay leaves some out after a crash), as long as the
 * log reaches back to ours. */
static void
take_page(struct rt_bus *b, const json_t *page)
{
	bool lost = rt_json_bool(page, "lost", false);
	const json_t *events = rt_json_array(page, "events");
	uint64_t last = 0;
	json_t *item;
	size_t i;

	rt_json_pos(page, "last", &last);
	take_epoch(b, page);
	if (last > b->newest)
		b->newest = last;
	if (b->state == STARTING)
		start_at(b, last);
	else if (lost || last < b->asked || (!rt_json_bool(page, "whole", true) && b->state != LIVE))
		reset(b, last, lost || last < b->asked);
	json_array_foreach(events, i, item) take_logged(b, item);
	if (json_array_size(events) == 0 && last > b->pos)
		b->pos = last;
}

static void
end_page(struct rt_bus *b)
{
	if (offer_held(b) && b->pos >= b->newest)
	{
		drop_held(b);
		b->state = LIVE;
		return;
	}
	read_page(b);
}

static void
on_page(void *arg, const struct rt_db_reply *reply)
{
	struct rt_bus *b = arg;
	json_t *page;

	b->reading = false;
	page = reply->ok ? rt_json_parse_object(reply->json, reply->json_len) : NULL;
	if (page != NULL)
		b->relay_pid = (int) rt_json_int(page, "relay", 0);
	if (page == NULL || b->relay_pid == 0)
	{
		rt_timer_start(b->retry, page == NULL ? RETRY_MS : RELAY_MS);
		json_decref(page);
		return;
	}
	take_page(b, page);
	json_decref(page);
	end_page(b);
}

static void
read_page(struct rt_bus *b)
{
	char req[120];
	int len;

	if (b->reading)
		return;
	b->reading = true;
	b->asked = b->pos;
	b->stats.pages++;
	if (b->state == STARTING)
		len = snprintf(req, sizeof(req), "{\"limit\":0}");
	else
		len = snprintf(req, sizeof(req), "{\"pos\":\"%" PRIu64 "\",\"limit\":%d,\"bytes\":%d}", b->pos, PAGE_EVENTS,
					   PAGE_BYTES);
	rt_db_call(b->db, RT_DB_FAST, "events_since", NULL, req, (size_t) len, on_page, b);
}

static void
on_retry(void *arg)
{
	struct rt_bus *b = arg;

	if (b->state != LIVE)
		read_page(b);
}

static void
on_quiet(void *arg)
{
	struct rt_bus *b = arg;

	rt_timer_start(b->quiet, QUIET_MS);
	if (b->state == LIVE)
		read_page(b);
}

static void
on_listen(void *arg, bool listening)
{
	struct rt_bus *b = arg;

	rt_dbecho_set_listening(b->echo, listening);
	/* What happened while nobody listened is in the log. */
	if (listening)
		catch_up(b);
}

struct rt_bus *
rt_bus_new(struct rt_loop *l, struct rt_db *db, const struct rt_bus_user *user)
{
	struct rt_bus *b = rt_alloc(sizeof(*b));

	b->db = db;
	b->user = *user;
	b->echo = rt_dbecho_new(l, db, CHANNEL, NULL, NULL);
	b->retry = rt_timer_new(l, on_retry, b);
	b->quiet = rt_timer_new(l, on_quiet, b);
	b->stranger = rt_timer_new(l, on_stranger_timer, b);
	rt_timer_start(b->quiet, QUIET_MS);
	rt_db_listen(db, CHANNEL, on_notify, on_listen, b);
	return b;
}

void
rt_bus_free(struct rt_bus *b)
{
	if (b == NULL)
		return;
	drop_held(b);
	rt_dbecho_free(b->echo);
	rt_timer_free(b->retry);
	rt_timer_free(b->quiet);
	rt_timer_free(b->stranger);
	free(b);
}

bool
rt_bus_started(const struct rt_bus *b)
{
	return b->state != STARTING;
}

bool
rt_bus_hears(const struct rt_bus *b)
{
	return rt_dbecho_hears(b->echo);
}

bool
rt_bus_is_deaf(const struct rt_bus *b)
{
	return rt_dbecho_is_deaf(b->echo);
}

void
rt_bus_look(struct rt_bus *b)
{
	if (b->state == LIVE)
		read_page(b);
}

bool
rt_bus_live(const struct rt_bus *b)
{
	return b->state == LIVE;
}

uint64_t
rt_bus_pos(const struct rt_bus *b)
{
	return b->pos;
}

const struct rt_bus_stats *
rt_bus_stats(const struct rt_bus *b)
{
	return &b->stats;
}
