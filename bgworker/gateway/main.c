/* main.c: the program rt_gateway: start, reload, drain, stop.  What it is told comes on descriptor 3; what it has
 * to say goes to standard error. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bgworker/common/conf.h"
#include "bgworker/common/confine/confine.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "app.h"
#include "bgworker/gateway/clients/auth.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/chat/chat.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/ops/drain.h"
#include "bgworker/gateway/lifecycle/entry.h"
#include "bgworker/gateway/clients/event.h"
#include "bgworker/gateway/lifecycle/expiry.h"
#include "bgworker/gateway/clients/joins.h"
#include "bgworker/gateway/lifecycle/leave.h"
#include "bgworker/gateway/ops/metrics.h"
#include "bgworker/gateway/meetings/meeting.h"
#include "bgworker/gateway/meetings/meeting_event.h"
#include "bgworker/gateway/bus/notice.h"
#include "bgworker/gateway/delivery/presence.h"
#include "bgworker/gateway/clients/rates.h"
#include "bgworker/gateway/bus/recent.h"
#include "bgworker/gateway/delivery/recover.h"
#include "bgworker/gateway/delivery/replay.h"
#include "bgworker/gateway/ops/report.h"
#include "bgworker/gateway/rest/rest.h"
#include "bgworker/gateway/delivery/roaming.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/delivery/route.h"
#include "bgworker/gateway/chat/send.h"
#include "bgworker/gateway/meetings/signalling.h"
#include "bgworker/gateway/lifecycle/standing.h"
#include "bgworker/gateway/ops/stat.h"
#include "bgworker/gateway/ops/sweep.h"
#include "bgworker/gateway/net/network.h"
#include "bgworker/gateway/chat/typing.h"
#include "bgworker/gateway/clients/user.h"

#define CONF_FD 3
#define RECENT_BYTES (32 * 1024 * 1024)
#define MAX_WAITING_CALLS 10000
#define READY_LOOK_MS 20
#define DRAIN_LOOK_MS 50
#define DRAIN_LIMIT_MS 4000 /* below the supervisor's patience */
#define FAREWELL_LIMIT_MS 500

struct gateway
{
	struct rt_app app;
	struct rt_timer *ready;
	struct rt_timer *drain;
	struct rt_watch *signals;
	struct rt_metrics *metrics;
	int signal_fd;
	uint64_t drain_ends_ms;
	bool farewell; /* the connections are gone, the database is being told */
};

/* ---- settings -------------------------------------------------------------------------- */

static void
on_reload(void *arg)
{
	struct gateway *g = arg;
	struct rt_network_settings settings;

	rt_network_settings_read(&settings, g->app.conf);
	if (rt_network_reload(g->app.network, &settings) != RT_OK)
		rt_log(RT_LOG_WARNING, "main", "some of the new settings could not be applied");
}

/* ---- the end ------------------------------------------------------------------------------ */

static void
say_farewell(struct gateway *g)
{
	g->farewell = true;
	g->drain_ends_ms = rt_loop_now_ms(g->app.loop) + FAREWELL_LIMIT_MS;
	rt_report_stop(g->app.report);
}

static void
on_drain(void *arg)
{
	struct gateway *g = arg;
	bool late = rt_loop_now_ms(g->app.loop) >= g->drain_ends_ms;

	if (g->farewell && (late || !rt_report_asking(g->app.report)))
	{
		rt_loop_stop(g->app.loop);
		return;
	}
	if (!g->farewell && (late || rt_network_connections(g->app.network) == 0))
		say_farewell(g);
	rt_timer_start(g->drain, g->farewell ? 5 : DRAIN_LOOK_MS);
}

static void
drain(struct gateway *g)
{
	if (g->app.draining)
		return;
	g->app.draining = true;
	g->drain_ends_ms = rt_loop_now_ms(g->app.loop) + DRAIN_LIMIT_MS;
	rt_network_drain(g->app.network);
	rt_timer_start(g->drain, 5);
}

/* rt.drain(): a successor is about to listen where we do. */
static void
on_drain_begin(void *arg)
{
	struct gateway *g = arg;

	rt_network_stop_listening(g->app.network);
	rt_metrics_free(g->metrics);
	g->metrics = NULL;
}

