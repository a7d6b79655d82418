/* egress.h: all that goes out to one receiver, over its transport: the transport-wide numbers of its packets and the
 * estimate of how much its way can carry. */
#ifndef RT_EGRESS_H
#define RT_EGRESS_H

#include "bgworker/media/rtp/rtcp.h"
#include "hub.h"
#include "webrtc_transport.h"

struct rt_egress;

struct rt_egress *rt_egress_new(struct rt_hub *h, struct rt_webrtc_transport *t); /* t outlives it */
void rt_egress_free(struct rt_egress *e);                                         /* NULL is fine */

struct rt_hub *rt_egress_hub(const struct rt_egress *e);
bool rt_egress_ready(const struct rt_egress *e); /* packets can be sent */
uint32_t rt_egress_rtt_ms(const struct rt_egress *e);
bool rt_egress_is_aead(const struct rt_egress *e);

/* ---- packets; only when ready ---- */

/* A buffer of RT_PORT_BUFFER bytes for the next packet, lent until rt_egress_send(). */
uint8_t *rt_egress_buffer(struct rt_egress *e);
/* The transport-wide number that the packet in the buffer is to carry. */
uint16_t rt_egress_number(const struct rt_egress *e);
/* numbered: it carries that number, and feedback on it is expected.  The rest as rt_srtp_protect().  False: it could
 * not be protected. */
bool rt_egress_send(struct rt_egress *e, bool numbered, struct rt_srtp_roc *roc, uint8_t *out, size_t header_len,
					const uint8_t *prefix, size_t prefix_len, const uint8_t *payload, size_t payload_len);

/* ---- the estimate ---- */

void rt_egress_feedback(struct rt_egress *e, const struct rt_rtcp *p); /* transport-wide */
void rt_egress_remb(struct rt_egress *e, uint64_t bps);
bool rt_egress_known(const struct rt_egress *e); /* some feedback has come */
uint64_t rt_egress_estimate_bps(const struct rt_egress *e);
bool rt_egress_congested(const struct rt_egress *e);
double rt_egress_loss(const struct rt_egress *e); /* of the last second, 0 to 1 */

/* The client has changed its mind: layers are to be allotted at the next tick.  Taken once. */
void rt_egress_want_allotment(struct rt_egress *e);
bool rt_egress_take_want(struct rt_egress *e);

#endif
