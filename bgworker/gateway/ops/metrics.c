/* metrics.c: see metrics.h.
 *
 * Every figure is read when somebody asks, from the module that keeps it; names and help texts are here, so that the
 * page on monitoring has one source. A name, once released, keeps its meaning. */
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/metric.h"
#include "process.h"
#include "bgworker/common/text.h"
#include "bgworker/common/version.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/clients/counters.h"
#include "bgworker/gateway/net/network.h"
#include "gauges.h"
#include "media_metrics.h"
#include "relaystat.h"
#include "report.h"

#define CONNECTIONS_MAX 20
#define PAGE_MS 1000

struct rt_metrics
{
	struct rt_metrics_uses uses;
	struct rt_network *beside; /* the address of its own; NULL: none */
	struct rt_process *process;
	struct rt_text labels;   /* of the gateway's samples */
	struct rt_text database; /* of those of the relay and of media */
	struct rt_text page;     /* as it was at page_ms */
	uint64_t page_ms;
};

static const struct
{
	const char *name;
	const char *help;
} counter_names[RT_COUNTERS] = {
	[RT_COUNT_CONNECTS] = {"rt_gateway_connects_total", "Socket.IO connections accepted."},
	[RT_COUNT_CONNECT_REFUSALS] = {"rt_gateway_connect_refusals_total", "Socket.IO connections refused."},
	[RT_COUNT_DISCONNECTS] = {"rt_gateway_disconnects_total", "Socket.IO connections that have ended."},
	[RT_COUNT_EVENTS] = {"rt_gateway_client_events_total", "Events received from clients."},
	[RT_COUNT_EVENT_ERRORS] = {"rt_gateway_client_event_errors_total", "Events that were answered with an error."},
	[RT_COUNT_RATE_LIMITED] = {"rt_gateway_rate_limited_total", "Events and requests above a rate limit."},
	[RT_COUNT_RECOVERED] = {"rt_gateway_recovered_total", "Connections whose state was recovered."},
	[RT_COUNT_REPLAY_PAGES] = {"rt_gateway_replay_pages_total", "Pages of the event log read for recoveries."},
	[RT_COUNT_REQUESTS] = {"rt_gateway_requests_total", "REST requests."},
	[RT_COUNT_REQUEST_ERRORS] = {"rt_gateway_request_errors_total",
								 "REST requests that were answered with an error."},
	[RT_COUNT_SEND_BATCHES] = {"rt_gateway_send_batches_total", "Transactions that stored messages sent by REST."},
	[RT_COUNT_SENT_MESSAGES] = {"rt_gateway_sent_messages_total", "Messages sent by REST."},
};

/* ---- /metrics ----------------------------------------------------------------------- */

