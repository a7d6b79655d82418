/* demux.c: see demux.h.  The engine hands it each datagram that is RTP or RTCP (RFC 7983, RFC 5761 section 4).
 *
 *   datagram ──> opened (SRTP) ──> RTP ──> SSRC known, or learnt by MID and RID ──> producer
 *                              │       └─> of nobody: kept for a producer that is about to be announced
 *                              └─> RTCP ──> each packet of the compound ──> producer, consumer or egress
 *
 * All that comes here is the peer's, and authentic, but not friendly: what one packet can cause is bounded
 * (MAX_RESENDS; the readers' own limits), and numbers are looked up, never trusted. */
#include "demux.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/media/rtp/twcc.h"

#define MAX_RESENDS 256 /* that one RTCP packet can cause */
#define RTCP_ROOM 1200
/* A browser sends as soon as it has its answer, while `produce` is on its way.  A key frame of a screen has up to 100
 * kB. */
#define EARLY_BYTES (128 * 1024)
#define EARLY_PACKETS 512 /* each is looked at again with each producer that is announced */
#define EARLY_US 2000000

/* An opened packet of a stream that no producer has. */
struct early
{
	struct early *next;
	size_t len;
	uint8_t data[];
};

/* Invariant: early_packets is the number of those in early, at most EARLY_PACKETS, and early_bytes the sum of their
 * lengths, at most EARLY_BYTES.  What came first stays: a stream begins with its key frame. */
struct rt_demux
{
	struct rt_demux_parts parts;
	struct rt_twcc *twcc; /* of what comes; NULL: nothing has */
	struct early *early, **early_end;
	size_t early_bytes, early_packets;
	uint64_t early_us; /* when the first of them came */
};

struct rt_demux *
rt_demux_new(const struct rt_demux_parts *parts)
{
	struct rt_demux *d = rt_alloc(sizeof(*d));

	d->parts = *parts;
	d->early_end = &d->early;
	return d;
}

static void
free_early(struct early *list)
{
	struct early *next;

	for (; list != NULL; list = next)
	{
		next = list->next;
		free(list);
	}
}

static struct early *
take_early(struct rt_demux *d)
{
	struct early *list = d->early;

	d->early = NULL;
	d->early_end = &d->early;
	d->early_bytes = d->early_packets = 0;
	return list;
}

void
rt_demux_free(struct rt_demux *d)
{
	if (d == NULL)
		return;
	free_early(d->early);
	free(d->twcc);
	free(d);
}

/* ---- RTP ---- */

static bool
ext_equals(const struct rt_rtp_exts *exts, uint8_t id, const char *text)
{
	size_t len;
	const uint8_t *v = rt_rtp_exts_find(exts, id, &len);

	return v != NULL && text[0] && strlen(text) == len && memcmp(v, text, len) == 0;
}

/* Tracks have the same names for their streams: where there is a MID, it tells whose the RID is (RFC 9143
 * section 9.2). */
static bool
is_of_another(const struct rt_producer_params *q, const struct rt_rtp_exts *exts)
{
	size_t len;

	return q->mid[0] && rt_rtp_exts_find(exts, q->ext.id[RT_EXT_MID], &len) != NULL &&
		   !ext_equals(exts, q->ext.id[RT_EXT_MID], q->mid);
}

/* Which of the producer's streams this is; -1: none. */
static int
match_layer(const struct rt_producer_params *q, const struct rt_rtp_exts *exts, bool rtx)
{
	for (int i = 0; i < q->n_encodings; i++)
		if (exts->of->ssrc == (rtx ? q->encodings[i].rtx_ssrc : q->encodings[i].ssrc))
			return i;
	if (is_of_another(q, exts))
		return -1;
	for (int i = 0; i < q->n_encodings; i++)
		if (ext_equals(exts, q->ext.id[rtx ? RT_EXT_REPAIRED_RID : RT_EXT_RID], q->encodings[i].rid))
			return i;
	/* one stream without an SSRC of its own is known by its MID alone */
	if (q->n_encodings == 1 && !q->encodings[0].ssrc && ext_equals(exts, q->ext.id[RT_EXT_MID], q->mid))
		return 0;
	return -1;
}

