/* traffic.h: limits and counters that every layer of the network side shares, from HTTP up to Socket.IO.
 *
 * There is one of each struct, in net/network.c; the layers get pointers to them at their `new`.  A limit may change
 * at a reload and holds for what begins after it.  A layer writes only the counters that it is the one to know. */
#ifndef RT_TRAFFIC_H
#define RT_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/metric.h"

/* All that clients have begun to send and not yet ended, together: a large message or body that would go beyond it is
 * refused, so that many connections cannot take what one may. */
#define RT_TRAFFIC_MAX_HELD_BYTES (256u << 20)

/* All of the replies that wait for their readers: one that would go beyond it ends with its connection. */
#define RT_TRAFFIC_MAX_UNSENT_BYTES (256u << 20)

struct rt_traffic_limits
{
	size_t max_payload_bytes; /* of a message, of a polling body, of a request's body */
	int max_connections;      /* of all kinds together */
};

/* Counters since the start, and gauges; for the metrics. */
struct rt_traffic
{
	uint64_t connections;    /* gauge: of all kinds */
	uint64_t websockets;     /* gauge */
	uint64_t sessions;       /* gauge: Engine.IO's */
	uint64_t sockets;        /* gauge: Socket.IO's, connected */
	uint64_t queued_bytes;   /* gauge: that wait for all sockets */
	uint64_t held_bytes;     /* gauge: of messages and bodies that are not complete */
	uint64_t stranger_bytes; /* gauge: of those, what connections without a token hold */
	uint64_t unsent_bytes;   /* gauge: of replies that are not yet with the kernel */
	uint64_t accepted;
	uint64_t refused_full; /* connections above max_connections */
	uint64_t made_room;    /* connections and sessions of strangers that ended for others */
	uint64_t throttled;    /* requests that waited, since their address had used up its CPU time */
	uint64_t evicted;      /* unfinished bodies of strangers that were dropped for users */
	uint64_t over_share;   /* bodies and messages that did not fit the share of their sender */
	uint64_t passed_on;    /* to another worker */
	uint64_t http_requests;
	uint64_t http_bad_requests;
	uint64_t foreign_origins; /* sessions of pages that are not listed */
	uint64_t packets_in;      /* Engine.IO packets */
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
