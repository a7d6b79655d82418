/* transport_conf.h: settings and counters that the parts of the network side share.  transport.h owns both. */
#ifndef RT_TRANSPORT_CONF_H
#define RT_TRANSPORT_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/metric.h"

#define RT_MAX_WORKERS 36 /* the worker's number is one base-36 digit of the session id */

/* All that clients have begun to send and not yet ended, together: large messages and bodies above it are refused, so
 * that many connections cannot take what one may. */
#define RT_MAX_HELD_BYTES (256u << 20)

/* All of the replies that wait for their readers: those above it end with their connections. */
#define RT_MAX_UNSENT_BYTES (256u << 20)

/* Strings are copied but where it says otherwise.  What is marked (r) changes with rt_transport_reload(), for what
 * begins after it. */
struct rt_transport_options
{
	int port;
	const char *listen_addresses; /* comma-separated addresses, "*" for all; NULL: "127.0.0.1" */
	bool tls;                     /* cannot change */
	const char *tls_cert;         /* (r) PEM, with the chain behind it; NULL: could not be read.  Not copied */
	const char *tls_key;          /* (r) PEM; the same */
	const char *tls_min_version;  /* (r) "TLSv1.2" or "TLSv1.3".  Not copied */
	const char *cors_origins;     /* (r) comma-separated origins, "*" for any; NULL or "": none */
	const char *trusted_proxies;  /* (r) comma-separated addresses and networks; NULL or "": none */
	const char *static_dir;       /* GET / and /assets/…, read once; NULL: none */
	uint32_t ping_interval_ms;    /* (r) 25,000 */
	uint32_t ping_timeout_ms;     /* (r) 20,000 */
	uint32_t connect_timeout_ms;  /* (r) 45,000; of Socket.IO's CONNECT */
	size_t max_payload_bytes;     /* (r) 1,000,000; of a message, a polling body and a request's body */
	size_t max_queued_bytes;      /* (r) 4,000,000; for one socket, above it the socket is cut off */
	int max_connections;          /* (r, but never above that of the start) 10,000; of all kinds together */
	int worker;                   /* this worker's number, 0 to workers - 1 */
	int workers;
	bool beside; /* another transport of the process serves the clients, and sets its limit of descriptors */
	const int *socket_fds; /* workers > 1: SOCK_SEQPACKET; [i] sends to worker i, [worker] receives */
	int nsocket_fds;       /* workers, or 0 */
};

/* Counters since the start, and gauges; for the metrics. */
struct rt_transport_stats
{
	uint64_t connections;  /* gauge: of all kinds */
	uint64_t websockets;   /* gauge */
	uint64_t sessions;     /* gauge: Engine.IO's */
	uint64_t sockets;      /* gauge: Socket.IO's, connected */
	uint64_t queued_bytes; /* gauge: that wait for all sockets */
	uint64_t held_bytes;   /* gauge: of messages and bodies that are not complete */
	uint64_t unsent_bytes; /* gauge: of replies that are not yet with the kernel */
	uint64_t accepted;
	uint64_t refused_full; /* connections above max_connections */
	uint64_t passed_on;    /* to another worker */
	uint64_t http_requests;
	uint64_t http_bad_requests;
	uint64_t packets_in; /* Engine.IO packets */
	uint64_t bytes_in;
	uint64_t frames_out; /* Engine.IO packets */
	uint64_t bytes_out;
	uint64_t writes_out; /* that carried frames; fewer than frames_out where frames were joined */
	uint64_t cut_off;    /* sockets whose queue was full, and replies for which there was no place */
	uint64_t ping_timeouts;
	uint64_t connect_timeouts;
	uint64_t upgrades;           /* polling to websocket */
	uint64_t protocol_errors;    /* sessions closed for what they sent */
	struct rt_histogram answers; /* to heartbeats: how long they took */
};

#endif
