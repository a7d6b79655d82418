/* report.c: see report.h.  main starts it when the bus has started, and stops it last.
 *
 * What must stay true:
 *
 * - One call is under way at a time, on the lane that no client's load can fill: a report that waits would make this
 *   gateway look dead.
 * - Only what has changed of a connection (rt_client_told_is_old()) is told, and c->told is what the database knows
 *   of it.
 * - A report that finds no gateway (`not_found`: another server has taken over, it has crashed, or gave us up) starts
 *   it anew, at once; and then whoever knows the connections tells them again (on_renewed).
 *
 * Limits: ROOMS_MAX rooms and CONNECTIONS_MAX connections a report, and LOOKS_MAX looked at; the next report goes on
 * behind the last one of these. */
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/conf.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/db/dberror.h"
#include "bgworker/common/db/host.h"
#include "bgworker/common/json.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/socketio/socket.h"
#include "gauges.h"
#include "ready.h"
#include "bgworker/gateway/net/network.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/counters.h"
#include "bgworker/gateway/clients/dbclock.h"

#define REPORT_EVERY_MS 1000
#define ROOMS_MAX 1000       /* told of in one report: those with joined clients, no matter which */
#define CONNECTIONS_MAX 1000 /* likewise: those whose figures have changed */
#define LOOKS_MAX 4000       /* at a connection, which is several cache misses */

struct rt_report
{
	struct rt_report_uses uses;
	struct rt_timer *timer;
	size_t next_client;
	json_t *answer;    /* to the last report */
	uint64_t seen_pos; /* 0: none since the last report */
	uint64_t seen_at_us;
	bool asking;
	uint64_t asked_us; /* by rt_clock_us() */
	bool starting;     /* what is asked is gateway_start */
	bool known_before; /* it was, and was given up */
};

static void
write_number(struct rt_text *t, const char *key, uint64_t value)
{
	rt_text_addf(t, ",\"%s\":%" PRIu64, key, value);
}

static void
write_stats(struct rt_report *rp, struct rt_text *t)
{
	const struct rt_traffic *tr = rt_network_traffic(rp->uses.network);
	const struct rt_counters *cs = rp->uses.counters;
	struct rt_gauges g;

	rt_gauges_take(&g, rp->uses.gauges);
	rt_text_addf(t, ",\"stats\":{\"connections\":%" PRIu64, tr->connections);
	write_number(t, "websockets", tr->websockets);
	write_number(t, "sockets", tr->sockets);
	write_number(t, "users", g.users);
	write_number(t, "rooms", g.rooms);
	write_number(t, "events", rt_bus_stats(rp->uses.bus)->events);
	write_number(t, "position", g.position);
	write_number(t, "framesOut", tr->frames_out);
	write_number(t, "bytesOut", tr->bytes_out);
	write_number(t, "writesOut", tr->writes_out);
	write_number(t, "packetsIn", tr->packets_in);
	write_number(t, "bytesIn", tr->bytes_in);
	write_number(t, "queuedBytes", tr->queued_bytes);
	write_number(t, "cutOff", tr->cut_off);
	write_number(t, "requests", *rt_counters_value(cs, RT_COUNT_REQUESTS));
	write_number(t, "clientEvents", *rt_counters_value(cs, RT_COUNT_EVENTS));
	write_number(t, "rateLimited", *rt_counters_value(cs, RT_COUNT_RATE_LIMITED));
	write_number(t, "recovered", *rt_counters_value(cs, RT_COUNT_RECOVERED));
	write_number(t, "dbCalls", g.db_calls);
	write_number(t, "dbWaiting", g.db_waiting);
	rt_text_add(t, "}");
}

static void
write_rooms(struct rt_report *rp, struct rt_text *t)
{
	struct rt_room *r;
	size_t at = 0;
	int n = 0;

	rt_text_add(t, ",\"rooms\":[");
	while (n < ROOMS_MAX && (r = rt_rooms_next(rp->uses.rooms, &at)) != NULL)
	{
		if (rt_room_joined_count(r) > 0)
			rt_text_addf(t, "%s{\"roomId\":\"%s\",\"joined\":%zu}", n++ == 0 ? "" : ",", rt_room_id(r),
						 rt_room_joined_count(r));
	}
	rt_text_add(t, "]");
}

