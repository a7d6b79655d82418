/* main.c: the program rt_gateway: start, reload, drain, stop.  What it is told comes on descriptor 3, or
 * with --config from a file and the database (common/db/host.h); what it has to say goes to standard error.
 *
 * It owns every module and wires them: each gets by name what it uses, from lower layers at its `new`, and calls
 * upper ones by the pointers that are set here alone.  They are made from the lowest layer up, and freed in stop(),
 * which says why in its order. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/conf.h"
#include "bgworker/common/confine/confine.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/db/dbread.h"
#include "bgworker/common/db/host.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/bus/notice.h"
#include "bgworker/gateway/bus/recent.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/chat/chat.h"
#include "bgworker/gateway/chat/send.h"
#include "bgworker/gateway/chat/typing.h"
#include "bgworker/gateway/clients/auth.h"
#include "bgworker/gateway/clients/dbclock.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/counters.h"
#include "bgworker/gateway/clients/client_event.h"
#include "bgworker/gateway/clients/joins.h"
#include "bgworker/gateway/clients/rates.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/user.h"
#include "bgworker/gateway/delivery/dispatch.h"
#include "bgworker/gateway/delivery/presence.h"
#include "bgworker/gateway/delivery/recover.h"
#include "bgworker/gateway/delivery/recovery.h"
#include "bgworker/gateway/lifecycle/entry.h"
#include "bgworker/gateway/lifecycle/expiry.h"
#include "bgworker/gateway/lifecycle/leave.h"
#include "bgworker/gateway/lifecycle/membership.h"
#include "bgworker/gateway/lifecycle/renewal.h"
#include "bgworker/gateway/lifecycle/standing.h"
#include "bgworker/gateway/meetings/meeting.h"
#include "bgworker/gateway/meetings/meeting_event.h"
#include "bgworker/gateway/meetings/signalling.h"
#include "bgworker/gateway/net/network.h"
#include "bgworker/gateway/ops/drain.h"
#include "bgworker/gateway/ops/gauges.h"
#include "bgworker/gateway/ops/metrics.h"
#include "bgworker/gateway/ops/ready.h"
#include "bgworker/gateway/ops/report.h"
#include "bgworker/gateway/ops/sweep.h"
#include "bgworker/gateway/rest/rest.h"

#define CONF_FD 3
#define RECENT_BYTES (32 * 1024 * 1024)
#define MAX_WAITING_CALLS 10000
#define READY_LOOK_MS 20
#define DRAIN_LOOK_MS 50
#define DRAIN_LIMIT_MS 4000     /* below the supervisor's patience */
#define OWN_DRAIN_MOST_MS 20000 /* at SIGTERM on a host of its own: a millisecond each session, and no longer */
#define FAREWELL_LIMIT_MS 500

/* All settings, each module's in its own struct.  The modules keep pointers to them, so a reload writes them in
 * place. */
struct settings
{
	struct rt_network_settings network;
	struct rt_rates_settings rates;
	struct rt_chat_settings chat;
	struct rt_recovery_settings recovery;
	struct rt_presence_settings presence;
	struct rt_entry_settings entry;
	struct rt_leave_settings leave;
	struct rt_expiry_settings expiry;
	/* Of the start: a change of these restarts the program. */
	int db_connections;
	const char *conninfo_read; /* valid until the first reload */
	bool confine;
	bool own_metrics; /* /metrics has an address of its own */
};

struct gateway
{
	struct rt_self self;
	struct settings settings;
	struct rt_loop *loop;
	struct rt_conf *conf;
	struct rt_host *host; /* NULL: the supervisor has started us */
	struct rt_db *db;
	struct rt_dbread *reads;
	struct rt_commands *commands;
	struct rt_bus *bus;
	struct rt_recent *recent;
	struct rt_network *network;
	struct rt_counters *counters;
	struct rt_clients *clients;
	struct rt_users *users;
	struct rt_rooms *rooms;
	struct rt_joins *joins;
	struct rt_dbclock *clock;
	struct rt_auth *auth;
	struct rt_rates *writers;
	struct rt_client_events *events;
	struct rt_typings *typings;
	struct rt_chat *chat;
	struct rt_send *send;
	struct rt_meetings *meetings;
	struct rt_meeting_events *meeting_events;
	struct rt_signalling *signals;
	struct rt_presence *presence;
	struct rt_recover *recover;
	struct rt_dispatch *dispatch;
	struct rt_drain *drain;
	struct rt_ready *ready;
	struct rt_gauges_uses gauges;
	struct rt_report *report;
	struct rt_metrics *metrics;
	struct rt_sweep *sweep;
	struct rt_entries *entries;
	struct rt_leave *leave;
	struct rt_membership_commands *membership;
	struct rt_standing *standing;
	struct rt_renewal *renewal;
	struct rt_expiry *expiry;
	struct rt_rest *rest;
	struct rt_timer *ready_look;
	struct rt_timer *end_look;
	uint64_t end_limit_ms;
	bool refused;  /* by the database: it runs another version */
	bool farewell; /* the connections are gone, the database is being told */
};

