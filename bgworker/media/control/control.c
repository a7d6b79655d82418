/* control.c: the worker's life in the database; see control.h.  main makes it before the engine and frees it last.
 *
 *   register (media_start) ──> beat (media_heartbeat) ... ──> known: false ──> close all, register anew
 *   engine's events ──> gathered in this turn ──> media_event, one call at a time
 *
 * What must stay true: a worker registers only while it hears notifications, or meetings would wait for a deaf one;
 * one that becomes deaf keeps the meetings that it has.  A worker that the database has given up forwards nothing
 * under its old name, since its clients have been sent elsewhere; and events keep their order, so the next batch
 * waits for the answer to the one before. A beat is small, has a connection of its own, and is left out while the one
 * before is unanswered.  Requests are work.c's; what they do is ops.c's; figures are figures.c's. */
#include "control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/dbecho.h"
#include "bgworker/common/db/dbjson.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/media/net/addresses.h"
#include "bgworker/media/params/params_caps.h"
#include "meter.h"
#include "figures.h"
#include "stats.h"
#include "work.h"

#define RETRY_MS 500
#define MAX_EVENTS 2000 /* that wait for the database; beyond that the newest are left out */
#define STOP_MS 1000
#define DRAIN_ASK_MS 500
#define DRAIN_ANSWER_MS 3000 /* a database that is silent for longer cannot move meetings */
#define DRAIN_MOST_MS 30000
#define SHARE_MS 250
#define CHANNEL "rt_media"

struct rt_control
{
	struct rt_loop *loop;
	struct rt_db *db;
	struct rt_dbecho *echo;
	struct rt_engine *engine;
	struct rt_control_options options;
	char *announced;
	char worker[48];
	json_t *caps, *addresses;
	rt_control_cb on_ready;
	void *arg;
	bool registered, was_ready, starting, beating, stopping;
	struct rt_timer *beat, *share, *retry, *goodbye;
	int64_t beat_ms;
	struct rt_work *work;
	struct rt_figures *figures;
	struct rt_meter meter;
	json_t *events;
	bool telling;
	rt_control_cb done;
	void *done_arg;
	struct rt_timer *drain; /* the next question how far it is, or the end of waiting for the answer */
	bool drain_asking;
	uint64_t drain_ends_ms;
	rt_control_cb drained; /* NULL: it does not drain, or that is over */
	void *drained_arg;
};

static void register_worker(struct rt_control *c);
static void tell_events(struct rt_control *c);

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
	rt_host_note_stamp(c->options.host, rt_json_str(reply, "stamp"));
	rt_work_trust(c->work, (int) rt_json_int(reply, "relay", 0));
	json_decref(reply);
	if (c->beat_ms < 100 || c->beat_ms > 10000)
		c->beat_ms = 1000;
	c->registered = true;
	rt_timer_start(c->beat, (uint64_t) c->beat_ms);
	if (!c->was_ready)
		c->on_ready(c->arg);
	c->was_ready = true;
	rt_work_begin(c->work, c->engine, c->worker);
	rt_figures_begin(c->figures, c->engine, c->worker);
}