static struct rt_told
look_at(const struct rt_client *c)
{
	return (struct rt_told){.latency_us = rt_socket_latency_us(c->socket),
							.queued_bytes = rt_socket_queued_bytes(c->socket),
							.websocket = rt_socket_is_websocket(c->socket)};
}

static void
write_connection(struct rt_text *t, const struct rt_client *c)
{
	rt_text_add(t, "{\"sid\":");
	rt_text_quote(t, rt_socket_id(c->socket));
	rt_text_addf(t, ",\"serial\":%" PRIu64 ",\"transport\":\"%s\",\"queuedBytes\":%zu", c->serial,
				 c->told.websocket ? "websocket" : "polling", c->told.queued_bytes);
	if (c->told.latency_us >= 0)
		rt_text_addf(t, ",\"latencyUs\":%" PRId64, c->told.latency_us);
	rt_text_add(t, "}");
}

static struct rt_client *
next_client(struct rt_report *rp)
{
	struct rt_client *c = rt_clients_next(rp->uses.clients, &rp->next_client);

	if (c != NULL)
		return c;
	rp->next_client = 0;
	return rt_clients_next(rp->uses.clients, &rp->next_client);
}

/* The next report goes on behind the last one that was looked at. */
static void
write_connections(struct rt_report *rp, struct rt_text *t)
{
	size_t left = rt_clients_count(rp->uses.clients);
	int n = 0;

	rt_text_add(t, ",\"connections\":[");
	if (left > LOOKS_MAX)
		left = LOOKS_MAX;
	for (; left > 0 && n < CONNECTIONS_MAX; left--)
	{
		struct rt_client *c = next_client(rp);
		struct rt_told now;

		if (c == NULL || c->user == NULL)
			continue;
		now = look_at(c);
		if (!rt_client_told_is_old(&c->told, &now))
			continue;
		c->told = now;
		rt_text_add(t, n++ == 0 ? "" : ",");
		write_connection(t, c);
	}
	rt_text_add(t, "]");
}

void
rt_report_note_event(struct rt_report *rp, uint64_t pos)
{
	if (rp->seen_pos != 0)
		return;
	rp->seen_pos = pos;
	rp->seen_at_us = rt_dbclock_us(rp->uses.clock);
}

static void
write_seen(struct rt_report *rp, struct rt_text *t)
{
	if (rp->seen_pos == 0)
		return;
	write_number(t, "seenPos", rp->seen_pos);
	write_number(t, "seenAtUs", rp->seen_at_us);
	rp->seen_pos = 0;
}

static void
take_answer(struct rt_report *rp, json_t *answer)
{
	int64_t delay_us = rt_json_int(answer, "delayUs", -1);

	if (answer == NULL)
		return;
	rt_dbclock_note(rp->uses.clock, answer, rp->asked_us);
	json_decref(rp->answer);
	rp->answer = answer;
	if (delay_us >= 0)
		rt_counters_observe(rp->uses.counters, RT_DURATION_DELIVERY, (uint64_t) delay_us);
}

json_t *
rt_report_locks(const struct rt_report *rp)
{
	return rt_json_object(rp->answer, "locks");
}

json_t *
rt_report_workers(const struct rt_report *rp)
{
	return rt_json_object(rp->answer, "workers");
}

json_t *
rt_report_relay(const struct rt_report *rp)
{
	return rt_json_object(rp->answer, "relay");
}

json_t *
rt_report_media(const struct rt_report *rp)
{
	return rt_json_array(rp->answer, "media");
}

static void tell(struct rt_report *rp, const char *fn);

static void
take_start(struct rt_report *rp)
{
	bool again = rp->known_before;

	rp->known_before = true;
	rt_ready_set_known(rp->uses.ready, true);
	if (again)
		rp->uses.on_renewed(rp->uses.arg);
}

static void
take_secret(struct rt_report *rp, const struct rt_db_reply *reply)
{
	json_t *answer = rt_json_parse_object(reply->json, reply->json_len);

	rt_network_set_secret(rp->uses.network, rp->uses.db, rt_json_str(answer, "secret"));
	json_decref(answer);
}

