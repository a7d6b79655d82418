#include "demux.h"

#include <string.h>

#include "consumer.h"
#include "producer.h"
#include "transport.h"

#define MAX_RESENDS 256 /* that one RTCP packet can cause */

/* ---- RTP ---- */

static const struct rt_stream_ref *
find_stream(const struct rt_transport *t, uint32_t ssrc)
{
	for (int i = 0; i < t->nstreams; i++)
		if (t->streams[i].ssrc == ssrc)
			return &t->streams[i];
	return NULL;
}

static const struct rt_stream_ref *
add_stream(struct rt_transport *t, uint32_t ssrc, struct rt_producer *p, int layer, bool rtx)
{
	struct rt_stream_ref *ref;

	/* A second SSRC for a layer takes the place of the first: browsers change it when a track is replaced. */
	for (int i = 0; i < t->nstreams; i++)
		if (t->streams[i].producer == p && t->streams[i].layer == layer && t->streams[i].rtx == rtx)
		{
			t->streams[i].ssrc = ssrc;
			return &t->streams[i];
		}
	if (t->nstreams == RT_MAX_STREAMS)
		return NULL;
	ref = &t->streams[t->nstreams++];
	*ref = (struct rt_stream_ref){ssrc, p, (uint8_t) layer, rtx};
	return ref;
}

static bool
ext_equals(const struct rt_rtp *rtp, uint8_t id, const char *text)
{
	size_t len;
	const uint8_t *v = rt_rtp_ext(rtp, id, &len);

	return v != NULL && text[0] && strlen(text) == len && memcmp(v, text, len) == 0;
}

/* Tracks have the same names for their streams: where there is a MID, it tells whose the RID is (RFC 9143
 * section 9.2). */
static bool
is_of_another(const struct rt_producer_params *q, const struct rt_rtp *rtp)
{
	size_t len;

	return q->mid[0] && rt_rtp_ext(rtp, q->ext.id[RT_EXT_MID], &len) != NULL &&
		   !ext_equals(rtp, q->ext.id[RT_EXT_MID], q->mid);
}

/* Which of the producer's streams this is; -1: none. */
static int
match_layer(const struct rt_producer_params *q, const struct rt_rtp *rtp, bool rtx)
{
	for (int i = 0; i < q->n_encodings; i++)
		if (rtp->ssrc == (rtx ? q->encodings[i].rtx_ssrc : q->encodings[i].ssrc))
			return i;
	if (is_of_another(q, rtp))
		return -1;
	for (int i = 0; i < q->n_encodings; i++)
		if (ext_equals(rtp, q->ext.id[rtx ? RT_EXT_REPAIRED_RID : RT_EXT_RID], q->encodings[i].rid))
			return i;
	/* one stream without an SSRC of its own is known by its MID alone */
	if (q->n_encodings == 1 && !q->encodings[0].ssrc && ext_equals(rtp, q->ext.id[RT_EXT_MID], q->mid))
		return 0;
	return -1;
}

static const struct rt_stream_ref *
learn_stream(struct rt_transport *t, const struct rt_rtp *rtp)
{
	for (struct rt_producer *p = t->producers; p != NULL; p = p->next)
	{
		const struct rt_producer_params *q = &p->params;
		bool rtx = q->rtx_pt != RT_NO_PT && rtp->pt == q->rtx_pt, media = rtp->pt == q->pt;
		int layer;

		if (!rtx && !media)
			continue;
		layer = match_layer(q, rtp, rtx);
		if (layer >= 0)
			return add_stream(t, rtp->ssrc, p, layer, rtx);
	}
	return NULL;
}

/* Of all that the client sends, what it has not announced yet too: what is not told counts as lost there.  On one
 * transport an extension has one id. */
static void
note_twcc(struct rt_transport *t, const struct rt_rtp *rtp)
{
	const struct rt_producer *p = t->producers;
	const uint8_t *v;
	size_t len;

	while (p != NULL && !p->params.ext.id[RT_EXT_TRANSPORT_CC])
		p = p->next;
	if (p == NULL || t->twcc == NULL)
		return;
	v = rt_rtp_ext(rtp, p->params.ext.id[RT_EXT_TRANSPORT_CC], &len);
	if (v != NULL && len == 2)
		rt_twcc_received(t->twcc, rt_get16(v), rtp->ssrc, t->engine->now_us);
}

/* RFC 4588 section 4: the original number, then the original payload. */
static bool
unwrap_rtx(struct rt_rtp *rtp, const struct rt_producer *p)
{
	if (rtp->payload_len < 2)
		return false; /* a probe for bandwidth */
	rtp->seq = rt_get16(rtp->data + rtp->payload_off);
	rtp->pt = p->params.pt;
	rtp->payload_off += 2;
	rtp->payload_len -= 2;
	return true;
}

void
rt_demux_rtp(struct rt_transport *t, uint8_t *data, size_t len)
{
	struct rt_engine *e = t->engine;
	const struct rt_stream_ref *ref;
	struct rt_rtp rtp;

	if (rt_srtp_unprotect(t->srtp, data, &len) != RT_OK)
	{
		e->bad_srtp++;
		t->srtp_failures++;
		return;
	}
	if (rt_rtp_parse(data, len, &rtp) != RT_OK)
	{
		e->bad_rtp++;
		return;
	}
	t->packets_in++;
	t->bytes_in += len;
	t->packet_us = e->now_us;
	note_twcc(t, &rtp);
	ref = find_stream(t, rtp.ssrc);
	if (ref == NULL)
		ref = learn_stream(t, &rtp);
	if (ref == NULL)
	{
		e->unknown_ssrc++;
		return;
	}
	if (rtp.pt != (ref->rtx ? ref->producer->params.rtx_pt : ref->producer->params.pt))
		return;
	if (!ref->rtx || unwrap_rtx(&rtp, ref->producer))
		rt_producer_packet(ref->producer, ref->layer, &rtp, ref->rtx);
}

