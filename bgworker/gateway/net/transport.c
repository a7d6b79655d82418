/* transport.c: see transport.h.  Owns the settings and the counters, and puts the parts together:
 *
 *     accept → (tls) → httpconn → http ─┬→ the application
 *                                       ├→ files
 *                                       └→ engineio ⇄ websocket
 *                                             └→ socketio → the application
 */
#include "transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/wheel.h"
#include "accept.h"
#include "http_router.h"
#include "bgworker/gateway/socketio/socketio_server.h"
#include "tls.h"

#define OWN_DESCRIPTORS 512 /* for the database, listeners, the other workers */

struct rt_transport
{
	struct rt_loop *loop;
	struct rt_wheel *wheel;
	struct rt_transport_options conf; /* strings are our own */
	struct rt_transport_stats stats;
	struct rt_acceptor *acceptor;
	struct rt_tls *tls; /* NULL: plain */
	struct rt_http *http;
	struct rt_socketio *sio;
};

/* ---- settings ------------------------------------------------------------------------ */

static char *
copy_or_null(const char *s)
{
	return s == NULL || s[0] == '\0' ? NULL : rt_strdup(s);
}

static void
copy_strings(struct rt_transport_options *conf)
{
	conf->listen_addresses = copy_or_null(conf->listen_addresses);
	conf->cors_origins = copy_or_null(conf->cors_origins);
	conf->trusted_proxies = copy_or_null(conf->trusted_proxies);
	conf->static_dir = copy_or_null(conf->static_dir);
}

static void
free_strings(struct rt_transport_options *conf)
{
	free((char *) conf->listen_addresses);
	free((char *) conf->cors_origins);
	free((char *) conf->trusted_proxies);
	free((char *) conf->static_dir);
}

static void
replace_string(const char **setting, const char *value)
{
	free((char *) *setting);
	*setting = copy_or_null(value);
}

/* libwebsockets sizes a table by the limit of descriptors, which may be in the millions; so it is set to what is
 * needed. Where it cannot be so high, fewer connections are taken: with none left, a database that comes back is out
 * of reach. */
