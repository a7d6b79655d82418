/* main.c: rt_media, the media forwarder.  Start, signals, stop; each part does its own work. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bgworker/common/conf.h"
#include "bgworker/common/confine/confine.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/media/control/control.h"
#include "bgworker/media/forward/engine.h"

#define CONF_FD 3
#define CAPACITY 2000 /* producers and consumers that one core serves well */

struct media
{
	struct rt_loop *loop;
	struct rt_conf *conf;
	struct rt_db *db;
	struct rt_engine *engine;
	struct rt_control *control;
	struct rt_watch *signals;
	int signal_fd;
	bool stopping;
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
on_signal(void *arg, int events)
{
	struct media *m = arg;
	struct signalfd_siginfo info;

	(void) events;
	while (read(m->signal_fd, &info, sizeof(info)) == (ssize_t) sizeof(info))
		stop(m);
}

static void
on_supervisor_gone(void *arg)
{
	stop(arg);
}

static void
on_reload(void *arg)
{
	struct media *m = arg;

	rt_engine_set_idle_timeout(m->engine, (uint64_t) rt_conf_int(m->conf, "media_idle_timeout"));
}

static void
on_ready(void *arg)
{
	(void) arg;
	rt_log(RT_LOG_INFO, "main", "ready");
}

static void
watch_signals(struct media *m)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	m->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	m->signals = rt_watch_new(m->loop, m->signal_fd, on_signal, m);
	rt_watch_set(m->signals, RT_READABLE);
}

static enum rt_result
start(struct media *m)
{
	int worker = rt_conf_worker(m->conf), port = (int) rt_conf_int(m->conf, "media_port") + worker;
	struct rt_control_options control = {worker, port, CAPACITY, rt_conf_str(m->conf, "media_announced_address")};
	struct rt_engine_options engine = {rt_conf_str(m->conf, "listen_addresses"), port,
									   (uint64_t) rt_conf_int(m->conf, "media_idle_timeout")};
	bool confine = rt_conf_bool(m->conf, "confine");
	struct rt_db_options db = {.conninfo = rt_conf_conninfo(m->conf), .fast_connections = 2, .max_waiting = 1000};

	if (!rt_conf_is_complete(m->conf))
		return RT_BAD_INPUT;
	if (rt_db_new(&m->db, m->loop, &db) != RT_OK)
		return RT_INTERNAL;
	m->control = rt_control_new(m->loop, m->db, &control, on_ready, m);
	if (rt_engine_new(&m->engine, m->loop, &engine, rt_control_event, m->control) != RT_OK)
		return RT_INTERNAL;
	rt_control_set_engine(m->control, m->engine);
	if (rt_conf_watch(m->conf, m->loop, on_reload, on_supervisor_gone, m) != RT_OK)
		return RT_INTERNAL;
	if (confine)
		rt_confine(rt_conf_conninfo(m->conf));
	return RT_OK;
}

static void
free_control(void *arg)
{
	rt_control_free(arg);
}

int
main(void)
{
	struct media m;
	enum rt_result rc;

	memset(&m, 0, sizeof(m));
	rt_confine_early();
	if (rt_conf_read(&m.conf, CONF_FD) != RT_OK || !rt_conf_is_current(m.conf))
		return 1;
	rt_confine_cores(rt_conf_bool(m.conf, "confine"));
	if (rt_conf_bool(m.conf, "confine"))
		rt_confine_no_ring();
	if (rt_loop_new(&m.loop) != RT_OK)
		return 1;
	watch_signals(&m);
	rc = start(&m);
	if (rc == RT_OK)
		rt_loop_run(m.loop);
	rt_db_free(m.db);
	rt_engine_free(m.engine);
	rt_loop_defer(m.loop, free_control, m.control); /* after what it deferred itself */
	rt_watch_free(m.signals);
	rt_conf_free(m.conf);
	rt_loop_free(m.loop);
	return rc == RT_OK ? 0 : 1;
}