/* ---- settings -------------------------------------------------------------------------- */

static void
read_settings(struct settings *s, struct rt_conf *c)
{
	rt_network_settings_read(&s->network, c);
	rt_rates_read_settings(&s->rates, c);
	rt_chat_read_settings(&s->chat, c);
	rt_recovery_read_settings(&s->recovery, c);
	rt_presence_read_settings(&s->presence, c);
	rt_entry_read_settings(&s->entry, c);
	rt_leave_read_settings(&s->leave, c);
	rt_expiry_read_settings(&s->expiry, c);
	s->db_connections = (int) rt_conf_int(c, "db_connections");
	s->conninfo_read = rt_conf_str(c, "conninfo_read");
	s->confine = rt_conf_bool(c, "confine");
	s->own_metrics = rt_conf_str(c, "metrics_address")[0] != '\0';
}

static void
on_reload(void *arg)
{
	struct gateway *g = arg;

	read_settings(&g->settings, g->conf);
	if (rt_network_reload(g->network, &g->settings.network) != RT_OK)
		rt_log(RT_LOG_WARNING, "main", "some of the new settings could not be applied");
}

/* ---- the end ------------------------------------------------------------------------------ */

static void
say_farewell(struct gateway *g)
{
	g->farewell = true;
	g->end_limit_ms = rt_loop_now_ms(g->loop) + FAREWELL_LIMIT_MS;
	rt_report_stop(g->report);
}

static void
on_end_look(void *arg)
{
	struct gateway *g = arg;
	bool late = rt_loop_now_ms(g->loop) >= g->end_limit_ms;

	if (g->farewell && (late || !rt_report_asking(g->report)))
	{
		rt_loop_stop(g->loop);
		return;
	}
	if (!g->farewell && (late || rt_network_connections(g->network) == 0))
		say_farewell(g);
	rt_timer_start(g->end_look, g->farewell ? 5 : DRAIN_LOOK_MS);
}

/* Ends the connections, tells the database, ends the loop.  Each step has a limit of time. */
static void
end(struct gateway *g)
{
	if (g->self.ending)
		return;
	g->self.ending = true;
	g->end_limit_ms = rt_loop_now_ms(g->loop) + DRAIN_LIMIT_MS;
	rt_network_drain(g->network);
	rt_timer_start(g->end_look, 5);
}

/* rt.drain(): a successor is about to listen where we do. */
static void
on_drain_begin(void *arg)
{
	struct gateway *g = arg;

	rt_network_stop_listening(g->network);
	rt_metrics_stop_listening(g->metrics);
}

static void
on_drain_over(void *arg)
{
	end(arg);
}

/* Nobody is our successor here: clients come back by the balancer, or to the next start, not all at once. */
static void
drain_for_good(struct gateway *g)
{
	uint64_t sessions = rt_network_traffic(g->network)->sessions;

	rt_drain_begin(g->drain, sessions < OWN_DRAIN_MOST_MS ? sessions : OWN_DRAIN_MOST_MS);
}

static void
on_signal(void *arg, int signo)
{
	struct gateway *g = arg;

	if (signo == SIGHUP)
		rt_host_reread(g->host);
	else if (g->host != NULL && signo == SIGTERM && !rt_drain_begun(g->drain))
		drain_for_good(g);
	else
		end(g);
}

/* Another version of it may be installed, so the unit's restart is worth a try. */
static void
on_refused(void *arg)
{
	struct gateway *g = arg;

	g->refused = true;
	end(g);
}

static void
on_supervisor_gone(void *arg)
{
	end(arg);
}

/* ---- what lower layers call ------------------------------------------------------------------- */

static void
on_bus_event(void *arg, const struct rt_notice *n)
{
	struct gateway *g = arg;

	if (n->logged)
		rt_report_note_event(g->report, n->pos);
	rt_dispatch_event(g->dispatch, n);
}

