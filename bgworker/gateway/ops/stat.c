/* stat.c: see stat.h */
#include "stat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/conf.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/metric.h"
#include "bgworker/common/process.h"
#include "bgworker/common/version.h"
#include "bgworker/gateway/app.h"
#include "bgworker/gateway/bus/bus.h"
#include "drain.h"
#include "media_metrics.h"
#include "bgworker/gateway/meetings/meeting.h"
#include "bgworker/gateway/bus/recent.h"
#include "relaystat.h"
#include "report.h"
#include "bgworker/gateway/rest/rest.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/meetings/signalling.h"
#include "bgworker/gateway/net/network.h"
#include "bgworker/gateway/clients/user.h"

struct rt_stat
{
	struct rt_app *app;
	uint64_t counters[RT_STAT_COUNTERS];
	struct rt_stat_gauges gauges;
	struct rt_histogram durations[RT_STAT_DURATIONS];
	struct rt_process *process;
	struct rt_text labels; /* of every sample */
};

static const struct
{
	const char *name;
	const char *help;
} counters[RT_STAT_COUNTERS] = {
	[RT_STAT_CONNECTS] = {"rt_gateway_connects_total", "Socket.IO connections that were let in."},
	[RT_STAT_CONNECT_REFUSALS] = {"rt_gateway_connect_refusals_total", "Socket.IO connections that were refused."},
	[RT_STAT_DISCONNECTS] = {"rt_gateway_disconnects_total", "Socket.IO connections that have ended."},
	[RT_STAT_EVENTS] = {"rt_gateway_client_events_total", "Events that clients have sent."},
	[RT_STAT_EVENT_ERRORS] = {"rt_gateway_client_event_errors_total", "Events that were answered with an error."},
	[RT_STAT_RATE_LIMITED] = {"rt_gateway_rate_limited_total", "Events and requests above a rate limit."},
	[RT_STAT_RECOVERED] = {"rt_gateway_recovered_total", "Connections whose state was recovered."},
	[RT_STAT_REPLAY_PAGES] = {"rt_gateway_replay_pages_total", "Pages of the event log read for recoveries."},
	[RT_STAT_REQUESTS] = {"rt_gateway_requests_total", "REST requests."},
	[RT_STAT_REQUEST_ERRORS] = {"rt_gateway_request_errors_total", "REST requests that were answered with an error."},
	[RT_STAT_SEND_BATCHES] = {"rt_gateway_send_batches_total", "Transactions for messages that came by REST."},
	[RT_STAT_SENT_MESSAGES] = {"rt_gateway_sent_messages_total", "Messages that came by REST."},
};

void
rt_stat_add(struct rt_stat *st, enum rt_stat_counter which, uint64_t n)
{
	st->counters[which] += n;
}

void
rt_stat_count(struct rt_stat *st, enum rt_stat_counter which)
{
	st->counters[which]++;
}

uint64_t
rt_stat_get(const struct rt_stat *st, enum rt_stat_counter which)
{
	return st->counters[which];
}

const struct rt_stat_gauges *
rt_stat_take_gauges(struct rt_stat *st)
{
	struct rt_app *app = st->app;
	struct rt_stat_gauges *g = &st->gauges;

	g->users = rt_users_count(app->users);
	g->rooms = rt_rooms_count(app->rooms);
	g->meetings = rt_meetings_count(app->meetings);
	g->seats = rt_meetings_seats(app->meetings);
	g->signals = rt_signals_waiting(app->signals);
	g->recent_bytes = rt_recent_bytes(app->recent);
	g->db_waiting = rt_db_waiting(app->db);
	g->db_calls = rt_histogram_count(rt_db_durations(app->db, RT_DB_FAST)) +
				  rt_histogram_count(rt_db_durations(app->db, RT_DB_SLOW));
	g->position = rt_bus_pos(app->bus);
	g->slow_turns = rt_loop_slow_turns(app->loop);
	g->ready = rt_rest_is_ready(app);
	g->draining = rt_drain_begun(app->drain);
	return g;
}

/* ---- /metrics ----------------------------------------------------------------------- */