static void
write_transport(const struct rt_traffic *t, struct rt_text *out, const char *labels)
{
	const struct rt_metric metrics[] = {
		{"rt_gateway_connections", "Open connections of all kinds.", RT_GAUGE, &t->connections},
		{"rt_gateway_websockets", "Open websockets.", RT_GAUGE, &t->websockets},
		{"rt_gateway_sessions", "Engine.IO sessions.", RT_GAUGE, &t->sessions},
		{"rt_gateway_sockets", "Connected Socket.IO sockets.", RT_GAUGE, &t->sockets},
		{"rt_gateway_queued_bytes", "Bytes queued for sockets.", RT_GAUGE, &t->queued_bytes},
		{"rt_gateway_accepted_total", "Connections accepted.", RT_COUNTER, &t->accepted},
		{"rt_gateway_refused_full_total", "Connections refused above rt.max_connections.", RT_COUNTER,
		 &t->refused_full},
		{"rt_gateway_made_room_total", "Connections and sessions without a login closed to make room.", RT_COUNTER,
		 &t->made_room},
		{"rt_gateway_throttled_total", "Requests without a token that waited for CPU time of their address.",
		 RT_COUNTER, &t->throttled},
		{"rt_gateway_held_bytes", "Bytes of messages and bodies that are not complete.", RT_GAUGE, &t->held_bytes},
		{"rt_gateway_over_share_total", "Messages and bodies above the share of their sender.", RT_COUNTER,
		 &t->over_share},
		{"rt_gateway_evicted_total", "Unfinished bodies without a token dropped for those of users.", RT_COUNTER,
		 &t->evicted},
		{"rt_gateway_passed_on_total", "Connections passed to another worker.", RT_COUNTER, &t->passed_on},
		{"rt_gateway_http_requests_total", "HTTP requests.", RT_COUNTER, &t->http_requests},
		{"rt_gateway_http_bad_requests_total", "Requests rejected as malformed HTTP.", RT_COUNTER,
		 &t->http_bad_requests},
		{"rt_gateway_foreign_origins_total", "Sessions refused because of their page's origin.", RT_COUNTER,
		 &t->foreign_origins},
		{"rt_gateway_packets_in_total", "Engine.IO messages received.", RT_COUNTER, &t->packets_in},
		{"rt_gateway_bytes_in_total", "Bytes received.", RT_COUNTER, &t->bytes_in},
		{"rt_gateway_frames_out_total", "Engine.IO messages sent.", RT_COUNTER, &t->frames_out},
		{"rt_gateway_bytes_out_total", "Bytes sent.", RT_COUNTER, &t->bytes_out},
		{"rt_gateway_writes_out_total", "Writes that carried messages.", RT_COUNTER, &t->writes_out},
		{"rt_gateway_cut_off_total", "Sockets cut off because their queue was full.", RT_COUNTER, &t->cut_off},
		{"rt_gateway_ping_timeouts_total", "Sessions closed because they answered no heartbeat.", RT_COUNTER,
		 &t->ping_timeouts},
		{"rt_gateway_connect_timeouts_total", "Sessions closed without a CONNECT in time.", RT_COUNTER,
		 &t->connect_timeouts},
		{"rt_gateway_upgrades_total", "Upgrades from polling to websocket.", RT_COUNTER, &t->upgrades},
		{"rt_gateway_protocol_errors_total", "Sessions closed for a protocol error.", RT_COUNTER,
		 &t->protocol_errors},
	};

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		rt_metric_write(out, &metrics[i], labels);
}

static void
write_bus(const struct rt_bus_stats *b, struct rt_text *out, const char *labels)
{
	const struct rt_metric metrics[] = {
		{"rt_gateway_bus_events_total", "Events received from the bus.", RT_COUNTER, &b->events},
		{"rt_gateway_bus_pages_total", "Pages of the event log read by the bus.", RT_COUNTER, &b->pages},
		{"rt_gateway_bus_catch_ups_total", "Times that the bus fell behind and had to read the event log.",
		 RT_COUNTER, &b->catch_ups},
		{"rt_gateway_bus_resets_total", "Times that the event log did not reach back far enough.", RT_COUNTER,
		 &b->resets},
		{"rt_gateway_bus_bad_notices_total",
		 "Notifications ignored: sent by another process than the relay, or malformed.", RT_COUNTER, &b->bad_notices},
	};

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		rt_metric_write(out, &metrics[i], labels);
}

