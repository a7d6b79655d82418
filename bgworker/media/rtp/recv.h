/* recv.h: the statistics of one incoming RTP stream (RFC 3550 appendix A) and the requests for what it lost
 * (RFC 4585 section 6.2.1). */
#ifndef RT_RECV_H
#define RT_RECV_H

#include <stdbool.h>
#include <stdint.h>

#include "rtcp.h"

#define RT_RECV_MISSING 256 /* more than that at once: a key frame is asked for instead */

struct rt_missing
{
	uint16_t seq;
	uint8_t tries;
	uint64_t since_us, asked_us;
};

/* Zeroed at first, then ssrc and clock_rate. */
struct rt_recv
{
	uint32_t ssrc;
	uint32_t clock_rate;
	bool started;
	uint16_t highest;
	uint32_t cycles; /* times 2^16 */
	uint32_t base_seq;
	uint64_t packets_before; /* of the streams before this one */
	uint64_t packets, bytes, repaired, discarded, nacks, nacked_packets;
	uint64_t expected_prior, received_prior;
	uint32_t transit;
	double jitter;
	uint8_t fraction_lost;
	uint64_t sr_ntp, sr_at_us; /* the last sender report */
	uint32_t sr_rtp_ts;
	int nmissing;
	struct rt_missing missing[RT_RECV_MISSING];
	/* over the last second */
	uint64_t window_bytes, window_from_us, bitrate_bps, last_packet_us;
	uint32_t window_packets, packets_per_s;
};

enum rt_recv_result
{
	RT_RECV_BEGIN, /* the first one, or the numbers begin anew */
	RT_RECV_NEW,   /* in order, or after a loss */
	RT_RECV_LATE,  /* fills a hole */
	RT_RECV_DUPLICATE,
	RT_RECV_OVERRUN /* too much was lost to ask for: begin again with a key frame */
};

/* repair: it came by RTX.  want_nack: losses of this stream are to be asked for. */
enum rt_recv_result rt_recv_packet(struct rt_recv *r, uint16_t seq, uint32_t ts, size_t bytes, uint64_t now_us,
								   bool want_nack, bool repair);
/* The numbers that are due to be asked for now, at most max.  *give_up: one was asked for in vain too often. */
int rt_recv_due(struct rt_recv *r, uint64_t now_us, uint32_t rtt_ms, uint16_t *seqs, int max, bool *give_up);
void rt_recv_report(struct rt_recv *r, uint64_t now_us, struct rt_rtcp_report *out);
void rt_recv_sr(struct rt_recv *r, const struct rt_rtcp_sr *sr, uint64_t now_us);
int64_t rt_recv_lost(const struct rt_recv *r);
/* Bits a second now; a stream that is silent for a second has none. */
uint64_t rt_recv_bitrate(const struct rt_recv *r, uint64_t now_us);
uint64_t rt_recv_packet_rate(const struct rt_recv *r, uint64_t now_us); /* packets a second, the same */

#endif