static void
write_transport(const struct rt_traffic *t, struct rt_text *out, const char *labels)
{
	const struct rt_metric metrics[] = {
		{"rt_gateway_connections", "Open connections of all kinds.", RT_GAUGE, &t->connections},
		{"rt_gateway_websockets", "Open websockets.", RT_GAUGE, &t->websockets},
		{"rt_gateway_sessions", "Engine.IO sessions.", RT_GAUGE, &t->sessions},
		{"rt_gateway_sockets", "Connected Socket.IO sockets.", RT_GAUGE, &t->sockets},
		{"rt_gateway_queued_bytes", "Bytes that wait for sockets.", RT_GAUGE, &t->queued_bytes},
		{"rt_gateway_accepted_total", "Connections accepted.", RT_COUNTER, &t->accepted},
		{"rt_gateway_refused_full_total", "Connections above rt.max_connections.", RT_COUNTER, &t->refused_full},
		{"rt_gateway_passed_on_total", "Connections passed to another worker.", RT_COUNTER, &t->passed_on},
		{"rt_gateway_http_requests_total", "HTTP requests.", RT_COUNTER, &t->http_requests},
		{"rt_gateway_http_bad_requests_total", "HTTP requests that were none.", RT_COUNTER, &t->http_bad_requests},
		{"rt_gateway_packets_in_total", "Engine.IO messages received.", RT_COUNTER, &t->packets_in},
		{"rt_gateway_bytes_in_total", "Bytes received.", RT_COUNTER, &t->bytes_in},
		{"rt_gateway_frames_out_total", "Engine.IO messages sent.", RT_COUNTER, &t->frames_out},
		{"rt_gateway_bytes_out_total", "Bytes sent.", RT_COUNTER, &t->bytes_out},
		{"rt_gateway_writes_out_total", "Writes that carried messages.", RT_COUNTER, &t->writes_out},
		{"rt_gateway_cut_off_total", "Sockets cut off because their queue was full.", RT_COUNTER, &t->cut_off},
		{"rt_gateway_ping_timeouts_total", "Sessions that fell silent.", RT_COUNTER, &t->ping_timeouts},
		{"rt_gateway_connect_timeouts_total", "Sessions without a CONNECT in time.", RT_COUNTER,
		 &t->connect_timeouts},
		{"rt_gateway_upgrades_total", "Upgrades from polling to websocket.", RT_COUNTER, &t->upgrades},
		{"rt_gateway_protocol_errors_total", "Sessions closed for what they sent.", RT_COUNTER, &t->protocol_errors},
	};

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		rt_metric_write(out, &metrics[i], labels);
}

static void
write_bus(const struct rt_bus_stats *b, struct rt_text *out, const char *labels)
{
	const struct rt_metric metrics[] = {
		{"rt_gateway_bus_events_total", "Events that came by the bus.", RT_COUNTER, &b->events},
		{"rt_gateway_bus_pages_total", "Pages of the event log read by the bus.", RT_COUNTER, &b->pages},
		{"rt_gateway_bus_catch_ups_total", "Times that the bus fell out of live.", RT_COUNTER, &b->catch_ups},
		{"rt_gateway_bus_resets_total", "Times that the event log did not reach back.", RT_COUNTER, &b->resets},
		{"rt_gateway_bus_bad_notices_total", "Notifications that were none of the relay's.", RT_COUNTER,
		 &b->bad_notices},
	};

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		rt_metric_write(out, &metrics[i], labels);
}

static void
write_gauges(const struct rt_stat_gauges *g, struct rt_text *out, const char *labels)
{
	const struct rt_metric metrics[] = {
		{"rt_gateway_users", "Users with a connected socket.", RT_GAUGE, &g->users},
		{"rt_gateway_rooms", "Rooms with a connected member.", RT_GAUGE, &g->rooms},
		{"rt_gateway_meetings", "Meetings with a connected participant.", RT_GAUGE, &g->meetings},
		{"rt_gateway_participants", "Connected participants of meetings.", RT_GAUGE, &g->seats},
		{"rt_gateway_signals_waiting", "Media requests that are not answered yet.", RT_GAUGE, &g->signals},
		{"rt_gateway_recent_bytes", "Bytes of recent events kept.", RT_GAUGE, &g->recent_bytes},
		{"rt_gateway_db_waiting", "Database calls that wait for a connection.", RT_GAUGE, &g->db_waiting},
		{"rt_gateway_position", "Position in the event log.", RT_GAUGE, &g->position},
		{"rt_gateway_slow_turns_total", "Turns of the event loop above 20 ms.", RT_COUNTER, &g->slow_turns},
		{"rt_gateway_ready", "Whether /readyz answers 200.", RT_GAUGE, &g->ready},
		{"rt_gateway_draining", "Whether rt.drain() ends this gateway.", RT_GAUGE, &g->draining},
	};

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		rt_metric_write(out, &metrics[i], labels);
}

