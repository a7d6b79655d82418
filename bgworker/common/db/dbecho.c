/* dbecho.c: see dbecho.h.
 *
 *     SILENT ──LISTEN──> ASKED ──echo──> HEARS ──QUIET_MS without the relay──> ASKED
 *                          └──no echo within ANSWER_MS──> DEAF ──AGAIN_MS──> ASKED
 *
 * What must stay true:
 *
 * - The echo is asked for over the program's own lane, never over the listening connection: behind a pooler in
 *   transaction mode both have sessions of others, and what the listener's session hears goes to whoever has that
 *   session then.
 * - A database that refuses or does not answer proves nothing about the listener, so the state stays, and it is asked
 *   again.
 * - Only the last token counts: an echo that comes too late is of an older one.
 * - A connection that becomes deaf is made anew at once; one that never heard, once in RENEW_MS: the pooler's mode
 *   may have changed.
 *
 * Every program that listens on the channel hears every echo.  A cluster of n gateways without any event hears n * n
 * echoes in QUIET_MS, and the database commits n small transactions; while the relay speaks it is none at all. */
#include "dbecho.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "db.h"

#define QUIET_MS 30000
#define ANSWER_MS 3000 /* from the commit to the listener */
#define AGAIN_MS 1000
#define RENEW_MS 30000
#define PREFIX "{\"echo\":\""
#define TOKEN_BYTES 40

struct rt_dbecho
{
	struct rt_loop *loop;
	struct rt_db *db;
	const char *channel;
	rt_dbecho_cb on_hears;
	void *arg;
	struct rt_timer *timer;
	uint64_t random; /* tells our tokens from those of other programs */
	uint64_t serial;
	char token[TOKEN_BYTES]; /* of the echo that is missing; "": none is */
	uint64_t renewed_ms;
	bool listening;
	bool asking; /* the call is under way */
	bool hears;
	bool deaf;
};

static void
on_asked(void *arg, const struct rt_db_reply *reply)
{
	struct rt_dbecho *e = arg;

	e->asking = false;
	if (!e->listening)
		return;
	if (!reply->ok)
	{
		e->token[0] = '\0';
		rt_timer_start(e->timer, AGAIN_MS);
	}
	else if (e->token[0] != '\0')
		rt_timer_start(e->timer, ANSWER_MS);
	else if (!e->hears)
		rt_timer_start(e->timer, 0); /* that was for another LISTEN */
}

static void
ask(struct rt_dbecho *e)
{
	char req[TOKEN_BYTES + 60];
	int len;

	snprintf(e->token, sizeof(e->token), "%016" PRIx64 ".%" PRIu64, e->random, ++e->serial);
	len = snprintf(req, sizeof(req), "{\"token\":\"%s\",\"channel\":\"%s\"}", e->token, e->channel);
	e->asking = true;
	rt_db_call(e->db, RT_DB_OWN, "echo", NULL, req, (size_t) len, on_asked, e);
}

static void
become_deaf(struct rt_dbecho *e)
{
	uint64_t now = rt_loop_now_ms(e->loop);
	bool renew = e->hears || now - e->renewed_ms >= RENEW_MS;

	if (!e->deaf)
		rt_log(RT_LOG_WARNING, "bus",
			   "notifications do not arrive: one that was sent %d s ago is missing; this looks like a pooler in "
			   "transaction "
			   "mode: connect to the server itself, or to a pooler in session mode",
			   ANSWER_MS / 1000);
	e->deaf = true;
	e->hears = false;
	e->token[0] = '\0';
	rt_timer_start(e->timer, AGAIN_MS);
	if (!renew)
		return;
	e->renewed_ms = now;
	rt_db_listen_again(e->db, "notifications do not arrive");
}

static void
on_timer(void *arg)
{
	struct rt_dbecho *e = arg;

	if (!e->listening || e->asking)
		return;
	if (e->token[0] != '\0')
		become_deaf(e);
	else
		ask(e);
}

void
rt_dbecho_set_listening(struct rt_dbecho *e, bool listening)
{
	e->listening = listening;
	e->hears = false;
	e->token[0] = '\0';
	if (listening)
		rt_timer_start(e->timer, 0);
}

static void
hear(struct rt_dbecho *e)
{
	bool heard_before = e->hears;

	if (e->deaf)
		rt_log(RT_LOG_INFO, "bus", "notifications arrive again");
	e->deaf = false;
	e->hears = true;
	e->token[0] = '\0';
	rt_timer_start(e->timer, QUIET_MS);
	if (!heard_before && e->on_hears != NULL)
		e->on_hears(e->arg);
}

bool
rt_dbecho_take(struct rt_dbecho *e, const char *payload, size_t len)
{
	size_t token_len = strlen(e->token);

	if (len <= strlen(PREFIX) || memcmp(payload, PREFIX, strlen(PREFIX)) != 0)
		return false;
	payload += strlen(PREFIX);
	len -= strlen(PREFIX);
	if (token_len > 0 && len > token_len && memcmp(payload, e->token, token_len) == 0 && payload[token_len] == '"')
		hear(e);
	return true;
}

/* A pooler's session may be ours for a moment, so it takes an echo to hear at all. */
void
rt_dbecho_note_relay(struct rt_dbecho *e)
{
	if (e->hears && e->token[0] == '\0')
		rt_timer_start(e->timer, QUIET_MS);
}

bool
rt_dbecho_hears(const struct rt_dbecho *e)
{
	return e->hears;
}

bool
rt_dbecho_is_deaf(const struct rt_dbecho *e)
{
	return e->deaf;
}

struct rt_dbecho *
rt_dbecho_new(struct rt_loop *l, struct rt_db *db, const char *channel, rt_dbecho_cb on_hears, void *arg)
{
	struct rt_dbecho *e = rt_alloc(sizeof(*e));

	e->loop = l;
	e->db = db;
	e->channel = channel;
	e->on_hears = on_hears;
	e->arg = arg;
	e->timer = rt_timer_new(l, on_timer, e);
	if (getrandom(&e->random, sizeof(e->random), 0) != (ssize_t) sizeof(e->random))
		e->random = rt_loop_now_ms(l);
	return e;
}

void
rt_dbecho_free(struct rt_dbecho *e)
{
	if (e == NULL)
		return;
	rt_timer_free(e->timer);
	free(e);
}
