/* network.c: the network side in one piece.  Owns the settings and the counters, and puts the parts together:
 *
 *     acceptor → (tls) → httpconn → http_router ─┬→ the application
 *                                                ├→ files
 *                                                └→ engineio ⇄ websocket
 *                                                      └→ socket → the application
 *
 * A descriptor is counted (traffic.connections) from the acceptor's accept() until the part that closes it calls
 * on_descriptor_gone(), exactly once; passing it to another worker moves the count.  The parts end in the order of
 * rt_network_free(): sessions answer the requests that they hold, so the connections must still be there then.  Only
 * main.c and the metrics' own listener make networks. */
#include "network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/wheel.h"
#include "acceptor.h"
#include "http_router.h"
#include "peers.h"
#include "proxies.h"
#include "bgworker/gateway/engineio/engineio.h"
#include "bgworker/gateway/socketio/socket.h"
#include "tls.h"

#define PASSED_MARK '~' /* in front of the address of a client whose request came from another host */
#define PASSED_MARK_TEXT "~"
#define OWN_DESCRIPTORS 512 /* for the database, listeners, the other workers */

struct rt_network
{
	struct rt_loop *loop;
	struct rt_wheel *wheel;
	struct rt_network_settings settings; /* strings are our own */
	struct rt_traffic traffic;
	struct rt_shares *shares;
	struct rt_acceptor *acceptor;
	struct rt_tls *tls; /* NULL: plain */
	struct rt_peers *peers;
	json_t *addresses;
	struct rt_http_router *router;
	struct rt_sockets *sockets;
};

/* ---- settings ------------------------------------------------------------------------ */

static char *
copy_or_null(const char *s)
{
	return s == NULL || s[0] == '\0' ? NULL : rt_strdup(s);
}

static void
copy_strings(struct rt_network_settings *settings)
{
	settings->listen_addresses = copy_or_null(settings->listen_addresses);
	settings->connect_sources = copy_or_null(settings->connect_sources);
	settings->cors_origins = copy_or_null(settings->cors_origins);
	settings->oidc_issuer = copy_or_null(settings->oidc_issuer);
	settings->oidc_client_id = copy_or_null(settings->oidc_client_id);
	settings->trusted_proxies = copy_or_null(settings->trusted_proxies);
}