static void
on_bus_started(void *arg)
{
	struct gateway *g = arg;

	rt_recent_reset(g->recent, rt_bus_pos(g->bus));
	rt_auth_refresh(g->auth);
	rt_report_start(g->report);
	rt_entries_wake(g->entries);
}

/* What we hold may be wrong in any place: clients come back, and are told what they have to drop. */
static void
on_bus_reset(void *arg)
{
	struct gateway *g = arg;
	struct rt_client *c;
	size_t at = 0;

	rt_recent_reset(g->recent, rt_bus_pos(g->bus));
	rt_auth_refresh(g->auth);
	rt_entries_ask_anew(g->entries);
	while ((c = rt_clients_next(g->clients, &at)) != NULL)
		rt_socket_break(c->socket, "the server has changed");
}

static void
on_report_renewed(void *arg)
{
	struct gateway *g = arg;

	rt_renewal_begin(g->renewal);
}

static void
on_connect(void *arg, struct rt_socket *s, const struct rt_socket_handshake *c)
{
	struct gateway *g = arg;

	rt_entry_begin(g->entries, s, c);
}

static void
on_event(void *arg, struct rt_socket *s, const struct rt_socket_event *e)
{
	struct gateway *g = arg;

	rt_client_event_arrive(g->events, s, e);
}

static void
on_disconnect(void *arg, struct rt_socket *s, const char *reason, bool clean)
{
	struct gateway *g = arg;

	rt_leave_socket(g->leave, s, reason, clean);
}

static void
on_request(void *arg, const struct rt_http_router_request *r)
{
	struct gateway *g = arg;

	rt_rest_serve(g->rest, r);
}

static char *
user_of(void *arg, const char *authorization)
{
	struct gateway *g = arg;

	return rt_rest_user_of(g->rest, authorization);
}

static void
on_ready_look(void *arg)
{
	struct gateway *g = arg;

	rt_entries_wake(g->entries);
	if (rt_bus_live(g->bus) && rt_bus_hears(g->bus) && rt_auth_ready(g->auth) && rt_ready_is_known(g->ready))
		rt_log(RT_LOG_INFO, NULL, "ready");
	else
		rt_timer_start(g->ready_look, READY_LOOK_MS);
}

/* ---- the modules, from the lowest layer up ---------------------------------------------------- */

static enum rt_result
make_network(struct gateway *g)
{
	const struct rt_socket_app callbacks = {
		.on_connect = on_connect, .on_event = on_event, .on_disconnect = on_disconnect, .arg = g};
	const struct rt_http_router_app http = {.on_request = on_request, .user_of = user_of, .arg = g};

	return rt_network_new(&g->network, g->loop, &g->settings.network, &callbacks, &http);
}

static enum rt_result
make_bus(struct gateway *g)
{
	const struct rt_db_options o = {
		.conninfo = rt_conf_conninfo(g->conf),
		.role = rt_host_role(g->host),
		.fast_connections = g->settings.db_connections,
		.locking_connections = g->settings.db_connections,
		.slow_connections = (g->settings.db_connections + 1) / 2,
		.own_connections = 1,
		.max_waiting = MAX_WAITING_CALLS,
	};
	const struct rt_bus_user user = {
		.on_event = on_bus_event, .on_started = on_bus_started, .on_reset = on_bus_reset, .arg = g};
	enum rt_result rc = rt_db_new(&g->db, g->loop, &o);

	if (rc != RT_OK)
		return rc;
	g->reads = rt_dbread_new(g->loop, g->db,
							 &(struct rt_dbread_options){
								 .conninfo = rt_conf_conninfo(g->conf),
								 .conninfo_read = g->settings.conninfo_read,
								 .role = rt_host_role(g->host),
								 .connections = (g->settings.db_connections + 1) / 2,
							 });
	g->bus = rt_bus_new(g->loop, g->db, &user);
	g->commands = rt_commands_new(&g->self);
	g->recent = rt_recent_new(RECENT_BYTES);
	return RT_OK;
}

static void
make_clients(struct gateway *g)
{
	g->counters = rt_counters_new();
	g->clients = rt_clients_new();
	g->users = rt_users_new();
	g->rooms = rt_rooms_new();
	g->joins = rt_joins_new();
	g->clock = rt_dbclock_new();
	g->auth = rt_auth_new(g->loop, g->db, g->clock, g->commands);
	g->writers = rt_rates_new();
	g->events = rt_client_events_new(&(struct rt_client_events_uses){
		.loop = g->loop,
		.db = g->db,
		.reads = g->reads,
		.bus = g->bus,
		.self = &g->self,
		.clients = g->clients,
		.counters = g->counters,
		.writers = g->writers,
		.rates = &g->settings.rates,
	});
}