/* ---- RTCP ---- */

static struct rt_consumer *
find_consumer(const struct rt_transport *t, uint32_t ssrc)
{
	for (struct rt_consumer *c = t->consumers; c != NULL; c = c->next)
		if (c->params.ssrc == ssrc)
			return c;
	return NULL;
}

/* What came was sent at the time `then`, the middle 32 bits of our clock, and stayed for `delay` there. */
static void
note_rtt(struct rt_transport *t, uint32_t then, uint32_t delay)
{
	uint32_t rtt = (uint32_t) (rt_rtcp_ntp_now() >> 16) - then - delay; /* in 1/65536 s */

	if (then && rtt < 10 * 65536)
		t->rtt_ms = rtt * 1000 / 65536;
}

static void
on_report(struct rt_transport *t, const struct rt_rtcp_report *r)
{
	struct rt_consumer *c = find_consumer(t, r->ssrc);

	if (c == NULL)
		return;
	c->fraction_lost = r->fraction_lost;
	c->lost = r->lost;
	c->jitter = r->jitter;
	c->score = (uint8_t) (10 - r->fraction_lost * 10 / 256);
	note_rtt(t, r->lsr, r->dlsr);
}

static void
on_sender_report(struct rt_transport *t, const struct rt_rtcp *p)
{
	const struct rt_stream_ref *ref;
	struct rt_rtcp_sr sr;

	if (!rt_rtcp_read_sr(p, &sr))
		return;
	ref = find_stream(t, sr.ssrc);
	if (ref != NULL && !ref->rtx)
		rt_recv_sr(&ref->producer->layers[ref->layer].recv, &sr, t->engine->now_us);
}

static void
on_nack(struct rt_consumer *c, const struct rt_rtcp *p, int *resends)
{
	uint16_t pid, blp;

	c->nacks++;
	for (int i = 0; rt_rtcp_read_nack(p, i, &pid, &blp); i++)
		for (int k = 0; k <= 16; k++)
			if ((k == 0 || blp >> (k - 1) & 1) && (*resends)++ < MAX_RESENDS)
			{
				c->transport->engine->nacks_received++;
				rt_consumer_resend(c, (uint16_t) (pid + k));
			}
}

static void
on_transport_feedback(struct rt_transport *t, const struct rt_rtcp *p, int *resends)
{
	uint32_t sender, media;
	struct rt_consumer *c;

	if (!rt_rtcp_read_feedback(p, &sender, &media))
		return;
	if (p->count == RT_RTPFB_TWCC && t->bwe != NULL)
		rt_bwe_feedback(t->bwe, p, t->engine->now_us);
	else if (p->count == RT_RTPFB_NACK && (c = find_consumer(t, media)) != NULL)
		on_nack(c, p, resends);
}

static void
on_fir(struct rt_transport *t, const struct rt_rtcp *p)
{
	struct rt_consumer *c;
	uint32_t ssrc;
	uint8_t seq;

	for (int i = 0; rt_rtcp_read_fir(p, i, &ssrc, &seq); i++)
		if ((c = find_consumer(t, ssrc)) != NULL)
		{
			c->firs++;
			rt_consumer_want_keyframe(c);
		}
}

static void
on_payload_feedback(struct rt_transport *t, const struct rt_rtcp *p)
{
	uint32_t sender, media;
	struct rt_consumer *c;
	uint64_t bps;

	if (!rt_rtcp_read_feedback(p, &sender, &media))
		return;
	if (p->count == RT_PSFB_PLI && (c = find_consumer(t, media)) != NULL)
	{
		c->plis++;
		rt_consumer_want_keyframe(c);
	}
	else if (p->count == RT_PSFB_FIR)
		on_fir(t, p);
	else if (t->bwe != NULL && rt_rtcp_read_remb(p, &bps))
		rt_bwe_remb(t->bwe, bps);
}

/* A sender's answer to our reference time. */
static void
on_extended_report(struct rt_transport *t, const struct rt_rtcp *p)
{
	uint32_t ssrc, lrr, dlrr;

	for (int i = 0; rt_rtcp_read_dlrr(p, i, &ssrc, &lrr, &dlrr); i++)
		if (ssrc == RT_OUR_SSRC)
		{
			note_rtt(t, lrr, dlrr);
			return;
		}
}

void
rt_demux_rtcp(struct rt_transport *t, uint8_t *data, size_t len)
{
	struct rt_rtcp_report report;
	struct rt_rtcp p;
	size_t off = 0;
	int resends = 0;
	enum rt_result rc;

	if (rt_srtp_unprotect_rtcp(t->srtp, data, &len) != RT_OK)
	{
		t->engine->bad_srtp++;
		t->srtp_failures++;
		return;
	}
	while ((rc = rt_rtcp_next(data, len, &off, &p)) == RT_OK)
	{
		if (p.type == RT_RTCP_SR)
			on_sender_report(t, &p);
		else if (p.type == RT_RTCP_XR)
			on_extended_report(t, &p);
		for (int i = 0; rt_rtcp_read_report(&p, i, &report); i++)
			on_report(t, &report);
		if (p.type == RT_RTCP_RTPFB)
			on_transport_feedback(t, &p, &resends);
		else if (p.type == RT_RTCP_PSFB)
			on_payload_feedback(t, &p);
	}
	if (rc == RT_BAD_INPUT)
		t->engine->bad_rtcp++;
}
