/* port.h: the worker's UDP sockets and TCP listeners, and the batches of packets through them.
 *
 * What arrives is handed up packet by packet out of one recvmmsg().  What leaves is queued on outlets, one a peer,
 * and goes out at the end of the batch: runs of packets of one size to one peer by UDP GSO, all of it by few
 * sendmmsg().  When the kernel takes no more, what is left of the batch is dropped, as a network would, and
 * counted: media is never queued behind media. */
#ifndef RT_PORT_H
#define RT_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/loop.h"
#include "tuple.h"

#define RT_PORT_BUFFER 1600 /* bytes in a buffer of rt_port_buffer() */

struct rt_port;

/* Where packets for one peer wait within a batch.  Lies in the peer's struct; zeroed at first. */
struct rt_outlet
{
	struct rt_tuple tuple;
	int first, last; /* 1 + index of the queued packets; 0: none */
	struct rt_outlet *next_dirty;
};

struct rt_port_handler
{
	/* data has RT_PORT_BUFFER bytes of room and may be changed. */
	void (*on_packet)(void *arg, const struct rt_tuple *from, uint8_t *data, size_t len, uint64_t now_us);
	void (*on_tcp_closed)(void *arg, const struct rt_tuple *from);
	/* It has proved whose it is: a stranger's TCP connection is not kept for long. */
	bool (*is_peer)(void *arg, const struct rt_tuple *from);
	void *arg;
};

struct rt_port_stats
{
	uint64_t packets_in, bytes_in, packets_out, bytes_out, sends, dropped;
	uint64_t tcp_connections; /* of now */
};

/* addresses: comma-separated, as rt.listen_addresses.  One UDP and one TCP socket for each, on the same port. */
enum rt_result rt_port_new(struct rt_port **pp, struct rt_loop *l, const char *addresses, int port,
						   const struct rt_port_handler *handler);
void rt_port_free(struct rt_port *p);

/* The addresses that were bound, for candidates; NULL past the last. */
const char *rt_port_address(const struct rt_port *p, int i);

/* At once: STUN, DTLS, RTCP. */
void rt_port_send(struct rt_port *p, const struct rt_tuple *to, const uint8_t *data, size_t len);

/* A buffer for the next packet, lent until rt_port_queue() or the next call; flushes when none is left. */
uint8_t *rt_port_buffer(struct rt_port *p);
/* Queues what was written to the lent buffer. */
void rt_port_queue(struct rt_port *p, struct rt_outlet *o, size_t len);
void rt_port_flush(struct rt_port *p);
/* Nothing more is expected from there: closes the connection, if it is TCP. */
void rt_port_hang_up(struct rt_port *p, const struct rt_tuple *to);
/* Forgets what waits for an outlet that is about to be freed. */
void rt_port_forget(struct rt_port *p, struct rt_outlet *o);

const struct rt_port_stats *rt_port_totals(const struct rt_port *p);

#endif
