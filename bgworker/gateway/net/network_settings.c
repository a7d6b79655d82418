/* network_settings.c: reads what the supervisor has sent into struct rt_network_settings.
 *
 * main.c calls it at the start and at each reload; nothing else on the network side sees the configuration. */
#include "network_settings.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "bgworker/common/conf.h"

/* The application that GET / answers with lies beside the program.  Empty where it cannot be told. */
static void
find_www(char *dir, size_t size)
{
	static const char folder[] = "/rt_www";
	ssize_t len = readlink("/proc/self/exe", dir, size - 1);
	char *slash;

	dir[len > 0 ? len : 0] = '\0';
	slash = strrchr(dir, '/');
	if (slash != NULL && (size_t) (slash - dir) + sizeof(folder) <= size)
		memcpy(slash, folder, sizeof(folder));
	else
		dir[0] = '\0';
}

void
rt_network_settings_read(struct rt_network_settings *s, struct rt_conf *c)
{
	*s = (struct rt_network_settings){
		.limits = {.max_payload_bytes = (size_t) rt_conf_int(c, "max_payload"),
				   .max_connections = (int) rt_conf_int(c, "max_connections")},
		.eio = {.ping_interval_ms = (uint32_t) rt_conf_int(c, "ping_interval"),
				.ping_timeout_ms = (uint32_t) rt_conf_int(c, "ping_timeout"),
				.max_queued_bytes = (size_t) rt_conf_int(c, "max_queued_bytes"),
				.worker = rt_conf_worker(c),
				.number = rt_conf_number(c)},
		.sockets = {.connect_timeout_ms = (uint32_t) rt_conf_int(c, "connect_timeout")},
		.port = (int) rt_conf_int(c, "port"),
		.listen_addresses = rt_conf_str(c, "listen_addresses"),
		.tls = rt_conf_str(c, "ssl_cert_file")[0] != '\0',
		.tls_min_version = rt_conf_str(c, "ssl_min_protocol_version"),
		.tls_cert = rt_conf_pem(c, "cert"),
		.tls_key = rt_conf_pem(c, "key"),
		.hsts_max_age_s = (int) (rt_conf_int(c, "hsts_max_age") / 1000), /* told in ms */
		.connect_sources = rt_conf_str(c, "connect_sources"),
		.cors_origins = rt_conf_str(c, "cors_origins"),
		.oidc_issuer = rt_conf_str(c, "oidc_issuer"),
		.oidc_client_id = rt_conf_str(c, "oidc_client_id"),
		.trusted_proxies = rt_conf_str(c, "trusted_proxies"),
		.serve_reference = rt_conf_bool(c, "serve_reference"),
		.workers = rt_conf_workers(c),
	};
	find_www(s->static_dir, sizeof(s->static_dir));
	s->nsocket_fds = rt_conf_socket_fds(c, s->socket_fds, RT_EIO_MAX_WORKERS);
}
