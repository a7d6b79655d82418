/* swarm.h: thousands of Socket.IO clients over websockets, in one process and one loop.
 *
 * What a real client does, without its weight: the handshake, heartbeats, and connection state recovery, for which it
 * keeps its pid and the last offset.  Anything that a sound gateway would not do ends the program. */
#ifndef SWARM_SWARM_H
#define SWARM_SWARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum swarm_state
{
	SWARM_IDLE,
	SWARM_DIALLING,   /* the TCP connection */
	SWARM_UPGRADING,  /* to websocket */
	SWARM_CONNECTING, /* CONNECT is on its way */
	SWARM_CONNECTED
};

struct swarm_client
{
	int index;
	int fd;
	int old_fd; /* abandoned, -1: none */
	enum swarm_state state;
	const char *token;
	char pid[24], offset[24]; /* of the last connection; empty: none */
	bool recovered;
	char *rest; /* of a frame that has not come whole */
	size_t rest_len;
	char *out; /* what the socket has not taken */
	size_t out_len;
};

struct swarm;

/* A Socket.IO packet: 42["event",…] or 43<id>[…]. */
typedef void (*swarm_packet_cb)(void *arg, struct swarm_client *c, const char *text, size_t len);
typedef void (*swarm_connected_cb)(void *arg, struct swarm_client *c);
typedef void (*swarm_fd_cb)(void *arg);

struct swarm_options
{
	int port;
	int second_port; /* of every other client; 0: none */
	int first;       /* index of the first client, where several swarms share the work */
	int count;
	const char *tokens;              /* a file with one a line; client i takes line i, then from the start again */
	swarm_packet_cb on_packet;       /* may be NULL */
	swarm_connected_cb on_connected; /* may be NULL */
	void *arg;
	int at_a_time;   /* that swarm_gather() has on their way; 0: 200 */
	int gather_s;    /* that it waits for all of them; 0: 120 */
	unsigned nap_us; /* 0: wakes for each event; else sleeps so long between two looks, so that no send of the
					  * server's pays for waking us */
};

struct swarm *swarm_new(const struct swarm_options *o);
int swarm_count(const struct swarm *s);
int swarm_connected(const struct swarm *s);
struct swarm_client *swarm_client(struct swarm *s, int index);

/* None of these from within a callback, but for swarm_emit(). */
void swarm_dial(struct swarm *s, struct swarm_client *c);
void swarm_drop(struct swarm *s, struct swarm_client *c);    /* the connection is reset */
void swarm_abandon(struct swarm *s, struct swarm_client *c); /* it stays, unread: the server cannot know */
void swarm_emit(struct swarm *s, struct swarm_client *c, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One more descriptor that the loop reads for, and writes for where asked.  Level triggered; closing the descriptor
 * ends it. */
void swarm_watch(struct swarm *s, int fd, swarm_fd_cb cb, void *arg);

void swarm_turn(struct swarm *s, uint64_t until_ns); /* waits no longer than that */
void swarm_run(struct swarm *s, double seconds);

/* Connects the first n, a bounded number at a time. */
void swarm_gather(struct swarm *s, int n);

#endif