static void
write_gauges(const struct rt_gauges *g, struct rt_text *out, const char *labels)
{
	const struct rt_metric metrics[] = {
		{"rt_gateway_users", "Users with a connected socket.", RT_GAUGE, &g->users},
		{"rt_gateway_rooms", "Rooms with a connected member.", RT_GAUGE, &g->rooms},
		{"rt_gateway_meetings", "Meetings with a connected participant.", RT_GAUGE, &g->meetings},
		{"rt_gateway_participants", "Connected participants of meetings.", RT_GAUGE, &g->seats},
		{"rt_gateway_signals_waiting", "Media requests that wait for an answer.", RT_GAUGE, &g->signals},
		{"rt_gateway_recent_bytes", "Bytes of recent events kept in memory.", RT_GAUGE, &g->recent_bytes},
		{"rt_gateway_db_waiting", "Database calls that wait for a connection.", RT_GAUGE, &g->db_waiting},
		{"rt_gateway_position", "Position in the event log.", RT_GAUGE, &g->position},
		{"rt_gateway_slow_turns_total", "Turns of the event loop longer than 20 ms.", RT_COUNTER, &g->slow_turns},
		{"rt_gateway_ready", "Whether /readyz answers 200.", RT_GAUGE, &g->ready},
		{"rt_gateway_draining", "Whether this gateway is draining after rt.drain().", RT_GAUGE, &g->draining},
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
write_durations(const struct rt_metrics *m, struct rt_text *out, const char *labels)
{
	const struct rt_metrics_uses *u = &m->uses;

	write_lanes(out, "rt_gateway_request_duration_seconds", "Duration of REST requests that called the database.",
				labels, rt_counters_durations(u->counters, RT_DURATION_REQUEST_FAST),
				rt_counters_durations(u->counters, RT_DURATION_REQUEST_SLOW));
	write_lanes(out, "rt_gateway_db_call_duration_seconds",
				"Duration of database calls, including the wait for a connection.", labels,
				rt_db_durations(u->db, RT_DB_FAST), rt_db_durations(u->db, RT_DB_SLOW));
	write_histogram(out, "rt_gateway_delivery_delay_seconds",
					"Time from an event's commit to its dispatch in this gateway, sampled once a second.", labels,
					rt_counters_durations(u->counters, RT_DURATION_DELIVERY));
	write_histogram(out, "rt_gateway_heartbeat_duration_seconds", "Time until clients answered a heartbeat.", labels,
					&rt_network_traffic(u->network)->answers);
	write_histogram(out, "rt_gateway_turn_duration_seconds", "Duration of turns of the event loop, to a millisecond.",
					labels, rt_loop_turns(u->loop));
}

static void
write_build(struct rt_text *out)
{
	rt_metric_write_head(out, "rt_build_info", "1, labelled with the version.", "gauge");
	rt_text_add(out, "rt_build_info{version=\"" RT_VERSION "\"} 1\n");
}

static void
write_counters(const struct rt_counters *cs, struct rt_text *out, const char *labels)
{
	for (int i = 0; i < RT_COUNTERS; i++)
	{
		const struct rt_metric metric = {counter_names[i].name, counter_names[i].help, RT_COUNTER,
										 rt_counters_value(cs, i)};

		rt_metric_write(out, &metric, labels);
	}
}

static void
write_locks(const json_t *locks, struct rt_text *out, const char *labels)
{
	uint64_t tables = (uint64_t) rt_json_int(locks, "tables", 0);
	const struct rt_metric m = {"rt_locked_tables", "Tables of rt with a lock that keeps all writers waiting.",
								RT_GAUGE, &tables};

	if (locks == NULL)
		return;
	rt_metric_write(out, &m, labels);
	rt_metric_write_head(out, "rt_table_lock_seconds", "Age of the oldest of these locks.", "gauge");
	rt_metric_write_double(out, "rt_table_lock_seconds", labels, (double) rt_json_int(locks, "oldestUs", 0) / 1e6);
}

/* Nothing is written of one that does not run. */
static void
write_silence(struct rt_text *out, const char *labels, const char *name, const char *help, int64_t us)
{
	if (us < 0)
		return;
	rt_metric_write_head(out, name, help, "gauge");
	rt_metric_write_double(out, name, labels, (double) us / 1e6);
}

static void
write_workers(const json_t *workers, struct rt_text *out, const char *labels)
{
	write_silence(out, labels, "rt_launcher_silence_seconds", "Time since the launcher did anything.",
				  rt_json_int(workers, "launcherUs", -1));
	write_silence(out, labels, "rt_supervisor_silence_seconds", "Time since the supervisor did anything.",
				  rt_json_int(workers, "supervisorUs", -1));
}

static void
write_all(const struct rt_metrics *m, struct rt_text *out)
{
	const struct rt_metrics_uses *u = &m->uses;
	const char *labels = m->labels.data;
	struct rt_gauges gauges;

	rt_gauges_take(&gauges, u->gauges);
	write_build(out);
	write_transport(rt_network_traffic(u->network), out, labels);
	write_bus(rt_bus_stats(u->bus), out, labels);
	write_gauges(&gauges, out, labels);
	write_counters(u->counters, out, labels);
	write_durations(m, out, labels);
	rt_process_write(m->process, out, labels);
	rt_relaystat_write(rt_report_relay(u->report), out, m->database.data);
	write_locks(rt_report_locks(u->report), out, m->database.data);
	write_workers(rt_report_workers(u->report), out, m->database.data);
	rt_media_metrics_write(rt_report_media(u->report), out, m->database.data);
}

/* Made once in PAGE_MS, however many ask: anybody may. */
void
rt_metrics_reply(struct rt_metrics *m, struct rt_http_router *h, uint64_t id)
{
	uint64_t now_ms = rt_loop_now_ms(m->uses.loop);

	if (m->page.len == 0 || now_ms - m->page_ms >= PAGE_MS)
	{
		rt_text_reset(&m->page);
		write_all(m, &m->page);
		m->page_ms = now_ms;
	}
	rt_http_router_reply(h, id, 200, "text/plain; version=0.0.4; charset=utf-8", "Cache-Control: no-store\r\n",
						 m->page.data, m->page.len);
}

/* ---- an address of its own ----------------------------------------------------------- */

static void
on_request(void *arg, const struct rt_http_router_request *r)
{
	static const char not_found[] = "not found\n";
	struct rt_metrics *m = arg;
	struct rt_http_router *h = rt_network_router(m->beside);

	if (strcmp(r->path, "/metrics") == 0)
		rt_metrics_reply(m, h, r->id);
	else
		rt_http_router_reply(h, r->id, 404, "text/plain", NULL, not_found, sizeof(not_found) - 1);
}

static void
on_connect(void *arg, struct rt_socket *s, const struct rt_socket_handshake *c)
{
	rt_socket_refuse(s, "Invalid token", "{\"code\":\"unauthorized\"}");
}

/* Nobody is ever let in here, so there are neither events nor ends. */
static void
on_event(void *arg, struct rt_socket *s, const struct rt_socket_event *e)
{
}

static void
on_disconnect(void *arg, struct rt_socket *s, const char *reason, bool clean)
{
}

/* "host:port", "[::1]:port" or a port alone; false if it is none. */
static bool
split_address(const char *address, char *host, size_t size, int *port)
{
	const char *colon = strrchr(address, ':');
	const char *digits = colon == NULL ? address : colon + 1;
	size_t len = colon == NULL ? 0 : (size_t) (colon - address);
	char *end;

	if (len >= 2 && address[0] == '[' && address[len - 1] == ']')
	{
		address++;
		len -= 2;
	}
	if (len >= size)
		return false;
	memcpy(host, address, len);
	host[len] = '\0';
	*port = (int) strtol(digits, &end, 10);
	return end != digits && *end == '\0' && *port > 0 && *port < 65536;
}

static enum rt_result
listen_on(struct rt_metrics *m, const char *host, int port)
{
	const struct rt_socket_app nobody = {
		.on_connect = on_connect, .on_event = on_event, .on_disconnect = on_disconnect, .arg = m};
	const struct rt_http_router_app http = {.on_request = on_request, .arg = m};
	const struct rt_network_settings settings = {
		.limits = {.max_payload_bytes = 10000, .max_connections = CONNECTIONS_MAX},
		.eio = {.ping_interval_ms = 25000, .ping_timeout_ms = 20000, .max_queued_bytes = 1000000},
		.sockets = {.connect_timeout_ms = 5000},
		.port = port,
		.listen_addresses = host[0] == '\0' ? "127.0.0.1" : host,
		.workers = 1,
		.beside = true,
	};
	enum rt_result rc = rt_network_new(&m->beside, m->uses.loop, &settings, &nobody, &http);

	return rc == RT_OK ? rt_network_listen(m->beside) : rc;
}

enum rt_result
rt_metrics_listen(struct rt_metrics *m, const char *address)
{
	char host[100];
	enum rt_result rc;
	int port;

	if (!split_address(address, host, sizeof(host), &port))
	{
		rt_log(RT_LOG_ERROR, "metrics", "rt.metrics_address must be \"host:port\"");
		return RT_BAD_INPUT;
	}
	rc = listen_on(m, host, port + m->uses.worker);
	if (rc != RT_OK)
		rt_metrics_stop_listening(m);
	return rc;
}

void
rt_metrics_stop_listening(struct rt_metrics *m)
{
	rt_network_free(m->beside);
	m->beside = NULL;
}

/* ---- life ------------------------------------------------------------------------------ */

struct rt_metrics *
rt_metrics_new(const struct rt_metrics_uses *uses)
{
	struct rt_metrics *m = rt_alloc(sizeof(*m));
	char worker[12];

	m->uses = *uses;
	m->process = rt_process_new();
	snprintf(worker, sizeof(worker), "%d", uses->number);
	rt_text_init(&m->labels);
	rt_metric_label(&m->labels, "database", uses->database);
	rt_metric_label(&m->labels, "worker", worker);
	rt_text_init(&m->database);
	rt_text_init(&m->page);
	rt_metric_label(&m->database, "database", uses->database);
	return m;
}

void
rt_metrics_free(struct rt_metrics *m)
{
	if (m == NULL)
		return;
	rt_metrics_stop_listening(m);
	rt_process_free(m->process);
	rt_text_fini(&m->labels);
	rt_text_fini(&m->database);
	rt_text_fini(&m->page);
	free(m);
}
