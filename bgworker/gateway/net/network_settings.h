/* network_settings.h: the settings of the network side, typed, read once from the configuration.  The defaults stand
 * in extension/config/settings_list.c and nowhere else. */
#ifndef RT_NETWORK_SETTINGS_H
#define RT_NETWORK_SETTINGS_H

#include <limits.h>
#include <stdbool.h>

#include "bgworker/gateway/engineio/eio_session.h"
#include "bgworker/gateway/http/traffic.h"
#include "bgworker/gateway/socketio/socket.h"

struct rt_conf;

/* Strings are lent from the configuration until its next reload.  What is marked (r) changes with
 * rt_network_reload(), for what begins after it. */
struct rt_network_settings
{
	struct rt_traffic_limits limits;   /* (r), but never more connections than at the start */
	struct rt_eio_settings eio;        /* (r) */
	struct rt_socket_settings sockets; /* (r) */
	int port;
	const char *listen_addresses; /* comma-separated addresses, "*" for all */
	bool tls;
	const char *tls_min_version;        /* (r) "TLSv1.2" or "TLSv1.3" */
	const char *tls_cert;               /* (r) PEM, with the chain behind it; NULL: could not be read */
	const char *tls_key;                /* (r) PEM; the same */
	int hsts_max_age_s;                 /* (r) of Strict-Transport-Security; 0: none */
	const char *connect_sources;        /* (r) comma-separated sources for the application's CSP; NULL or "": none */
	const char *cors_origins;           /* (r) comma-separated origins, "*" for any; NULL or "": none */
	const char *oidc_issuer;            /* (r) the provider that the application offers; NULL or "": none */
	const char *oidc_client_id;         /* (r) what the application is called there */
	const char *trusted_proxies;        /* (r) comma-separated addresses and networks; NULL or "": none */
	bool serve_reference;               /* (r) /reference and what it is made from */
	char static_dir[PATH_MAX];          /* GET / and /assets/…, read once; "": none */
	int workers;                        /* this one is number eio.worker of them */
	bool beside;                        /* another network of the process sets its limit of descriptors */
	int socket_fds[RT_EIO_MAX_WORKERS]; /* SOCK_SEQPACKET; [i] sends to worker i, [eio.worker] receives */
	int nsocket_fds;                    /* workers, or 0 where there is one */
};

/* Reads all of them.  Whether one was missing, rt_conf_is_complete() tells. */
void rt_network_settings_read(struct rt_network_settings *s, struct rt_conf *c);

#endif