static void
make_chat(struct gateway *g)
{
	g->typings = rt_typings_new(g->loop, g->db);
	g->send = rt_send_new(g->db, g->counters);
	g->chat = rt_chat_new(
		&(struct rt_chat_uses){
			.bus = g->bus,
			.clients = g->clients,
			.joins = g->joins,
			.rooms = g->rooms,
			.typings = g->typings,
			.settings = &g->settings.chat,
		},
		g->events);
}

static void
make_meetings(struct gateway *g)
{
	g->meetings = rt_meetings_new();
	g->meeting_events = rt_meeting_events_new(&(struct rt_meeting_events_uses){
		.db = g->db,
		.bus = g->bus,
		.self = &g->self,
		.sockets = rt_network_sockets(g->network),
		.meetings = g->meetings,
		.typings = g->typings,
		.events = g->events,
		.commands = g->commands,
	});
	g->signals = rt_signalling_new(&(struct rt_signalling_uses){
		.loop = g->loop,
		.db = g->db,
		.clients = g->clients,
		.events = g->events,
		.commands = g->commands,
	});
}

static void
make_delivery(struct gateway *g)
{
	g->presence = rt_presence_new(&(struct rt_presence_uses){
		.loop = g->loop,
		.db = g->db,
		.bus = g->bus,
		.self = &g->self,
		.users = g->users,
		.rooms = g->rooms,
		.settings = &g->settings.presence,
	});
	g->recover = rt_recover_new(&(struct rt_recover_uses){
		.loop = g->loop,
		.db = g->db,
		.bus = g->bus,
		.recent = g->recent,
		.rooms = g->rooms,
		.events = g->events,
		.counters = g->counters,
		.settings = &g->settings.recovery,
	});
	g->dispatch = rt_dispatch_new(&(struct rt_dispatch_uses){
		.loop = g->loop,
		.sockets = rt_network_sockets(g->network),
		.bus = g->bus,
		.commands = g->commands,
		.recent = g->recent,
		.users = g->users,
		.rooms = g->rooms,
		.joins = g->joins,
		.meetings = g->meetings,
		.presence = g->presence,
	});
}

static void
make_readiness(struct gateway *g)
{
	g->drain = rt_drain_new(&(struct rt_drain_uses){
		.loop = g->loop,
		.self = &g->self,
		.network = g->network,
		.commands = g->commands,
		.has_successor = rt_conf_has_successor(g->conf),
		.on_begin = on_drain_begin,
		.on_over = on_drain_over,
		.arg = g,
	});
	g->ready = rt_ready_new(&(struct rt_ready_uses){
		.loop = g->loop,
		.self = &g->self,
		.db = g->db,
		.bus = g->bus,
		.auth = g->auth,
		.drain = g->drain,
	});
	g->gauges = (struct rt_gauges_uses){
		.loop = g->loop,
		.db = g->db,
		.bus = g->bus,
		.users = g->users,
		.rooms = g->rooms,
		.meetings = g->meetings,
		.signals = g->signals,
		.recent = g->recent,
		.ready = g->ready,
		.drain = g->drain,
	};
	g->sweep = rt_sweep_new(g->loop, g->db);
}

static void
make_reports(struct gateway *g)
{
	g->report = rt_report_new(&(struct rt_report_uses){
		.loop = g->loop,
		.db = g->db,
		.clock = g->clock,
		.bus = g->bus,
		.self = &g->self,
		.network = g->network,
		.clients = g->clients,
		.rooms = g->rooms,
		.counters = g->counters,
		.ready = g->ready,
		.gauges = &g->gauges,
		.host = g->host,
		.conf = g->conf,
		.port = g->settings.network.port,
		.on_renewed = on_report_renewed,
		.arg = g,
	});
	g->metrics = rt_metrics_new(&(struct rt_metrics_uses){
		.loop = g->loop,
		.db = g->db,
		.bus = g->bus,
		.network = g->network,
		.counters = g->counters,
		.gauges = &g->gauges,
		.report = g->report,
		.database = rt_conf_database(g->conf),
		.worker = rt_conf_worker(g->conf),
		.number = rt_conf_number(g->conf),
	});
}