static void
on_drain_over(void *arg)
{
	drain(arg);
}

static void
on_signal(void *arg, int events)
{
	struct gateway *g = arg;
	struct signalfd_siginfo info;

	while (read(g->signal_fd, &info, sizeof(info)) == (ssize_t) sizeof(info))
		drain(g);
}

static void
on_supervisor_gone(void *arg)
{
	drain(arg);
}

/* ---- the bus --------------------------------------------------------------------------------- */

static void
on_event(void *arg, const struct rt_notice *n)
{
	struct rt_app *app = arg;

	if (n->logged)
		rt_report_note_event(app->report, n->pos);
	rt_route_dispatch(app, n);
}

static void
on_started(void *arg)
{
	struct rt_app *app = arg;

	rt_recent_reset(app->recent, rt_bus_pos(app->bus));
	rt_auth_refresh(app->auth);
	rt_report_start(app->report);
	rt_entries_wake(app->entries);
}

/* What we hold may be wrong in any place: begin anew, clients and all. */
static void
on_reset(void *arg)
{
	struct rt_app *app = arg;

	drain((struct gateway *) ((char *) app - offsetof(struct gateway, app)));
}

static void
on_ready_look(void *arg)
{
	struct gateway *g = arg;

	rt_entries_wake(g->app.entries);
	if (rt_bus_live(g->app.bus) && rt_auth_ready(g->app.auth) && rt_report_started(g->app.report))
		rt_log(RT_LOG_INFO, NULL, "ready");
	else
		rt_timer_start(g->ready, READY_LOOK_MS);
}

/* ---- the beginning ------------------------------------------------------------------------------ */

static enum rt_result
watch_signals(struct gateway *g)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	g->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (g->signal_fd < 0)
		return RT_INTERNAL;
	g->signals = rt_watch_new(g->app.loop, g->signal_fd, on_signal, g);
	if (g->signals == NULL)
		return RT_INTERNAL;
	rt_watch_set(g->signals, RT_READABLE);
	return RT_OK;
}

/* New at each start, so that the database can tell this gateway from its dead predecessor. */
static void
choose_name(struct rt_app *app)
{
	unsigned long long random = 0;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t) sizeof(random))
		random = (unsigned long long) getpid();
	snprintf(app->name, sizeof(app->name), "g%d-%016llx", rt_conf_worker(app->conf), random);
}

static enum rt_result
start_network(struct gateway *g)
{
	struct rt_app *app = &g->app;
	const struct rt_socket_app callbacks = {
		.on_connect = rt_entry_on_connect,
		.on_event = rt_event_on_event,
		.on_disconnect = rt_leave_on_disconnect,
		.arg = app,
	};
	struct rt_network_settings settings;
	enum rt_result rc;

	rt_network_settings_read(&settings, app->conf);
	if (!rt_conf_is_complete(app->conf))
		return RT_BAD_INPUT;
	rc = rt_network_new(&app->network, app->loop, &settings, &callbacks, rt_rest_on_request, app);
	if (rc != RT_OK)
		return rc;
	app->sockets = rt_network_sockets(app->network);
	app->router = rt_network_router(app->network);
	rc = rt_network_listen(app->network);
	/* A gateway without figures still serves. */
	rt_metrics_new(&g->metrics, app);
	return rc;
}

static enum rt_result
start_database(struct rt_app *app)
{
	int connections = (int) rt_conf_int(app->conf, "db_connections");
	const struct rt_db_options o = {
		.conninfo = rt_conf_conninfo(app->conf),
		.fast_connections = connections,
		.slow_connections = (connections + 1) / 2,
		.own_connections = 1,
		.max_waiting = MAX_WAITING_CALLS,
	};
	const struct rt_bus_user bus = {.on_event = on_event, .on_started = on_started, .on_reset = on_reset, .arg = app};
	enum rt_result rc = rt_db_new(&app->db, app->loop, &o);

	if (rc == RT_OK)
		app->bus = rt_bus_new(app, &bus);
	return rc;
}

