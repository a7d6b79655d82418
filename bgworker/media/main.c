/* main.c: rt_media, the media forwarder.  Start, signals, stop; each part does its own work.  What it is told comes
 * on descriptor 3, or with --config from a file and the database (common/db/host.h). */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/conf.h"
#include "bgworker/common/confine/confine.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/db/host.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/media/control/control.h"
#include "bgworker/media/forward/engine.h"
#include "bgworker/media/secure/dtls.h"

#define CONF_FD 3
#define CAPACITY 2000 /* producers and consumers that one core serves well */

struct media
{
	struct rt_loop *loop;
	struct rt_conf *conf;
	struct rt_host *host; /* NULL: the supervisor has started us */
	struct rt_db *db;
	struct rt_engine *engine;
	struct rt_control *control;
	bool draining, stopping;
	bool refused; /* by the database: it runs another version */
};

static void
on_stopped(void *arg)
{
	struct media *m = arg;

	rt_loop_stop(m->loop);
}

static void
stop(struct media *m)
{
	if (m->stopping)
		return;
	m->stopping = true;
	rt_engine_close_all(m->engine);
	rt_control_stop(m->control, on_stopped, m);
}

static void
on_drained(void *arg)
{
	stop(arg);
}

/* On a host of its own SIGTERM moves the meetings first; a second one ends it at once. */
static void
drain(struct media *m)
{
	m->draining = true;
	rt_control_drain(m->control, on_drained, m);
}

static void
on_signal(void *arg, int signo)
{
	struct media *m = arg;

	if (signo == SIGHUP)
		rt_host_reread(m->host);
	else if (m->host != NULL && signo == SIGTERM && !m->draining)
		drain(m);
	else
		stop(m);
}

static void
on_refused(void *arg)
{
	struct media *m = arg;

	m->refused = true;
	stop(m);
}

static void
on_supervisor_gone(void *arg)
{
	stop(arg);
}

static void
set_limits(const struct media *m)
{
	rt_control_set_limits(m->control, rt_conf_int(m->conf, "media_max_cpu"),
						  rt_conf_int(m->conf, "media_max_packets"));
}

static void
on_reload(void *arg)
{
	struct media *m = arg;

	set_limits(m);
	rt_engine_set_idle_timeout(m->engine, (uint64_t) rt_conf_int(m->conf, "media_idle_timeout"));
}

static void
on_ready(void *arg)
{
	(void) arg;
	rt_log(RT_LOG_INFO, NULL, "ready");
}

static void
confine_now(const struct media *m)
{
	struct rt_confine_own own = {.is_own = m->host != NULL};

	if (m->host != NULL)
		own.folders = rt_host_folders(m->host, &own.nfolders);
	rt_confine(rt_conf_conninfo(m->conf), m->host == NULL ? NULL : &own);
}

static enum rt_result
start(struct media *m)
{
	int worker = rt_conf_worker(m->conf), port = (int) rt_conf_int(m->conf, "media_port") + worker;
	struct rt_control_options control = {worker,  port,   CAPACITY, rt_conf_str(m->conf, "media_announced_address"),
										 m->conf, m->host};
	struct rt_engine_options engine = {rt_conf_str(m->conf, "listen_addresses"), port,
									   (uint64_t) rt_conf_int(m->conf, "media_idle_timeout")};
	bool confine = rt_conf_bool(m->conf, "confine");
	struct rt_db_options db = {.conninfo = rt_conf_conninfo(m->conf),
							   .role = rt_host_role(m->host),
							   .fast_connections = 2,
							   .own_connections = 1,
							   .max_waiting = 1000};

	if (!rt_conf_is_complete(m->conf))
		return RT_BAD_INPUT;
	if (rt_db_new(&m->db, m->loop, &db) != RT_OK)
		return RT_INTERNAL;
	m->control = rt_control_new(m->loop, m->db, &control, on_ready, m);
	if (rt_engine_new(&m->engine, m->loop, &engine, rt_control_event, m->control) != RT_OK)
		return RT_INTERNAL;
	rt_control_set_engine(m->control, m->engine);
	set_limits(m);
	if (rt_conf_watch(m->conf, m->loop, on_reload, on_supervisor_gone, m) != RT_OK)
		return RT_INTERNAL;
	rt_host_follow(m->host, m->db, on_refused, m);
	if (confine)
		confine_now(m);
	return RT_OK;
}

static void
free_control(void *arg)
{
	rt_control_free(arg);
}

static const char *const own_keys[] = {"conninfo",          "name", "region", "listen_addresses", "port",
									   "announced_address", NULL};
static const char *const own_once[] = {"confine", NULL};
static const struct rt_host_program program = {.kind = "media",
											   .name = "rt_media",
											   .keys = own_keys,
											   .once = own_once,
											   .port_setting = "media_port",
											   .default_port = 4502};

static enum rt_result
read_configuration(struct media *m, const char *path)
{
	if (path == NULL)
		return rt_conf_read(&m->conf, CONF_FD);
	rt_host_prepare();
	return rt_host_start(&m->host, &program, path, &m->conf);
}

int
main(int argc, char **argv)
{
	struct media m;
	const char *path;
	enum rt_result rc;
	int status = rt_host_arguments(&program, argc, argv, &path);

	if (status >= 0)
		return status;
	memset(&m, 0, sizeof(m));
	rt_dtls_save_memory();
	rt_confine_early();
	if (path == NULL)
		rt_activity_share(RT_ACTIVITY_FD);
	if (read_configuration(&m, path) != RT_OK || !rt_conf_is_current(m.conf))
		return 2;
	rt_confine_cores(rt_conf_bool(m.conf, "confine"));
	if (rt_conf_bool(m.conf, "confine"))
		rt_confine_no_ring();
	if (rt_loop_new(&m.loop) != RT_OK)
		return 1;
	rc = rt_loop_watch_signals(m.loop, on_signal, &m);
	if (rc == RT_OK)
		rc = start(&m);
	if (rc == RT_OK)
		rt_loop_run(m.loop);
	rt_db_free(m.db);
	rt_engine_free(m.engine);
	rt_loop_defer(m.loop, free_control, m.control); /* after what it deferred itself */
	rt_conf_free(m.conf);
	rt_host_free(m.host);
	rt_loop_free(m.loop);
	return rc == RT_OK && !m.refused ? 0 : 1;
}