static bool
is_red(const struct rt_producer_params *q, const struct rt_rtp *rtp)
{
	return q->red_pt != RT_NO_PT && rtp->pt == q->red_pt;
}

/* NULL: it is of no producer that was announced, or there are too many streams. */
static const struct rt_ssrc *
learn_stream(struct rt_demux *d, const struct rt_rtp *rtp)
{
	struct rt_rtp_exts exts;

	rt_rtp_exts_read(&exts, rtp);
	for (struct rt_producer *p = *d->parts.producers; p != NULL; p = rt_producer_next(p))
	{
		const struct rt_producer_params *q = rt_producer_parameters(p);
		bool rtx = q->rtx_pt != RT_NO_PT && rtp->pt == q->rtx_pt, media = rtp->pt == q->pt || is_red(q, rtp);
		int layer;

		if (!rtx && !media)
			continue;
		layer = match_layer(q, &exts, rtx);
		if (layer >= 0)
			return rt_ssrc_table_add(d->parts.ssrcs, &(struct rt_ssrc){rtp->ssrc, p, (uint8_t) layer, rtx});
	}
	return NULL;
}

/* Of all that the client sends, what it has not announced yet too: what is not told counts as lost there.  On one
 * transport an extension has one id. */
static void
note_twcc(struct rt_demux *d, const struct rt_rtp *rtp)
{
	const uint8_t *v;
	uint8_t id = 0;
	size_t len;

	for (struct rt_producer *p = *d->parts.producers; p != NULL && !id; p = rt_producer_next(p))
		id = rt_producer_parameters(p)->ext.id[RT_EXT_TRANSPORT_CC];
	if (!id)
		return;
	v = rt_rtp_ext(rtp, id, &len);
	if (v == NULL || len != 2)
		return;
	if (d->twcc == NULL)
		d->twcc = rt_alloc(sizeof(*d->twcc));
	rt_twcc_received(d->twcc, rt_bytes_get16(v), rtp->ssrc, rt_hub_now_us(d->parts.hub));
}

/* RFC 4588 section 4: the original number (2 bytes), then the original payload. */
static bool
unwrap_rtx(struct rt_rtp *rtp, const struct rt_producer_params *q)
{
	if (rtp->payload_len < 2)
		return false; /* padding alone: a probe for bandwidth */
	rtp->seq = rt_bytes_get16(rtp->data + rtp->payload_off);
	rtp->pt = q->pt;
	rtp->payload_off += 2;
	rtp->payload_len -= 2;
	return true;
}

static bool
is_stale(const struct rt_demux *d)
{
	return d->early != NULL && rt_hub_now_us(d->parts.hub) - d->early_us > EARLY_US;
}

void
rt_demux_forget_stale(struct rt_demux *d)
{
	if (is_stale(d))
		free_early(take_early(d));
}

static void
keep_early(struct rt_demux *d, const struct rt_rtp *rtp, const uint8_t *data, size_t len)
{
	struct early *kept;

	rt_demux_forget_stale(d);
	if (rtp->payload_len == 0 || d->early_bytes + len > EARLY_BYTES || d->early_packets == EARLY_PACKETS)
		return;
	if (d->parts.egress != NULL)
		return; /* the peer only receives: no producer of its will ever be announced here */
	/* A browser gives the MID of a track that has ended to the next one. */
	if (rt_ssrc_table_had(d->parts.ssrcs, rtp->ssrc))
		return;
	if (d->early == NULL)
		d->early_us = rt_hub_now_us(d->parts.hub);
	kept = rt_alloc(sizeof(*kept) + len);
	kept->len = len;
	memcpy(kept->data, data, len);
	*d->early_end = kept;
	d->early_end = &kept->next;
	d->early_bytes += len;
	d->early_packets++;
}

