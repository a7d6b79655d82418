/* peer.h: the media side of one WebRTC client on loopback: a UDP socket with ICE, DTLS and SRTP.
 *
 * The client is the controlling agent and the DTLS client; the forwarder is ICE-lite.  A peer has one role: it sends
 * a stream, or counts what it receives and reports as a browser does (RTCP receiver reports and transport-wide
 * feedback, each 100 ms).  Whatever a sound forwarder would not do ends the program. */
#ifndef SWARM_PEER_H
#define SWARM_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;
struct peers; /* what they share: the certificate */
struct swarm;

struct peers *peers_new(struct swarm *s);
const char *peers_fingerprint(const struct peers *ps); /* SHA-256, as SDP has it */

/* Connects to what the answer to create-transport announces on 127.0.0.1 by UDP. */
struct peer *peer_new(struct peers *ps, const char *answer, size_t len);
void peer_free(struct peer *p);

bool peer_is_up(const struct peer *p); /* DTLS is done */
uint64_t peer_up_ns(const struct peer *p);

/* Timers: ICE checks, DTLS retransmissions, reports.  Call it every millisecond or so. */
void peer_go_on(struct peer *p, uint64_t now_ns);

/* The transport-wide sequence number's extension in what is received. */
void peer_set_twcc_id(struct peer *p, int id);
bool peer_takes_key_request(struct peer *p); /* a picture loss was told since the last call */
/* An RTP packet, in clear; there is room for SRTP's 16 bytes behind it. */
void peer_send_rtp(struct peer *p, uint8_t *packet, size_t len);

struct peer_counts
{
	uint64_t packets, lost, verified, failed;
};
void peer_count(const struct peer *p, struct peer_counts *c);
/* From now on; latencies of packets whose tag was verified go to the callback (microseconds from when they were due).
 */
void peer_start_counting(struct peer *p, void (*on_latency)(void *arg, double us), void *arg);

/* The last bytes of a packet's payload: when it was due, in nanoseconds of CLOCK_REALTIME. */
#define PEER_STAMP 8
uint64_t peer_wall_ns(void);

#endif
