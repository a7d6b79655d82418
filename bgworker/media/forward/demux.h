/* demux.h: what a peer's decrypted packets are: which stream an RTP packet belongs to (MID, RID and SSRC, RFC 8843
 * section 9.2 and RFC 8852), and what RTCP asks for. */
#ifndef RT_DEMUX_H
#define RT_DEMUX_H

#include "consumer.h"
#include "producer.h"

struct rt_demux;

/* What it works on; all of it outlives it. */
struct rt_demux_parts
{
	struct rt_hub *hub;
	struct rt_webrtc_transport *transport;
	struct rt_ssrc_table *ssrcs;
	struct rt_egress *egress; /* NULL: nothing goes out to the peer but RTCP */
	struct rt_producer *const *producers;
	struct rt_consumer *const *consumers;
};

struct rt_demux *rt_demux_new(const struct rt_demux_parts *parts);
void rt_demux_free(struct rt_demux *d); /* NULL is fine */

/* Still encrypted, from a validated address; data may be changed. */
void rt_demux_rtp(struct rt_demux *d, uint8_t *data, size_t len);
void rt_demux_rtcp(struct rt_demux *d, uint8_t *data, size_t len);

/* A producer has been announced, and has its settings: packets of it that came before are taken now.  What belongs to
 * no producer is kept for 2 s, at most 128 kB and 512 packets. */
void rt_demux_announced(struct rt_demux *d);
void rt_demux_forget_stale(struct rt_demux *d);

/* Tells the sender which of its packets have come, by transport-wide feedback. */
void rt_demux_send_feedback(struct rt_demux *d);

#endif