static void
make_modules(struct rt_app *app)
{
	app->users = rt_users_new();
	app->rooms = rt_rooms_new();
	app->roaming = rt_roaming_new(app);
	app->joins = rt_joins_new();
	app->recent = rt_recent_new(RECENT_BYTES);
	app->recoveries = rt_recoveries_new(app);
	app->replay = rt_replay_new(app);
	app->stat = rt_stat_new(app);
	app->report = rt_report_new(app);
	app->expiry = rt_expiry_new(app);
	app->auth = rt_auth_new(app);
	app->entries = rt_entries_new(app);
	app->presence = rt_presence_new(app);
	app->typings = rt_typings_new(app);
	app->meetings = rt_meetings_new(app);
	app->signals = rt_signals_new(app);
	app->sweep = rt_sweep_new(app);
	app->send = rt_send_new(app);
	app->rest = rt_rest_new(app);
	app->user_rates = rt_rates_new();
	rt_chat_init();
	rt_command_init();
	rt_standing_init();
	rt_roaming_init();
	rt_meeting_event_init();
	rt_signalling_init();
}

static enum rt_result
start(struct gateway *g)
{
	struct rt_app *app = &g->app;
	enum rt_result rc = rt_loop_new(&app->loop);

	if (rc != RT_OK)
		return rc;
	choose_name(app);
	make_modules(app);
	g->ready = rt_timer_new(app->loop, on_ready_look, g);
	g->drain = rt_timer_new(app->loop, on_drain, g);
	app->drain = rt_drain_new(app, on_drain_begin, on_drain_over, g);
	rt_timer_start(g->ready, READY_LOOK_MS);
	if ((rc = watch_signals(g)) != RT_OK || (rc = start_database(app)) != RT_OK || (rc = start_network(g)) != RT_OK)
		return rc;
	rc = rt_conf_watch(app->conf, app->loop, on_reload, on_supervisor_gone, g);
	if (rc == RT_OK && rt_conf_bool(app->conf, "confine"))
		rt_confine(rt_conf_conninfo(app->conf));
	return rc;
}

/* The network first, since its ends still ask the database; then the database, whose answers still need the
 * modules. */
static void
stop(struct gateway *g)
{
	struct rt_app *app = &g->app;

	app->draining = true;
	rt_network_free(app->network);
	rt_metrics_free(g->metrics);
	rt_db_free(app->db);
	rt_bus_free(app->bus);
	rt_rest_free(app->rest);
	rt_rates_free(app->user_rates);
	rt_send_free(app->send);
	rt_sweep_free(app->sweep);
	rt_signals_free(app->signals);
	rt_meetings_free(app->meetings);
	rt_typings_free(app->typings);
	rt_presence_free(app->presence);
	rt_entries_free(app->entries);
	rt_auth_free(app->auth);
	rt_expiry_free(app->expiry);
	rt_report_free(app->report);
	rt_stat_free(app->stat);
	rt_recoveries_free(app->recoveries);
	rt_replay_free(app->replay);
	rt_recent_free(app->recent);
	rt_joins_free(app->joins);
	rt_roaming_free(app->roaming);
	rt_rooms_free(app->rooms);
	rt_users_free(app->users);
	rt_timer_free(g->ready);
	rt_timer_free(g->drain);
	rt_drain_free(app->drain);
	rt_watch_free(g->signals);
	rt_conf_free(app->conf);
	rt_loop_free(app->loop);
}

int
main(void)
{
	struct gateway g = {.signal_fd = -1};
	enum rt_result rc;

	rt_confine_early();
	rc = rt_conf_read(&g.app.conf, CONF_FD);
	if (rc != RT_OK)
	{
		rt_log(RT_LOG_ERROR, "main", "no configuration on descriptor %d; rt's supervisor starts this program",
			   CONF_FD);
		return 2;
	}
	if (!rt_conf_is_current(g.app.conf))
	{
		rt_conf_free(g.app.conf);
		return 2;
	}
	if (rt_conf_bool(g.app.conf, "confine"))
		rt_confine_no_ring();
	rc = start(&g);
	if (rc != RT_OK)
	{
		rt_log(RT_LOG_ERROR, "main", "cannot start: %s", rt_result_name(rc));
		/* Not by stop(): libuv aborts where descriptors are closed that its first turn would have begun to watch. */
		_exit(1);
	}
	rt_loop_run(g.app.loop);
	stop(&g);
	return 0;
}