static void
fit_descriptors(struct rt_transport_options *conf)
{
	struct rlimit limit;
	rlim_t per_connection = conf->tls ? 3 : 1; /* see tls.h */
	rlim_t wanted = (rlim_t) conf->max_connections * per_connection + OWN_DESCRIPTORS;

	if (conf->beside || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted)
	{
		rlim_t own = limit.rlim_max / 2 < OWN_DESCRIPTORS ? limit.rlim_max / 2 : OWN_DESCRIPTORS;
		int allowed = (int) ((limit.rlim_max - own) / per_connection);

		rt_log(RT_LOG_WARNING, "transport",
			   "%d connections need %llu open files, but the limit is %llu: %d are taken", conf->max_connections,
			   (unsigned long long) wanted, (unsigned long long) limit.rlim_max, allowed);
		conf->max_connections = allowed;
		wanted = limit.rlim_max;
	}
	limit.rlim_cur = wanted;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* ---- connections ----------------------------------------------------------------------- */

static void
on_descriptor_gone(void *arg)
{
	struct rt_transport *t = arg;

	t->stats.connections--;
}

static void
on_accept(void *arg, int fd, const char *peer)
{
	struct rt_transport *t = arg;

	if (t->tls != NULL)
		fd = rt_tls_wrap(t->tls, fd);
	if (fd < 0)
	{
		rt_log(RT_LOG_WARNING, "tls", "cannot serve a connection: %s", strerror(errno));
		t->stats.connections--;
		return;
	}
	rt_httpserver_add(rt_http_server(t->http), fd, peer, NULL, 0);
}

static void
on_passed(void *arg, int fd, const char *peer, const char *data, size_t len)
{
	struct rt_transport *t = arg;

	rt_httpserver_add(rt_http_server(t->http), fd, peer, data, len);
}

static enum rt_result
on_pass(void *arg, int worker, struct rt_httpconn *c)
{
	struct rt_transport *t = arg;
	const char *data;
	size_t len;
	int fd;

	fd = rt_httpconn_take(c, true, &data, &len);
	if (rt_acceptor_pass(t->acceptor, worker, fd, rt_httpconn_peer(c), data, len) == RT_OK)
		return RT_OK;
	close(fd);
	t->stats.connections--;
	return RT_OK;
}

/* ---- start, reload, end ------------------------------------------------------------------ */

static enum rt_result
start_parts(struct rt_transport *t, const struct rt_socketio_app *app, rt_http_cb on_request, void *on_request_arg)
{
	struct rt_accept_handler accept_handler = {.on_accept = on_accept, .on_passed = on_passed, .arg = t};
	struct rt_http_router router = {.on_request = on_request,
									.on_request_arg = on_request_arg,
									.pass = t->conf.workers > 1 ? on_pass : NULL,
									.pass_arg = t,
									.on_descriptor_gone = on_descriptor_gone,
									.gone_arg = t};
	enum rt_result rc;

	if (t->conf.tls)
	{
		rc = rt_tls_new(&t->tls, t->loop, t->wheel, &t->conf);
		if (rc != RT_OK)
			return rc;
	}
	t->conf.tls_cert = t->conf.tls_key = t->conf.tls_min_version = NULL; /* they were lent */
	rc = rt_socketio_new(&t->sio, t->loop, t->wheel, &t->conf, &t->stats, app, on_descriptor_gone, t);
	if (rc != RT_OK)
		return rc;
	t->http = rt_http_new(t->loop, t->wheel, &t->conf, &t->stats, rt_socketio_engine(t->sio), &router);
	t->acceptor = rt_acceptor_new(t->loop, &t->conf, &t->stats, &accept_handler);
	return RT_OK;
}

enum rt_result
rt_transport_new(struct rt_transport **tp, struct rt_loop *l, const struct rt_transport_options *o,
				 const struct rt_socketio_app *app, rt_http_cb on_request, void *on_request_arg)
{
	struct rt_transport *t = rt_alloc(sizeof(*t));
	enum rt_result rc;

	t->loop = l;
	t->wheel = rt_wheel_new(l);
	t->conf = *o;
	copy_strings(&t->conf);
	fit_descriptors(&t->conf);
	rc = start_parts(t, app, on_request, on_request_arg);
	if (rc != RT_OK)
	{
		rt_transport_free(t);
		return rc;
	}
	*tp = t;
	return RT_OK;
}

enum rt_result
rt_transport_listen(struct rt_transport *t)
{
	enum rt_result rc = rt_acceptor_listen(t->acceptor);

	if (rc == RT_OK)
		rt_log(RT_LOG_INFO, "transport", "listening on \"%s\", port %d%s",
			   t->conf.listen_addresses == NULL ? "127.0.0.1" : t->conf.listen_addresses, t->conf.port,
			   t->tls != NULL ? ", with TLS" : "");
	return rc;
}

static enum rt_result
reload_tls(struct rt_transport *t, const struct rt_transport_options *o)
{
	if (o->tls != (t->tls != NULL))
	{
		rt_log(RT_LOG_WARNING, "tls", "TLS can be switched on or off by a restart only");
		return RT_OK;
	}
	return o->tls ? rt_tls_reload(t->tls, o) : RT_OK;
}

enum rt_result
rt_transport_reload(struct rt_transport *t, const struct rt_transport_options *o)
{
	t->conf.ping_interval_ms = o->ping_interval_ms;
	t->conf.ping_timeout_ms = o->ping_timeout_ms;
	t->conf.connect_timeout_ms = o->connect_timeout_ms;
	t->conf.max_payload_bytes = o->max_payload_bytes;
	t->conf.max_queued_bytes = o->max_queued_bytes;
	if (o->max_connections < t->conf.max_connections)
		t->conf.max_connections = o->max_connections;
	replace_string(&t->conf.cors_origins, o->cors_origins);
	replace_string(&t->conf.trusted_proxies, o->trusted_proxies);
	rt_http_reload(t->http);
	return reload_tls(t, o);
}

void
rt_transport_drain(struct rt_transport *t)
{
	rt_acceptor_stop(t->acceptor);
	rt_httpserver_drain(rt_http_server(t->http));
	rt_eio_drain(rt_socketio_engine(t->sio));
}

void
rt_transport_refuse_sessions(struct rt_transport *t)
{
	rt_eio_refuse_sessions(rt_socketio_engine(t->sio));
}

void
rt_transport_stop_listening(struct rt_transport *t)
{
	rt_acceptor_leave(t->acceptor);
}

void
rt_transport_end_some(struct rt_transport *t, uint64_t n)
{
	rt_eio_end_some(rt_socketio_engine(t->sio), n);
}

size_t
rt_transport_connections(const struct rt_transport *t)
{
	return t->stats.connections;
}

void
rt_transport_free(struct rt_transport *t)
{
	if (t == NULL)
		return;
	rt_acceptor_free(t->acceptor);
	rt_socketio_free(t->sio); /* first, since sessions answer the requests that they hold */
	rt_http_free(t->http);
	rt_tls_free(t->tls);
	rt_wheel_free(t->wheel);
	free_strings(&t->conf);
	free(t);
}

struct rt_socketio *
rt_transport_socketio(struct rt_transport *t)
{
	return t->sio;
}

struct rt_http *
rt_transport_http(struct rt_transport *t)
{
	return t->http;
}

const struct rt_transport_stats *
rt_transport_stats(struct rt_transport *t)
{
	t->stats.queued_bytes = rt_eio_queued_bytes(rt_socketio_engine(t->sio));
	return &t->stats;
}
