/* signal.h: what a client asks for to send or watch video in a meeting, each request with its own acknowledgement. */
#ifndef SWARM_SIGNAL_H
#define SWARM_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

struct swarm;
struct swarm_client;

/* The digit behind "43" of the answer. */
enum signal_request
{
	SIGNAL_JOIN = '0',
	SIGNAL_TRANSPORT,
	SIGNAL_CONNECT,
	SIGNAL_PRODUCE,
	SIGNAL_CONSUME,
	SIGNAL_RESUME
};

#define SIGNAL_ID_MAX 40 /* of a transport, producer or consumer, with its NUL */
#define SIGNAL_PAYLOAD_TYPE 96
#define SIGNAL_TWCC_ID 3 /* of the header extension, as the sender has it */

void signal_join(struct swarm *s, struct swarm_client *c, long long meeting);
void signal_transport(struct swarm *s, struct swarm_client *c, long long meeting, bool sends);
void signal_connect(struct swarm *s, struct swarm_client *c, const char *transport, const char *fingerprint);
/* With feedback as a browser negotiates it: NACK, PLI, transport-wide congestion control. */
void signal_produce(struct swarm *s, struct swarm_client *c, long long meeting, const char *transport, uint32_t ssrc);
void signal_consume(struct swarm *s, struct swarm_client *c, long long meeting, const char *transport,
					const char *producer);
void signal_resume(struct swarm *s, struct swarm_client *c, const char *consumer);

#endif