static void
make_ways_in_and_out(struct gateway *g)
{
	g->entries = rt_entries_new(&(struct rt_entries_uses){
		.loop = g->loop,
		.db = g->db,
		.bus = g->bus,
		.self = &g->self,
		.auth = g->auth,
		.clients = g->clients,
		.users = g->users,
		.rooms = g->rooms,
		.presence = g->presence,
		.recover = g->recover,
		.meeting_events = g->meeting_events,
		.counters = g->counters,
		.settings = &g->settings.entry,
	});
	g->leave = rt_leave_new(&(struct rt_leave_uses){
		.loop = g->loop,
		.self = &g->self,
		.auth = g->auth,
		.sockets = rt_network_sockets(g->network),
		.clients = g->clients,
		.users = g->users,
		.rooms = g->rooms,
		.typings = g->typings,
		.meeting_events = g->meeting_events,
		.presence = g->presence,
		.counters = g->counters,
		.commands = g->commands,
		.settings = &g->settings.leave,
	});
	g->expiry = rt_expiry_new(g->loop, g->clients, g->auth, g->clock, g->commands, &g->settings.expiry);
}

static void
make_reviews(struct gateway *g)
{
	g->standing = rt_standing_new(&(struct rt_standing_uses){
		.auth = g->auth,
		.users = g->users,
		.rooms = g->rooms,
		.joins = g->joins,
		.meetings = g->meetings,
		.entries = g->entries,
		.leave = g->leave,
		.commands = g->commands,
	});
	g->renewal = rt_renewal_new(&(struct rt_renewal_uses){
		.loop = g->loop,
		.db = g->db,
		.self = &g->self,
		.clients = g->clients,
		.users = g->users,
		.rooms = g->rooms,
		.standing = g->standing,
		.leave = g->leave,
	});
	g->membership = rt_membership_new(&(struct rt_membership_uses){
		.users = g->users,
		.rooms = g->rooms,
		.joins = g->joins,
		.entries = g->entries,
		.renewal = g->renewal,
		.commands = g->commands,
	});
}

static void
make_rest(struct gateway *g)
{
	g->rest = rt_rest_new(&(struct rt_rest_uses){
		.loop = g->loop,
		.db = g->db,
		.reads = g->reads,
		.self = &g->self,
		.http = rt_network_router(g->network),
		.auth = g->auth,
		.send = g->send,
		.writers = g->writers,
		.rates = &g->settings.rates,
		.counters = g->counters,
		.ready = g->ready,
		.metrics = g->settings.own_metrics ? NULL : g->metrics,
	});
}

static enum rt_result
make_modules(struct gateway *g)
{
	enum rt_result rc = make_network(g);

	if (rc == RT_OK)
		rc = make_bus(g);
	if (rc != RT_OK)
		return rc;
	make_clients(g);
	make_chat(g);
	make_meetings(g);
	make_delivery(g);
	make_readiness(g);
	make_reports(g);
	make_ways_in_and_out(g);
	make_reviews(g);
	make_rest(g);
	return RT_OK;
}

/* ---- the beginning ------------------------------------------------------------------------------ */

static void
choose_name(struct rt_self *self, int worker)
{
	unsigned long long random = 0;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t) sizeof(random))
		random = (unsigned long long) getpid();
	snprintf(self->name, sizeof(self->name), "g%d-%016llx", worker, random);
}

static enum rt_result
listen_for_clients(struct gateway *g)
{
	enum rt_result rc = rt_network_listen(g->network);

	/* A gateway without figures still serves. */
	if (g->settings.own_metrics)
		(void) rt_metrics_listen(g->metrics, rt_conf_str(g->conf, "metrics_address"));
	return rc;
}

static void
confine(const struct gateway *g)
{
	/* The port of a gateway on another host is not known before it is there; beside the server it is ours. */
	struct rt_confine_own own = {
		.is_own = g->host != NULL, .connects_anywhere = g->host != NULL, .port = g->settings.network.port};
	char *targets = rt_dbread_targets(rt_conf_conninfo(g->conf), g->settings.conninfo_read);

	if (g->host != NULL)
		own.folders = rt_host_folders(g->host, &own.nfolders);
	rt_confine(targets, &own);
	explicit_bzero(targets, strlen(targets));
	free(targets);
}