static void
register_worker(struct rt_control *c)
{
	const struct rt_conf *conf = c->options.conf;
	char random[13];
	char slot[300]; /* which worker of which host: a start in it gives up the one before */

	if (c->starting || c->registered || c->stopping || !rt_dbecho_hears(c->echo))
		return;
	c->starting = true;
	rt_ice_random(random, 12);
	snprintf(c->worker, sizeof(c->worker), "media%d-%s", c->options.slot, random);
	/* On a host of its own each worker is the first; ports differ. */
	if (rt_conf_is_own(conf))
		snprintf(slot, sizeof(slot), "%s:%d", rt_conf_host(conf), c->options.port);
	else
		snprintf(slot, sizeof(slot), "%s/%d", rt_conf_host(conf), c->options.slot);
	rt_dbjson_call(c->db, "media_start",
				   json_pack("{s:s, s:s, s:s, s:s, s:b, s:i, s:O, s:i, s:i, s:i, s:{s:s, s:s}, s:o}", "worker",
							 c->worker, "slot", slot, "host", rt_conf_host(conf), "region", rt_conf_region(conf),
							 "own", (int) rt_conf_is_own(conf), "pid", (int) getpid(), "addresses", c->addresses,
							 "udpPort", c->options.port, "tcpPort", c->options.port, "capacity", c->options.capacity,
							 "fingerprint", "algorithm", "sha-256", "value",
							 rt_dtls_context_fingerprint(rt_hub_certificate(rt_engine_hub(c->engine))),
							 "iceCandidates", rt_addresses_candidates(c->addresses, c->options.port)),
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

	c->beating = false;
	if (c->stopping || !r->ok)
		return;
	reply = rt_json_parse_object(r->json, r->json_len);
	rt_work_trust(c->work, (int) rt_json_int(reply, "relay", 0));
	rt_host_note_stamp(c->options.host, rt_json_str(reply, "stamp"));
	if (reply != NULL && !rt_json_bool(reply, "known", true))
	{
		rt_log(RT_LOG_WARNING, "control", "the database gave up this worker: registering again");
		c->registered = false;
		rt_work_pause(c->work);
		rt_figures_pause(c->figures);
		rt_engine_close_all(c->engine);
		rt_timer_stop(c->beat);
		register_worker(c);
	}
	json_decref(reply);
}

static void
beat(struct rt_control *c)
{
	size_t load = rt_stats_load(c->engine);
	json_t *totals = rt_stats_totals(c->engine), *req;

	rt_meter_read(&c->meter, (uint64_t) json_integer_value(json_object_get(totals, "packetsOut")));
	json_object_set_new(totals, "cpuPercent", json_integer((json_int_t) (100 * c->meter.cpu)));
	json_object_set_new(totals, "packetsPerSecond", json_integer((json_int_t) c->meter.packets_per_s));
	req = json_pack("{s:s, s:I, s:o}", "worker", c->worker, "load", (json_int_t) rt_meter_load(&c->meter, load),
					"totals", totals);
	c->beating = true;
	rt_dbjson_call_own(c->db, "media_heartbeat", req, on_beaten, c);
}

static void
on_beat(void *arg)
{
	struct rt_control *c = arg;

	if (!c->beating)
		beat(c);
	rt_timer_start(c->beat, (uint64_t) c->beat_ms);
}

/* ---- sharing ---- */

static void
on_share(void *arg)
{
	struct rt_control *c = arg;
	const struct rt_port_stats *p = rt_port_totals(rt_hub_port(rt_engine_hub(c->engine)));

	rt_engine_share(c->engine, rt_meter_used(&c->meter, p->packets_out));
	rt_timer_start(c->share, SHARE_MS);
}

/* ---- notifications ---- */

static void
on_notify(void *arg, int pid, const char *payload, size_t len)
{
	struct rt_control *c = arg;

	if (!rt_dbecho_take(c->echo, payload, len))
		rt_work_notify(c->work, pid, payload, len);
}

static void
on_listen(void *arg, bool listening)
{
	struct rt_control *c = arg;

	rt_dbecho_set_listening(c->echo, listening);
	if (!listening)
		return;
	rt_work_refetch(c->work);
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
	rt_dbjson_call(c->db, "media_event", json_pack("{s:s, s:o}", "worker", c->worker, "events", events), on_told, c);
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

/* ---- draining ---- */

static void
end_drain(struct rt_control *c)
{
	rt_control_cb drained = c->drained;

	rt_timer_stop(c->drain);
	c->drained = NULL;
	if (drained != NULL)
		drained(c->drained_arg);
}

static void
on_draining(void *arg, const struct rt_db_reply *r)
{
	struct rt_control *c = arg;
	json_t *reply;
	bool over;

	c->drain_asking = false;
	if (c->drained == NULL)
		return;
	reply = r->ok ? rt_json_parse_object(r->json, r->json_len) : NULL;
	over = !rt_json_bool(reply, "canMove", false) || rt_json_int(reply, "meetings", 0) == 0;
	json_decref(reply);
	if (over || rt_loop_now_ms(c->loop) >= c->drain_ends_ms)
		end_drain(c);
	else
		rt_timer_start(c->drain, DRAIN_ASK_MS);
}

static void
on_drain(void *arg)
{
	struct rt_control *c = arg;

	if (!c->registered || c->drain_asking)
	{
		end_drain(c); /* it has no meetings, or the database does not answer */
		return;
	}
	c->drain_asking = true;
	rt_timer_start(c->drain, DRAIN_ANSWER_MS);
	rt_dbjson_call(c->db, "media_drain", json_pack("{s:s}", "worker", c->worker), on_draining, c);
}

void
rt_control_drain(struct rt_control *c, rt_control_cb done, void *arg)
{
	c->drained = done;
	c->drained_arg = arg;
	c->drain_ends_ms = rt_loop_now_ms(c->loop) + DRAIN_MOST_MS;
	rt_timer_start(c->drain, 0);
}

/* ---- life ---- */

static void
on_goodbye_timeout(void *arg)
{
	struct rt_control *c = arg;
	rt_control_cb done = c->done;

	c->done = NULL;
	if (done != NULL)
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
	rt_work_pause(c->work);
	rt_figures_pause(c->figures);
	c->done = done;
	c->done_arg = arg;
	c->drained = NULL;
	rt_timer_stop(c->drain);
	rt_timer_stop(c->beat);
	rt_timer_stop(c->share);
	rt_timer_stop(c->retry);
	rt_timer_start(c->goodbye, STOP_MS);
	rt_dbjson_call(c->db, "media_stop", json_pack("{s:s}", "worker", c->worker), on_stopped, c);
}

static void
on_hears(void *arg)
{
	register_worker(arg);
}

struct rt_control *
rt_control_new(struct rt_loop *l, struct rt_db *db, const struct rt_control_options *o, rt_control_cb on_ready,
			   void *arg)
{
	struct rt_control *c = rt_alloc(sizeof(*c));

	c->loop = l;
	c->db = db;
	c->options = *o;
	c->announced = rt_strdup(o->announced);
	c->on_ready = on_ready;
	c->arg = arg;
	c->caps = rt_params_caps_router();
	c->events = json_array();
	c->meter.capacity = (size_t) c->options.capacity;
	c->echo = rt_dbecho_new(l, db, CHANNEL, on_hears, c);
	c->work = rt_work_new(l, db, c->caps, &c->meter);
	c->figures = rt_figures_new(l, db);
	c->beat = rt_timer_new(l, on_beat, c);
	c->share = rt_timer_new(l, on_share, c);
	c->retry = rt_timer_new(l, on_retry, c);
	c->goodbye = rt_timer_new(l, on_goodbye_timeout, c);
	c->drain = rt_timer_new(l, on_drain, c);
	return c;
}

void
rt_control_set_limits(struct rt_control *c, int64_t cpu_percent, int64_t packets_per_s)
{
	c->meter.max_cpu = (double) cpu_percent / 100;
	c->meter.max_packets_per_s = (uint64_t) packets_per_s;
}

void
rt_control_set_engine(struct rt_control *c, struct rt_engine *e)
{
	c->engine = e;
	c->addresses = rt_addresses_list(c->announced, rt_hub_port(rt_engine_hub(e)));
	rt_db_listen(c->db, CHANNEL, on_notify, on_listen, c);
	rt_timer_start(c->share, SHARE_MS);
}

void
rt_control_free(struct rt_control *c)
{
	if (c == NULL)
		return;
	rt_dbecho_free(c->echo);
	rt_timer_free(c->beat);
	rt_timer_free(c->share);
	rt_timer_free(c->retry);
	rt_timer_free(c->goodbye);
	rt_timer_free(c->drain);
	json_decref(c->caps);
	json_decref(c->addresses);
	json_decref(c->events);
	rt_work_free(c->work);
	rt_figures_free(c->figures);
	free(c->announced);
	free(c);
}
