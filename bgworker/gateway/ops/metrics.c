/* metrics.c: see metrics.h */
#include "metrics.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/conf.h"
#include "bgworker/common/log.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/app.h"
#include "stat.h"
#include "bgworker/gateway/net/network.h"

#define CONNECTIONS_MAX 20

struct rt_metrics
{
	struct rt_app *app;
	struct rt_network *network;
};

void
rt_metrics_reply(struct rt_app *app, struct rt_http_router *h, uint64_t id)
{
	struct rt_text t;

	rt_text_init(&t);
	rt_stat_write_metrics(app->stat, &t);
	rt_http_router_reply(h, id, 200, "text/plain; version=0.0.4; charset=utf-8", "Cache-Control: no-store\r\n",
						 t.data, t.len);
	rt_text_fini(&t);
}

static void
on_request(void *arg, const struct rt_http_router_request *r)
{
	static const char not_found[] = "not found\n";
	struct rt_metrics *m = arg;
	struct rt_http_router *h = rt_network_router(m->network);

	if (strcmp(r->path, "/metrics") == 0)
		rt_metrics_reply(m->app, h, r->id);
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
	const struct rt_network_settings settings = {
		.limits = {.max_payload_bytes = 10000, .max_connections = CONNECTIONS_MAX},
		.eio = {.ping_interval_ms = 25000, .ping_timeout_ms = 20000, .max_queued_bytes = 1000000},
		.sockets = {.connect_timeout_ms = 5000},
		.port = port,
		.listen_addresses = host[0] == '\0' ? "127.0.0.1" : host,
		.workers = 1,
		.beside = true,
	};
	enum rt_result rc = rt_network_new(&m->network, m->app->loop, &settings, &nobody, on_request, m);

	return rc == RT_OK ? rt_network_listen(m->network) : rc;
}

enum rt_result
rt_metrics_new(struct rt_metrics **mp, struct rt_app *app)
{
	const char *address = rt_conf_str(app->conf, "metrics_address");
	struct rt_metrics *m;
	char host[100];
	enum rt_result rc;
	int port;

	*mp = NULL;
	if (*address == '\0')
		return RT_OK;
	if (!split_address(address, host, sizeof(host), &port))
	{
		rt_log(RT_LOG_ERROR, "metrics", "rt.metrics_address must be \"host:port\"");
		return RT_BAD_INPUT;
	}
	m = rt_alloc(sizeof(*m));
	m->app = app;
	rc = listen_on(m, host, port + rt_conf_worker(app->conf));
	if (rc == RT_OK)
		*mp = m;
	else
		rt_metrics_free(m);
	return rc;
}

void
rt_metrics_free(struct rt_metrics *m)
{
	if (m == NULL)
		return;
	rt_network_free(m->network);
	free(m);
}