static enum rt_result
start(struct gateway *g)
{
	enum rt_result rc = rt_conf_is_complete(g->conf) ? rt_loop_new(&g->loop) : RT_BAD_INPUT;

	if (rc != RT_OK)
		return rc;
	choose_name(&g->self, rt_conf_number(g->conf));
	g->ready_look = rt_timer_new(g->loop, on_ready_look, g);
	g->end_look = rt_timer_new(g->loop, on_end_look, g);
	if ((rc = rt_loop_watch_signals(g->loop, on_signal, g)) != RT_OK || (rc = make_modules(g)) != RT_OK ||
		(rc = listen_for_clients(g)) != RT_OK)
		return rc;
	rt_timer_start(g->ready_look, READY_LOOK_MS);
	rc = rt_conf_watch(g->conf, g->loop, on_reload, on_supervisor_gone, g);
	rt_host_follow(g->host, g->db, on_refused, g);
	if (rc == RT_OK && g->settings.confine)
		confine(g);
	return rc;
}

/* The network first, since its ends still ask the database; then the database, whose answers still need the
 * modules. */
static void
stop(struct gateway *g)
{
	g->self.ending = true;
	rt_metrics_free(g->metrics);
	rt_network_free(g->network);
	rt_dbread_free(g->reads);
	rt_db_free(g->db);
	rt_bus_free(g->bus);
	rt_rest_free(g->rest);
	rt_expiry_free(g->expiry);
	rt_membership_free(g->membership);
	rt_renewal_free(g->renewal);
	rt_standing_free(g->standing);
	rt_leave_free(g->leave);
	rt_entries_free(g->entries);
	rt_sweep_free(g->sweep);
	rt_report_free(g->report);
	rt_ready_free(g->ready);
	rt_drain_free(g->drain);
	rt_dispatch_free(g->dispatch);
	rt_recover_free(g->recover);
	rt_presence_free(g->presence);
	rt_signalling_free(g->signals);
	rt_meeting_events_free(g->meeting_events);
	rt_meetings_free(g->meetings);
	rt_chat_free(g->chat);
	rt_send_free(g->send);
	rt_typings_free(g->typings);
	rt_client_events_free(g->events);
	rt_rates_free(g->writers);
	rt_auth_free(g->auth);
	rt_dbclock_free(g->clock);
	rt_joins_free(g->joins);
	rt_rooms_free(g->rooms);
	rt_users_free(g->users);
	rt_clients_free(g->clients);
	rt_counters_free(g->counters);
	rt_recent_free(g->recent);
	rt_commands_free(g->commands);
	rt_timer_free(g->ready_look);
	rt_timer_free(g->end_look);
	rt_conf_free(g->conf);
	rt_host_free(g->host);
	rt_loop_free(g->loop);
}

static const char *const own_keys[] = {"conninfo", "conninfo_read", "name",         "region", "listen_addresses",
									   "port",     "ssl_cert_file", "ssl_key_file", NULL};
static const char *const own_once[] = {"confine", "db_connections", "metrics_address", NULL};
static const struct rt_host_program program = {.kind = "gateway",
											   .name = "rt_gateway",
											   .keys = own_keys,
											   .once = own_once,
											   .port_setting = "port",
											   .default_port = 4501};

static enum rt_result
read_configuration(struct gateway *g, const char *path)
{
	enum rt_result rc;

	if (path != NULL)
	{
		rt_host_prepare();
		return rt_host_start(&g->host, &program, path, &g->conf);
	}
	rc = rt_conf_read(&g->conf, CONF_FD);
	if (rc != RT_OK)
		rt_log(RT_LOG_ERROR, "main",
			   "no configuration on descriptor %d; rt's supervisor starts this program, or you do, "
			   "with --config FILE",
			   CONF_FD);
	return rc;
}

int
main(int argc, char **argv)
{
	struct gateway g = {.loop = NULL};
	const char *path;
	enum rt_result rc;
	int status = rt_host_arguments(&program, argc, argv, &path);

	if (status >= 0)
		return status;
	rt_confine_early();
	if (path == NULL)
		rt_activity_share(RT_ACTIVITY_FD);
	if (read_configuration(&g, path) != RT_OK)
		return 2;
	if (!rt_conf_is_current(g.conf))
	{
		rt_conf_free(g.conf);
		return 2;
	}
	read_settings(&g.settings, g.conf);
	rt_confine_cores(g.settings.confine);
	if (g.settings.confine)
		rt_confine_no_ring();
	rc = start(&g);
	if (rc != RT_OK)
	{
		rt_log(RT_LOG_ERROR, "main", "cannot start: %s", rt_result_name(rc));
		/* Not by stop(): libuv aborts where descriptors are closed that its first turn would have begun to watch. */
		_exit(1);
	}
	rt_loop_run(g.loop);
	stop(&g);
	return g.refused ? 1 : 0;
}
