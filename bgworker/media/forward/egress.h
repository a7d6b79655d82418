/* egress.h: all that goes out to one receiver, over its transport: the transport-wide numbers of its packets, the
 * estimate of how much its path carries, and what leaves when.
 *
 * As long as no congestion has been seen nothing waits.  From then on, for half a minute, video and retransmissions
 * leave at the pace of the estimate; sound never waits.  Probes are padding that a consumer with RTX sends. */
#ifndef RT_EGRESS_H
#define RT_EGRESS_H

#include "bgworker/media/congestion/pacer.h"
#include "bgworker/media/rtp/rtcp.h"
#include "hub.h"
#include "webrtc_transport.h"

struct rt_egress;

#define RT_EGRESS_IP_BYTES 28 /* of IPv4 and UDP in front of each packet; estimate and pace count them */

/* How it has consumers send what waited: a stream is a consumer. */
struct rt_egress_source
{
	void (*send)(void *stream, uint16_t seq, enum rt_pacer_class class);
	/* Its oldest packet has waited too long: the stream is to take back what waits, and to begin anew. */
	void (*overdue)(void *stream);
	/* One packet of padding; its bytes, 0: it cannot. */
	size_t (*pad)(void *stream);
};

/* t and source outlive it. */
struct rt_egress *rt_egress_new(struct rt_hub *h, struct rt_webrtc_transport *t);
void rt_egress_free(struct rt_egress *e); /* NULL is fine; its streams are gone */

struct rt_hub *rt_egress_hub(const struct rt_egress *e);
bool rt_egress_ready(const struct rt_egress *e); /* packets can be sent */
uint32_t rt_egress_rtt_ms(const struct rt_egress *e);
bool rt_egress_is_aead(const struct rt_egress *e);

/* ---- packets; only when ready ---- */

/* A buffer of RT_PORT_BUFFER bytes for the next packet, lent until rt_egress_send(). */
uint8_t *rt_egress_buffer(struct rt_egress *e);
/* The transport-wide number that the packet in the buffer is to carry. */
uint16_t rt_egress_number(const struct rt_egress *e);
/* numbered: it carries that number, and feedback on it is expected.  The rest as rt_srtp_protect().  The packet's
 * length; 0: it could not be protected. */
size_t rt_egress_send(struct rt_egress *e, bool numbered, struct rt_srtp_roc *roc, uint8_t *out, size_t header_len,
					  const uint8_t *prefix, size_t prefix_len, const uint8_t *payload, size_t payload_len);
/* A packet that went out before, byte for byte.  False: the budget of retransmissions is spent. */
bool rt_egress_repeat(struct rt_egress *e, const uint8_t *data, size_t len);

/* Whether a packet may leave now; if not, rt_egress_queue() it. */
bool rt_egress_may_pass(struct rt_egress *e, enum rt_pacer_class class);
/* The source is to send this packet when it is due.  False: too many wait. */
bool rt_egress_queue(struct rt_egress *e, const struct rt_egress_source *source, enum rt_pacer_class class,
					 void *stream, uint16_t seq, size_t bytes);
/* Takes back what waits of a stream; the number of its media packets. */
int rt_egress_take_back(struct rt_egress *e, const void *stream);
/* The stream ends: neither what waits nor padding is asked of it any more. */
void rt_egress_forget(struct rt_egress *e, const void *stream);
/* Takes bytes from the budget of retransmissions.  False: it is spent. */
bool rt_egress_may_resend(struct rt_egress *e, size_t bytes);

/* ---- the estimate ---- */

void rt_egress_note_burst(struct rt_egress *e);                        /* a key frame begins another layer */
void rt_egress_feedback(struct rt_egress *e, const struct rt_rtcp *p); /* transport-wide */
void rt_egress_remb(struct rt_egress *e, uint64_t bps);
bool rt_egress_known(const struct rt_egress *e); /* some feedback has come */
uint64_t rt_egress_estimate_bps(const struct rt_egress *e);
bool rt_egress_congested(const struct rt_egress *e);
uint64_t rt_egress_decreased_us(const struct rt_egress *e); /* when the estimate fell last; 0: never */
uint64_t rt_egress_carried_bps(const struct rt_egress *e);  /* what the path was last seen to carry; 0: not known */
uint32_t rt_egress_queue_ms(const struct rt_egress *e);     /* how long packets wait on the path */
uint32_t rt_egress_paced_ms(const struct rt_egress *e);     /* and here, at the most */
bool rt_egress_proven(const struct rt_egress *e);           /* a probe has just shown that the estimate holds */
double rt_egress_loss(const struct rt_egress *e);           /* of the last second, 0 to 1 */

/* What all streams together would take with the next step up, 0 if there is none, with something to spare and
 * without, and who can send padding to find out whether it fits (NULL: nobody). */
void rt_egress_want_bps(struct rt_egress *e, uint64_t bps, uint64_t least_bps, const struct rt_egress_source *source,
						void *stream);
/* Each tick. */
/* Pictures flow, or would if there were room: what sound takes beyond its due, they lose. */
void rt_egress_set_video(struct rt_egress *e, bool video);
bool rt_egress_has_video(const struct rt_egress *e);
void rt_egress_tick(struct rt_egress *e);

/* The client has changed its mind: layers are to be allotted at the next tick.  Taken once. */
void rt_egress_want_allotment(struct rt_egress *e);
bool rt_egress_take_want(struct rt_egress *e);

#endif