static void
free_strings(struct rt_network_settings *settings)
{
	free((char *) settings->listen_addresses);
	free((char *) settings->connect_sources);
	free((char *) settings->cors_origins);
	free((char *) settings->oidc_issuer);
	free((char *) settings->oidc_client_id);
	free((char *) settings->trusted_proxies);
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
fit_descriptors(struct rt_network_settings *settings)
{
	struct rlimit limit;
	rlim_t per_connection = settings->tls ? 3 : 1; /* see tls.h */
	rlim_t wanted = (rlim_t) settings->limits.max_connections * per_connection + OWN_DESCRIPTORS;

	if (settings->beside || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted)
	{
		rlim_t own = limit.rlim_max / 2 < OWN_DESCRIPTORS ? limit.rlim_max / 2 : OWN_DESCRIPTORS;
		int allowed = (int) ((limit.rlim_max - own) / per_connection);

		rt_log(RT_LOG_WARNING, "network", "%d connections need %llu open files, but the limit is %llu: %d are taken",
			   settings->limits.max_connections, (unsigned long long) wanted, (unsigned long long) limit.rlim_max,
			   allowed);
		settings->limits.max_connections = allowed;
		wanted = limit.rlim_max;
	}
	limit.rlim_cur = wanted;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* ---- connections ----------------------------------------------------------------------- */

static void
on_descriptor_gone(void *arg)
{
	struct rt_network *t = arg;

	t->traffic.connections--;
}

/* Whoever has shown no token is the first to go: a connection that is silent, or a session that has no CONNECT. */
static bool
on_full(void *arg)
{
	struct rt_network *t = arg;

	return rt_shares_make_room(t->shares, NULL);
}

static void
on_accept(void *arg, int fd, const char *peer)
{
	struct rt_network *t = arg;

	if (t->tls != NULL)
		fd = rt_tls_wrap(t->tls, fd);
	if (fd < 0)
	{
		rt_log(RT_LOG_WARNING, "tls", "cannot serve a connection: %s", strerror(errno));
		t->traffic.connections--;
		return;
	}
	rt_httpconn_server_add(rt_http_router_server(t->router), fd, peer, NULL, 0);
}

static void
on_passed(void *arg, int fd, const char *peer, const char *data, size_t len)
{
	struct rt_network *t = arg;

	/* See on_pass(). */
	if (peer[0] == PASSED_MARK)
		rt_httpconn_server_add_passed(rt_http_router_server(t->router), fd, peer + 1, data, len);
	else
		rt_httpconn_server_add(rt_http_router_server(t->router), fd, peer, data, len);
}

static void
on_passed_far(void *arg, int fd, const char *client)
{
	struct rt_network *t = arg;

	rt_httpconn_server_add_passed(rt_http_router_server(t->router), fd, client, NULL, 0);
}

static enum rt_result
on_pass_far(void *arg, int number, struct rt_httpconn *c)
{
	struct rt_network *t = arg;
	const char *data;
	size_t len;
	int fd;

	if (!rt_peers_can_send(t->peers, number))
		return RT_LIMIT;
	fd = rt_httpconn_take(c, true, &data, &len);
	rt_peers_send(t->peers, number, fd, rt_httpconn_peer(c), data, len);
	return RT_OK;
}

static void
on_other(void *arg, struct rt_httpconn *c)
{
	struct rt_network *t = arg;
	const char *data;
	size_t len;

	rt_peers_accept(t->peers, rt_httpconn_take(c, true, &data, &len));
}

/* With TLS the connection that was counted is the inner end, which closes by itself. */
static void
on_tls_hello(void *arg, int fd)
{
	struct rt_network *t = arg;

	t->traffic.connections++;
	rt_peers_accept(t->peers, fd);
}

static enum rt_result
on_pass(void *arg, int worker, struct rt_httpconn *c)
{
	struct rt_network *t = arg;
	char peer[RT_PEER_BYTES + 1];
	const char *data;
	size_t len;
	int fd;

	fd = rt_httpconn_take(c, true, &data, &len);
	/* It stays a connection for one request: the mark goes with the address. */
	snprintf(peer, sizeof(peer), "%s%s", rt_httpconn_was_passed(c) ? PASSED_MARK_TEXT : "", rt_httpconn_peer(c));
	if (rt_acceptor_pass(t->acceptor, worker, fd, peer, data, len) == RT_OK)
		return RT_OK;
	close(fd);
	t->traffic.connections--;
	return RT_OK;
}

/* ---- start, reload, end ------------------------------------------------------------------ */

static enum rt_result
start_parts(struct rt_network *t, const struct rt_socket_app *app, const struct rt_http_router_app *http)
{
	struct rt_acceptor_handler accept_handler = {
		.on_accept = on_accept, .on_passed = on_passed, .on_full = on_full, .arg = t};
	struct rt_http_router_handler router = {.app = *http,
											.pass = t->settings.workers > 1 ? on_pass : NULL,
											.pass_far = on_pass_far,
											.on_other = on_other,
											.pass_arg = t,
											.on_descriptor_gone = on_descriptor_gone,
											.gone_arg = t};
	struct rt_peers_handler peers = {.on_passed = on_passed_far, .arg = t};
	enum rt_result rc;

	t->peers = rt_peers_new(t->loop, t->wheel, &t->settings, &t->traffic, &peers);
	if (t->settings.tls)
	{
		rc = rt_tls_new(&t->tls, t->loop, t->wheel, &t->settings);
		if (rc != RT_OK)
			return rc;
		rt_tls_on_hello(t->tls, on_tls_hello, t);
	}
	t->settings.tls_cert = t->settings.tls_key = t->settings.tls_min_version = NULL; /* they were lent */
	rc = rt_sockets_new(&t->sockets, t->loop, t->wheel, &t->settings.limits, &t->settings.sockets, &t->settings.eio,
						&t->traffic, t->shares, app, on_descriptor_gone, t);
	if (rc != RT_OK)
		return rc;
	t->router = rt_http_router_new(t->loop, t->wheel, &t->settings, &t->traffic, t->shares,
								   rt_sockets_engineio(t->sockets), &router);
	t->acceptor = rt_acceptor_new(t->loop, &t->settings, &t->traffic, &accept_handler);
	return RT_OK;
}

enum rt_result
rt_network_new(struct rt_network **tp, struct rt_loop *l, const struct rt_network_settings *o,
			   const struct rt_socket_app *app, const struct rt_http_router_app *http)
{
	struct rt_network *t = rt_alloc(sizeof(*t));
	enum rt_result rc;

	t->loop = l;
	t->wheel = rt_wheel_new(l);
	t->settings = *o;
	copy_strings(&t->settings);
	fit_descriptors(&t->settings);
	t->shares = rt_shares_new(&t->settings.limits, &t->traffic);
	rc = start_parts(t, app, http);
	if (rc != RT_OK)
	{
		rt_network_free(t);
		return rc;
	}
	*tp = t;
	return RT_OK;
}

enum rt_result
rt_network_listen(struct rt_network *t)
{
	enum rt_result rc = rt_acceptor_listen(t->acceptor);

	if (rc == RT_OK)
		t->addresses = rt_peers_addresses(t->acceptor);
	if (rc == RT_OK)
		rt_log(RT_LOG_INFO, "network", "listening on \"%s\", port %d%s", t->settings.listen_addresses,
			   t->settings.port, t->tls != NULL ? ", with TLS" : "");
	return rc;
}

static enum rt_result
reload_tls(struct rt_network *t, const struct rt_network_settings *o)
{
	if (o->tls != (t->tls != NULL))
	{
		rt_log(RT_LOG_WARNING, "tls", "TLS can be switched on or off by a restart only");
		return RT_OK;
	}
	return o->tls ? rt_tls_reload(t->tls, o) : RT_OK;
}

enum rt_result
rt_network_reload(struct rt_network *t, const struct rt_network_settings *o)
{
	int connections_before = t->settings.limits.max_connections;

	t->settings.eio = o->eio;
	t->settings.sockets = o->sockets;
	t->settings.limits = o->limits;
	if (t->settings.limits.max_connections > connections_before)
		t->settings.limits.max_connections = connections_before;
	t->settings.hsts_max_age_s = o->hsts_max_age_s;
	t->settings.serve_reference = o->serve_reference;
	replace_string(&t->settings.connect_sources, o->connect_sources);
	replace_string(&t->settings.cors_origins, o->cors_origins);
	replace_string(&t->settings.oidc_issuer, o->oidc_issuer);
	replace_string(&t->settings.oidc_client_id, o->oidc_client_id);
	replace_string(&t->settings.trusted_proxies, o->trusted_proxies);
	rt_http_router_reload(t->router);
	return reload_tls(t, o);
}

void
rt_network_drain(struct rt_network *t)
{
	rt_acceptor_stop(t->acceptor);
	rt_httpconn_server_drain(rt_http_router_server(t->router));
	rt_engineio_drain(rt_sockets_engineio(t->sockets));
}

void
rt_network_refuse_sessions(struct rt_network *t)
{
	rt_engineio_refuse_sessions(rt_sockets_engineio(t->sockets));
}

void
rt_network_stop_listening(struct rt_network *t)
{
	rt_acceptor_leave(t->acceptor);
}

void
rt_network_end_some(struct rt_network *t, uint64_t n)
{
	rt_engineio_end_some(rt_sockets_engineio(t->sockets), n);
}

const json_t *
rt_network_addresses(const struct rt_network *t)
{
	return t->addresses;
}

void
rt_network_set_secret(struct rt_network *t, struct rt_db *db, const char *hex)
{
	rt_peers_set_secret(t->peers, db, hex);
}

size_t
rt_network_connections(const struct rt_network *t)
{
	return t->traffic.connections;
}

void
rt_network_free(struct rt_network *t)
{
	if (t == NULL)
		return;
	rt_acceptor_free(t->acceptor);
	rt_peers_free(t->peers);
	rt_sockets_free(t->sockets); /* first, since sessions answer the requests that they hold */
	rt_http_router_free(t->router);
	rt_tls_free(t->tls);
	rt_shares_free(t->shares);
	rt_wheel_free(t->wheel);
	free_strings(&t->settings);
	json_decref(t->addresses);
	free(t);
}

struct rt_sockets *
rt_network_sockets(struct rt_network *t)
{
	return t->sockets;
}

struct rt_http_router *
rt_network_router(struct rt_network *t)
{
	return t->router;
}

const struct rt_traffic *
rt_network_traffic(struct rt_network *t)
{
	t->traffic.queued_bytes = rt_engineio_queued_bytes(rt_sockets_engineio(t->sockets));
	return &t->traffic;
}