/* False: it is of no producer that was announced. */
static bool
deliver(struct rt_demux *d, struct rt_rtp *rtp)
{
	const struct rt_producer_params *q;
	const struct rt_ssrc *stream = rt_ssrc_table_find(d->parts.ssrcs, rtp->ssrc);

	if (stream == NULL)
		stream = learn_stream(d, rtp);
	if (stream == NULL)
		return false;
	q = rt_producer_parameters(stream->producer);
	if (!stream->rtx && is_red(q, rtp))
		rt_producer_redundant(stream->producer, stream->layer, rtp);
	else if (rtp->pt == (stream->rtx ? q->rtx_pt : q->pt) && (!stream->rtx || unwrap_rtx(rtp, q)))
		rt_producer_packet(stream->producer, stream->layer, rtp, stream->rtx);
	return true;
}

void
rt_demux_announced(struct rt_demux *d)
{
	struct early *list;
	struct rt_rtp rtp;

	rt_demux_forget_stale(d);
	list = take_early(d);
	for (struct early *kept = list; kept != NULL; kept = kept->next)
		if (rt_rtp_parse(kept->data, kept->len, &rtp) == RT_OK && !deliver(d, &rtp))
			keep_early(d, &rtp, kept->data, kept->len);
	free_early(list);
}

void
rt_demux_rtp(struct rt_demux *d, uint8_t *data, size_t len)
{
	struct rt_rtp rtp;

	if (!rt_webrtc_transport_open_rtp(d->parts.transport, data, &len))
		return;
	if (rt_rtp_parse(data, len, &rtp) != RT_OK)
	{
		rt_hub_count(d->parts.hub, RT_HUB_BAD_RTP, 1);
		return;
	}
	note_twcc(d, &rtp);
	if (deliver(d, &rtp))
		return;
	rt_hub_count(d->parts.hub, RT_HUB_UNKNOWN_SSRC, 1);
	keep_early(d, &rtp, data, len);
}

/* ---- RTCP ---- */

static struct rt_consumer *
find_consumer(const struct rt_demux *d, uint32_t ssrc)
{
	for (struct rt_consumer *c = *d->parts.consumers; c != NULL; c = rt_consumer_next(c))
		if (rt_consumer_parameters(c)->ssrc == ssrc)
			return c;
	return NULL;
}

/* What came was sent at the time `then`, the middle 32 bits of our clock, and stayed for `delay` there: RFC 3550
 * section 6.4.1, RFC 3611 section 4.5.  Both in 1/65536 s.  Beyond 10 s it is nonsense. */
static void
note_rtt(struct rt_demux *d, uint32_t then, uint32_t delay)
{
	uint32_t rtt = (uint32_t) (rt_rtcp_ntp_now() >> 16) - then - delay;

	if (then && rtt < 10 * 65536)
		rt_webrtc_transport_note_rtt(d->parts.transport, rtt * 1000 / 65536);
}

static void
on_report(struct rt_demux *d, const struct rt_rtcp_report *r)
{
	struct rt_consumer *c = find_consumer(d, r->ssrc);

	if (c == NULL)
		return;
	rt_consumer_on_report(c, r);
	note_rtt(d, r->lsr, r->dlsr);
}

static void
on_sender_report(struct rt_demux *d, const struct rt_rtcp *p)
{
	const struct rt_ssrc *stream;
	struct rt_rtcp_sr sr;

	if (!rt_rtcp_read_sr(p, &sr))
		return;
	stream = rt_ssrc_table_find(d->parts.ssrcs, sr.ssrc);
	if (stream != NULL && !stream->rtx)
		rt_producer_sender_report(stream->producer, stream->layer, &sr);
}

static void
on_nack(struct rt_demux *d, struct rt_consumer *c, const struct rt_rtcp *p, int *resends)
{
	uint16_t pid, blp;

	rt_consumer_note_nack(c);
	for (int i = 0; rt_rtcp_read_nack(p, i, &pid, &blp); i++)
		for (int k = 0; k <= 16; k++)
			if ((k == 0 || blp >> (k - 1) & 1) && (*resends)++ < MAX_RESENDS)
			{
				rt_hub_count(d->parts.hub, RT_HUB_NACKS_RECEIVED, 1);
				rt_consumer_resend(c, (uint16_t) (pid + k));
			}
}

