/* egress.c: see egress.h.  Consumers send through it, demux.c brings it feedback, allot.c asks for the estimate; the
 * endpoint owns it.
 *
 * Invariant: twcc_seq goes up by one for each packet that carries it, and is noted with the estimator at once: the
 * feedback names packets by nothing else. */
#include "egress.h"

#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/media/rtp/bwe.h"

struct rt_egress
{
	struct rt_hub *hub;
	struct rt_webrtc_transport *transport;
	uint16_t twcc_seq; /* of the next packet */
	struct rt_bwe *bwe;
	bool wants_allotment;
};

struct rt_egress *
rt_egress_new(struct rt_hub *h, struct rt_webrtc_transport *t)
{
	struct rt_egress *e = rt_alloc(sizeof(*e));

	e->hub = h;
	e->transport = t;
	e->bwe = rt_bwe_new();
	return e;
}

void
rt_egress_free(struct rt_egress *e)
{
	if (e == NULL)
		return;
	rt_bwe_free(e->bwe);
	free(e);
}

struct rt_hub *
rt_egress_hub(const struct rt_egress *e)
{
	return e->hub;
}

bool
rt_egress_ready(const struct rt_egress *e)
{
	return rt_webrtc_transport_ready(e->transport);
}

uint32_t
rt_egress_rtt_ms(const struct rt_egress *e)
{
	return rt_webrtc_transport_rtt_ms(e->transport);
}

bool
rt_egress_is_aead(const struct rt_egress *e)
{
	return rt_webrtc_transport_is_aead(e->transport);
}

/* ---- packets ---- */

uint8_t *
rt_egress_buffer(struct rt_egress *e)
{
	return rt_port_buffer(rt_hub_port(e->hub));
}

uint16_t
rt_egress_number(const struct rt_egress *e)
{
	return e->twcc_seq;
}

bool
rt_egress_send(struct rt_egress *e, bool numbered, struct rt_srtp_roc *roc, uint8_t *out, size_t header_len,
			   const uint8_t *prefix, size_t prefix_len, const uint8_t *payload, size_t payload_len)
{
	size_t len =
		rt_webrtc_transport_queue_rtp(e->transport, roc, out, header_len, prefix, prefix_len, payload, payload_len);

	if (len == 0)
		return false;
	if (numbered)
		rt_bwe_sent(e->bwe, e->twcc_seq++, len, rt_hub_now_us(e->hub));
	return true;
}

/* ---- the estimate ---- */

void
rt_egress_feedback(struct rt_egress *e, const struct rt_rtcp *p)
{
	rt_bwe_feedback(e->bwe, p, rt_hub_now_us(e->hub));
}

void
rt_egress_remb(struct rt_egress *e, uint64_t bps)
{
	rt_bwe_remb(e->bwe, bps);
}

bool
rt_egress_known(const struct rt_egress *e)
{
	return rt_bwe_known(e->bwe);
}

uint64_t
rt_egress_estimate_bps(const struct rt_egress *e)
{
	return rt_bwe_estimate(e->bwe);
}

bool
rt_egress_congested(const struct rt_egress *e)
{
	return rt_bwe_congested(e->bwe);
}

double
rt_egress_loss(const struct rt_egress *e)
{
	return rt_bwe_loss(e->bwe);
}

void
rt_egress_want_allotment(struct rt_egress *e)
{
	e->wants_allotment = true;
}

bool
rt_egress_take_want(struct rt_egress *e)
{
	bool wanted = e->wants_allotment;

	e->wants_allotment = false;
	return wanted;
}