static void
on_told(void *arg, const struct rt_db_reply *reply)
{
	struct rt_report *rp = arg;

	rp->asking = false;
	rt_ready_set_standby(rp->uses.ready,
						 !reply->ok && reply->sqlstate != NULL && rt_dberror_is_standby(reply->sqlstate));
	if (reply->ok)
		rt_ready_note_answer(rp->uses.ready);
	if (reply->ok && rp->starting)
	{
		take_secret(rp, reply);
		take_start(rp);
	}
	else if (reply->ok)
	{
		take_answer(rp, rt_json_parse_object(reply->json, reply->json_len));
		rt_host_note_stamp(rp->uses.host, rt_json_str(rp->answer, "stamp"));
		rt_ready_set_stalled(rp->uses.ready, json_is_true(json_object_get(rt_report_relay(rp), "stalled")));
		rt_ready_set_locked(rp->uses.ready, json_is_true(json_object_get(rt_report_locks(rp), "locked")));
		rt_ready_set_silent(rp->uses.ready, rt_json_str(rt_report_workers(rp), "silent"));
	}
	else if (strcmp(reply->code, "not_found") == 0)
	{
		rt_ready_set_known(rp->uses.ready, false);
		if (!rp->uses.self->ending)
			tell(rp, "gateway_start");
	}
}

static void
write_addresses(const struct rt_report *rp, struct rt_text *t)
{
	char *text = json_dumps(rt_network_addresses(rp->uses.network), JSON_COMPACT);

	rt_text_add(t, ",\"addresses\":");
	rt_text_add(t, text == NULL ? "[]" : text);
	free(text);
}

static void
tell(struct rt_report *rp, const char *fn)
{
	struct rt_text t;
	const struct rt_conf *conf = rp->uses.conf;

	rt_text_init(&t);
	rt_text_add(&t, "{\"gateway\":");
	rt_text_quote(&t, rp->uses.self->name);
	rt_text_add(&t, ",\"host\":");
	rt_text_quote(&t, rt_conf_host(conf));
	rt_text_add(&t, ",\"region\":");
	rt_text_quote(&t, rt_conf_region(conf));
	rt_text_addf(&t, ",\"own\":%s,\"slot\":%d,\"pid\":%d", rt_conf_is_own(conf) ? "true" : "false",
				 rt_conf_number(conf), (int) getpid());
	write_number(&t, "port", (uint64_t) rp->uses.port);
	write_addresses(rp, &t);
	write_stats(rp, &t);
	write_rooms(rp, &t);
	write_connections(rp, &t);
	write_seen(rp, &t);
	rt_text_add(&t, "}");
	rp->asking = true;
	rp->asked_us = rt_clock_us();
	rp->starting = strcmp(fn, "gateway_start") == 0;
	rt_db_call(rp->uses.db, RT_DB_OWN, fn, NULL, t.data, t.len, on_told, rp);
	rt_text_fini(&t);
}

static void
on_timer(void *arg)
{
	struct rt_report *rp = arg;

	if (!rp->asking)
		tell(rp, rt_ready_is_known(rp->uses.ready) ? "gateway_report" : "gateway_start");
	rt_timer_start(rp->timer, REPORT_EVERY_MS);
}

void
rt_report_start(struct rt_report *rp)
{
	rt_timer_start(rp->timer, REPORT_EVERY_MS);
	tell(rp, "gateway_start");
}

void
rt_report_stop(struct rt_report *rp)
{
	rt_timer_stop(rp->timer);
	if (rt_ready_is_known(rp->uses.ready))
		tell(rp, "gateway_stop");
}

bool
rt_report_asking(const struct rt_report *rp)
{
	return rp->asking;
}

struct rt_report *
rt_report_new(const struct rt_report_uses *uses)
{
	struct rt_report *rp = rt_alloc(sizeof(*rp));

	rp->uses = *uses;
	rp->timer = rt_timer_new(uses->loop, on_timer, rp);
	return rp;
}

void
rt_report_free(struct rt_report *rp)
{
	if (rp == NULL)
		return;
	rt_timer_free(rp->timer);
	json_decref(rp->answer);
	free(rp);
}