/* RFC 4585 section 6.2 */
static void
on_transport_feedback(struct rt_demux *d, const struct rt_rtcp *p, int *resends)
{
	uint32_t sender, media;
	struct rt_consumer *c;

	if (!rt_rtcp_read_feedback(p, &sender, &media))
		return;
	if (p->count == RT_RTPFB_TWCC && d->parts.egress != NULL)
		rt_egress_feedback(d->parts.egress, p);
	else if (p->count == RT_RTPFB_NACK && (c = find_consumer(d, media)) != NULL)
		on_nack(d, c, p, resends);
}

/* RFC 5104 section 4.3.1: its media SSRC is unused, the entries name the streams. */
static void
on_fir(struct rt_demux *d, const struct rt_rtcp *p)
{
	struct rt_consumer *c;
	uint32_t ssrc;
	uint8_t seq;

	for (int i = 0; rt_rtcp_read_fir(p, i, &ssrc, &seq); i++)
		if ((c = find_consumer(d, ssrc)) != NULL)
			rt_consumer_on_fir(c);
}

/* RFC 4585 section 6.3 */
static void
on_payload_feedback(struct rt_demux *d, const struct rt_rtcp *p)
{
	uint32_t sender, media;
	struct rt_consumer *c;
	uint64_t bps;

	if (!rt_rtcp_read_feedback(p, &sender, &media))
		return;
	if (p->count == RT_PSFB_PLI && (c = find_consumer(d, media)) != NULL)
		rt_consumer_on_pli(c);
	else if (p->count == RT_PSFB_FIR)
		on_fir(d, p);
	else if (d->parts.egress != NULL && rt_rtcp_read_remb(p, &bps))
		rt_egress_remb(d->parts.egress, bps);
}

/* A sender's answer to our reference time (RFC 3611 section 4.5). */
static void
on_extended_report(struct rt_demux *d, const struct rt_rtcp *p)
{
	uint32_t ssrc, lrr, dlrr;

	for (int i = 0; rt_rtcp_read_dlrr(p, i, &ssrc, &lrr, &dlrr); i++)
		if (ssrc == RT_RTCP_OUR_SSRC)
		{
			note_rtt(d, lrr, dlrr);
			return;
		}
}

void
rt_demux_rtcp(struct rt_demux *d, uint8_t *data, size_t len)
{
	struct rt_rtcp_report report;
	struct rt_rtcp p;
	size_t off = 0;
	int resends = 0;
	enum rt_result rc;

	if (!rt_webrtc_transport_open_rtcp(d->parts.transport, data, &len))
		return;
	while ((rc = rt_rtcp_next(data, len, &off, &p)) == RT_OK)
	{
		if (p.type == RT_RTCP_SR)
			on_sender_report(d, &p);
		else if (p.type == RT_RTCP_XR)
			on_extended_report(d, &p);
		for (int i = 0; rt_rtcp_read_report(&p, i, &report); i++)
			on_report(d, &report);
		if (p.type == RT_RTCP_RTPFB)
			on_transport_feedback(d, &p, &resends);
		else if (p.type == RT_RTCP_PSFB)
			on_payload_feedback(d, &p);
	}
	if (rc == RT_BAD_INPUT)
		rt_hub_count(d->parts.hub, RT_HUB_BAD_RTCP, 1);
}

void
rt_demux_send_feedback(struct rt_demux *d)
{
	uint8_t out[RTCP_ROOM];
	size_t n;

	while (d->twcc != NULL && (n = rt_twcc_feedback(d->twcc, out, sizeof(out) - RT_SRTP_OVERHEAD, RT_RTCP_OUR_SSRC)))
		rt_webrtc_transport_send_rtcp(d->parts.transport, out, n, sizeof(out));
}