/* ---- histograms ----------------------------------------------------------------------- */

static void
write_histogram(struct rt_text *out, const char *name, const char *help, const char *labels,
				const struct rt_histogram *h)
{
	rt_metric_write_head(out, name, help, "histogram");
	rt_histogram_write(out, name, labels, h);
}

/* Passwords and searches take long by nature, so they must not hide what is slow else. */
static void
write_lanes(struct rt_text *out, const char *name, const char *help, const char *labels,
			const struct rt_histogram *fast, const struct rt_histogram *slow)
{
	struct rt_text with_lane;

	rt_metric_write_head(out, name, help, "histogram");
	for (int i = 0; i < 2; i++)
	{
		rt_text_init(&with_lane);
		rt_text_add(&with_lane, labels);
		rt_metric_label(&with_lane, "lane", i == 0 ? "fast" : "slow");
		rt_histogram_write(out, name, with_lane.data, i == 0 ? fast : slow);
		rt_text_fini(&with_lane);
	}
}

static void
write_durations(struct rt_stat *st, struct rt_text *out, const char *labels)
{
	const struct rt_app *app = st->app;

	write_lanes(out, "rt_gateway_request_duration_seconds",
				"REST requests that asked the database, until their answer.", labels,
				&st->durations[RT_STAT_REQUEST_FAST], &st->durations[RT_STAT_REQUEST_SLOW]);
	write_lanes(out, "rt_gateway_db_call_duration_seconds",
				"Database calls, their waiting for a connection included.", labels,
				rt_db_durations(app->db, RT_DB_FAST), rt_db_durations(app->db, RT_DB_SLOW));
	write_histogram(out, "rt_gateway_delivery_delay_seconds",
					"From an event's commit to its dispatch here; one a second.", labels,
					&st->durations[RT_STAT_DELIVERY]);
	write_histogram(out, "rt_gateway_heartbeat_duration_seconds", "Until clients answered a heartbeat.", labels,
					&rt_network_traffic(app->network)->answers);
	write_histogram(out, "rt_gateway_turn_duration_seconds", "Turns of the event loop, to a millisecond.", labels,
					rt_loop_turns(app->loop));
}

void
rt_stat_observe(struct rt_stat *st, enum rt_stat_duration which, uint64_t us)
{
	rt_histogram_add(&st->durations[which], us);
}

static void
write_build(struct rt_text *out)
{
	rt_metric_write_head(out, "rt_build_info", "1, labelled with the version.", "gauge");
	rt_text_add(out, "rt_build_info{version=\"" RT_VERSION "\"} 1\n");
}

void
rt_stat_write_metrics(struct rt_stat *st, struct rt_text *out)
{
	const char *labels = st->labels.data;
	struct rt_text database;

	rt_stat_take_gauges(st);
	write_build(out);
	write_transport(rt_network_traffic(st->app->network), out, labels);
	write_bus(rt_bus_stats(st->app->bus), out, labels);
	write_gauges(&st->gauges, out, labels);
	for (int i = 0; i < RT_STAT_COUNTERS; i++)
	{
		struct rt_metric m = {counters[i].name, counters[i].help, RT_COUNTER, &st->counters[i]};

		rt_metric_write(out, &m, labels);
	}
	write_durations(st, out, labels);
	rt_process_write(st->process, out, labels);
	rt_text_init(&database);
	rt_metric_label(&database, "database", rt_conf_database(st->app->conf));
	rt_relaystat_write(rt_report_relay(st->app->report), out, database.data);
	rt_media_metrics_write(rt_report_media(st->app->report), out, database.data);
	rt_text_fini(&database);
}

struct rt_stat *
rt_stat_new(struct rt_app *app)
{
	struct rt_stat *st = rt_alloc(sizeof(*st));

	char worker[12];

	st->app = app;
	st->process = rt_process_new();
	snprintf(worker, sizeof(worker), "%d", rt_conf_worker(app->conf));
	rt_text_init(&st->labels);
	rt_metric_label(&st->labels, "database", rt_conf_database(app->conf));
	rt_metric_label(&st->labels, "worker", worker);
	return st;
}

void
rt_stat_free(struct rt_stat *st)
{
	if (st == NULL)
		return;
	rt_process_free(st->process);
	rt_text_fini(&st->labels);
	free(st);
}
