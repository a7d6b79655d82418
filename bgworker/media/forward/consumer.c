#include "consumer.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>

#include "bgworker/common/log.h"
#include "layers.h"
#include "producer.h"
#include "bgworker/media/rtp/rtcp.h"
#include "transport.h"

#define SR_INTERVAL_US 1000000
#define CAPTURE_TIME 8 /* bytes */
#define RESENDS 10     /* of one packet: a receiver that asks more often only floods itself */

/* Below 2^15, so that a loss of the first packets around a wrap does not make the receiver guess its rollover
 * counter wrong. */
static uint16_t
random_seq(void)
{
	uint16_t r = 0;

	RAND_bytes((unsigned char *) &r, sizeof(r));
	return (uint16_t) (1000 + r % 31000);
}

enum rt_result
rt_consumer_new(struct rt_consumer **cp, struct rt_transport *t, struct rt_producer *p, const char *id,
				struct rt_consumer_params *params)
{
	struct rt_consumer *c;

	if (t->nconsumers >= RT_MAX_CONSUMERS)
		return RT_LIMIT;
	c = rt_alloc(sizeof(*c));
	strncpy(c->id, id, RT_OBJECT_ID - 1);
	c->transport = t;
	c->producer = p;
	c->params = *params;
	c->paused = true;
	c->need_sync = true;
	c->next_seq = random_seq();
	c->rtx_seq = random_seq();
	c->score = c->told_score = 10;
	if (params->rtx_ssrc || params->feedback.nack)
		c->history = rt_alloc(RT_HISTORY * sizeof(*c->history));
	rt_layers_init(c);
	c->next = t->consumers;
	t->consumers = c;
	t->nconsumers++;
	c->next_of_producer = p->consumers;
	p->consumers = c;
	rt_map_put_str(t->engine->consumers, c->id, c);
	*cp = c;
	return RT_OK;
}

static void
free_consumer(void *arg)
{
	struct rt_consumer *c = arg;

	rt_consumer_params_fini(&c->params);
	free(c->history);
	free(c);
}

void
rt_consumer_close(struct rt_consumer *c)
{
	struct rt_consumer **at = &c->transport->consumers;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->transport->nconsumers--;
	at = &c->producer->consumers;
	while (*at != c)
		at = &(*at)->next_of_producer;
	*at = c->next_of_producer;
	rt_map_take_str(c->transport->engine->consumers, c->id);
	rt_loop_defer(c->transport->engine->loop, free_consumer, c);
}

bool
rt_consumer_flows(const struct rt_consumer *c)
{
	return !c->paused && rt_producer_flows(c->producer) && rt_transport_ready(c->transport);
}

void
rt_consumer_pause(struct rt_consumer *c, bool paused)
{
	bool was = c->paused;

	c->paused = paused;
	if (was && !paused)
		rt_consumer_begin(c);
}

static void
expect_keyframe(struct rt_consumer *c)
{
	c->need_sync = true;
	rt_layers_restart(c);
}

void
rt_consumer_resync(struct rt_consumer *c)
{
	expect_keyframe(c);
	if (rt_consumer_flows(c))
		rt_consumer_want_keyframe(c);
}

/* What came before the first packet that it gets is given once: pausing and resuming is not to multiply packets. */
void
rt_consumer_begin(struct rt_consumer *c)
{
	expect_keyframe(c);
	if (rt_consumer_flows(c) && (c->last_sent_us || !rt_producer_replay(c->producer, c)))
		rt_consumer_want_keyframe(c);
}

void
rt_consumer_want_keyframe(struct rt_consumer *c)
{
	rt_producer_want_keyframe(c->producer, rt_layers_encoding(c));
}

/* ---- sending ---- */

/* The dependency descriptor, which tells what this consumer gets (section A.4.4 of its specification): in each
 * packet, once it was less than all, so that no loss can hide it. */
static struct rt_rtp_ext_out
make_descriptor(const struct rt_consumer *c, const struct rt_packet *p, uint8_t *scratch)
{
	struct rt_rtp_ext_out ext = {c->params.ext.id[RT_EXT_DEPENDENCY_DESCRIPTOR], p->descriptor_len, p->descriptor};
	size_t len = 0;

	if (ext.id && p->has_dd && c->restricted)
		len = rt_dd_write(scratch, p->descriptor, p->descriptor_len, &p->dd, rt_layers_targets(c));
	if (len)
	{
		ext.len = (uint8_t) len;
		ext.value = scratch;
	}
	return ext;
}

/* The header extensions that this consumer agreed to, with values from the packet and of this moment. */
static int
make_exts(struct rt_consumer *c, const struct rt_packet *p, struct rt_rtp_ext_out *ext, uint8_t *scratch)
{
	const uint8_t *id = c->params.ext.id;
	struct rt_transport *t = c->transport;
	int n = 0;

	ext[n++] = (struct rt_rtp_ext_out){id[RT_EXT_MID], (uint8_t) strlen(c->params.mid), (uint8_t *) c->params.mid};
	if (id[RT_EXT_ABS_SEND_TIME])
	{
		/* 6.18 fixed point of seconds */
		rt_put24(scratch, (uint32_t) ((t->engine->now_us << 18) / 1000000) & 0xffffff);
		ext[n++] = (struct rt_rtp_ext_out){id[RT_EXT_ABS_SEND_TIME], 3, scratch};
	}
	if (id[RT_EXT_TRANSPORT_CC])
	{
		rt_put16(scratch + 3, t->twcc_seq);
		ext[n++] = (struct rt_rtp_ext_out){id[RT_EXT_TRANSPORT_CC], 2, scratch + 3};
	}
	if (p->audio_level.len)
		ext[n++] = (struct rt_rtp_ext_out){id[RT_EXT_AUDIO_LEVEL], p->audio_level.len, p->audio_level.value};
	if (p->orientation.len)
		ext[n++] = (struct rt_rtp_ext_out){id[RT_EXT_VIDEO_ORIENTATION], p->orientation.len, p->orientation.value};
	if (p->playout_delay.len)
		ext[n++] = (struct rt_rtp_ext_out){id[RT_EXT_PLAYOUT_DELAY], p->playout_delay.len, p->playout_delay.value};
	/* the time alone: the clock's offset that may follow is that from the sender to us */
	if (p->capture_time.len >= CAPTURE_TIME)
		ext[n++] = (struct rt_rtp_ext_out){id[RT_EXT_ABS_CAPTURE_TIME], CAPTURE_TIME, p->capture_time.value};
	if (p->descriptor_len)
		ext[n++] = make_descriptor(c, p, scratch + 5);
	return n;
}

struct out_header
{
	uint8_t pt;
	bool marker;
	uint16_t seq;
	uint32_t ts, ssrc;
};

/* Writes, protects and queues one packet; its payload is prefix and then body. */
static void
send_packet(struct rt_consumer *c, const struct rt_packet *p, const struct out_header *h, struct rt_srtp_roc *roc,
			const uint8_t *prefix, size_t prefix_len, const uint8_t *body, size_t body_len)
{
	struct rt_transport *t = c->transport;
	uint8_t scratch[5 + RT_DD_MAX_LEN], *out;
	struct rt_rtp_ext_out ext[8];
	size_t header, len;

	if (prefix_len + body_len + p->descriptor_len + 200 > RT_PORT_BUFFER) /* what we add is far less than 200 */
		return;
	out = rt_port_buffer(t->engine->port);
	header = rt_rtp_write_header(out, h->pt, h->marker, h->seq, h->ts, h->ssrc, ext, make_exts(c, p, ext, scratch));
	len = rt_srtp_protect(t->srtp, roc, out, header, prefix, prefix_len, body, body_len);
	if (len == 0)
		return;
	rt_port_queue(t->engine->port, &t->outlet, len);
	if (c->params.ext.id[RT_EXT_TRANSPORT_CC])
		rt_bwe_sent(t->bwe, t->twcc_seq++, len, t->engine->now_us);
	t->packets_out++;
	t->bytes_out += len;
}

/* The payload's beginning as this consumer sees it: VP8's picture numbers go on without a hole. */
static size_t
rewrite_payload(const struct rt_consumer *c, const struct rt_packet *p, uint16_t picture_id, uint8_t tl0,
				uint8_t prefix[8], size_t *skip)
{
	*skip = 0;
	if (c->params.codec != RT_CODEC_VP8 || !p->info.has_picture_id)
		return 0;
	*skip = p->info.descriptor_len;
	return rt_codec_write_vp8(prefix, p->payload, &p->info, picture_id, tl0);
}

static void
remember(struct rt_consumer *c, const struct rt_packet *p, const struct out_header *h, uint16_t pid, uint8_t tl0)
{
	if (c->history != NULL)
		c->history[h->seq % RT_HISTORY] = (struct rt_sent){.seq = h->seq,
														   .in_seq = p->seq,
														   .ts = h->ts,
														   .picture_id = pid,
														   .tl0 = tl0,
														   .layer = p->layer & 3,
														   .marker = h->marker,
														   .used = true};
}

/* This packet begins the stream that goes out: the first one, or another layer's.  Time goes on by what the clock
 * says since the last packet, numbers by one. */
static void
begin_stream(struct rt_consumer *c, const struct rt_packet *p)
{
	uint32_t ts = p->ts;

	if (c->last_sent_us)
	{
		uint64_t ticks = (p->arrival_us - c->last_sent_us) * c->params.clock_rate / 1000000;

		ts = c->last_ts + (uint32_t) (ticks ? ticks : 1);
		c->next_seq = (uint16_t) (c->seq.highest_out + 1);
	}
	c->ts_offset = ts - p->ts;
	c->pid_offset = (uint16_t) (c->has_last_pid ? c->last_pid + 1 - p->info.picture_id : 0);
	rt_seq_sync(&c->seq, p->seq, c->next_seq, c->pid_offset);
	c->tl0_offset = (uint8_t) (c->has_last_pid ? c->last_tl0 + 1 - p->info.tl0 : 0);
	c->has_dropped_pid = false;
	c->need_sync = false;
}

/* Its number was left free, as if it were lost: an empty packet takes it, so that the receiver neither counts a loss
 * nor asks for it. */
static void
fill_hole(struct rt_consumer *c, const struct rt_packet *p)
{
	struct out_header h = {c->params.pt, false, 0, p->ts + c->ts_offset, c->params.ssrc};
	uint16_t tag;

	if (!rt_seq_map(&c->seq, p->seq, &h.seq, &tag))
		return;
	send_packet(c, p, &h, &c->roc, NULL, 0, p->payload, 0);
	c->packets++;
}

/* A packet of a layer that is not sent.  Its frame takes no picture number.  For a late one the numbers behind it
 * have been given out already. */
static void
drop(struct rt_consumer *c, const struct rt_packet *p)
{
	if (!rt_seq_newer(p->seq, c->seq.highest_in))
	{
		fill_hole(c, p);
		return;
	}
	if (p->info.has_picture_id && !(c->has_dropped_pid && c->dropped_pid == p->info.picture_id))
	{
		c->has_dropped_pid = true;
		c->dropped_pid = p->info.picture_id;
		c->pid_offset--;
	}
	rt_seq_drop(&c->seq, p->seq, c->pid_offset);
}

static void
count(struct rt_consumer *c, size_t bytes, uint64_t now_us)
{
	c->packets++;
	c->bytes += bytes;
	c->window_bytes += bytes;
	if (now_us - c->window_from_us < 1000000)
		return;
	c->bitrate_bps = c->window_from_us ? c->window_bytes * 8000000 / (now_us - c->window_from_us) : 0;
	c->window_from_us = now_us;
	c->window_bytes = 0;
}

uint64_t
rt_consumer_bitrate(const struct rt_consumer *c)
{
	return c->transport->engine->now_us - c->last_sent_us < 1000000 ? c->bitrate_bps : 0;
}

bool
rt_consumer_forward(struct rt_consumer *c, const struct rt_packet *p)
{
	uint8_t prefix[8], tl0;
	uint16_t seq, pid, pid_offset;
	uint32_t ts;
	size_t prefix_len, skip;
	struct out_header h;
	enum rt_layers_verdict verdict;

	if (c->paused || !rt_transport_ready(c->transport))
		return false;
	verdict = rt_layers_judge(c, p);
	if (verdict == RT_LAYERS_IGNORE)
		return false;
	if (verdict == RT_LAYERS_BEGIN)
		begin_stream(c, p);
	if (verdict == RT_LAYERS_DROP || p->payload_len == 0)
	{
		drop(c, p);
		return false;
	}
	if (!rt_seq_map(&c->seq, p->seq, &seq, &pid_offset))
		return false;
	ts = p->ts + c->ts_offset;
	pid = (p->info.picture_id + pid_offset) & 0x7fff;
	tl0 = (uint8_t) (p->info.tl0 + c->tl0_offset);
	prefix_len = rewrite_payload(c, p, pid, tl0, prefix, &skip);
	h = (struct out_header){c->params.pt, rt_layers_marker(c, p), seq, ts, c->params.ssrc};
	send_packet(c, p, &h, &c->roc, prefix, prefix_len, p->payload + skip, p->payload_len - skip);
	remember(c, p, &h, pid, tl0);
	if (seq == c->seq.highest_out)
	{
		c->last_ts = ts;
		c->last_sent_us = p->arrival_us;
		c->last_pid = pid;
		c->last_tl0 = tl0;
		c->has_last_pid = p->info.has_picture_id;
	}
	count(c, p->payload_len, p->arrival_us);
	return verdict == RT_LAYERS_BEGIN;
}

void
rt_consumer_resend(struct rt_consumer *c, uint16_t seq)
{
	struct rt_sent *s = c->history != NULL ? &c->history[seq % RT_HISTORY] : NULL;
	uint32_t now_ms = (uint32_t) (c->transport->engine->now_us / 1000) | 1, rtt = c->transport->rtt_ms;
	const struct rt_packet *p;
	uint8_t prefix[10];
	size_t skip, n = 0;
	struct out_header h;

	if (s == NULL || !s->used || s->seq != seq || s->tries == RESENDS || !rt_consumer_flows(c))
		return;
	if (!c->params.rtx_ssrc && rt_srtp_is_aead(c->transport->srtp))
		return; /* RFC 7714 section 8: a number twice, with another header, would give the key away */
	if (s->again_ms && now_ms - s->again_ms < (rtt > 20 ? rtt : 20))
		return; /* the last one is still on its way */
	p = rt_store_find(c->producer->layers[s->layer].store, s->in_seq);
	if (p == NULL)
		return;
	s->again_ms = now_ms;
	s->tries++;
	h = (struct out_header){c->params.pt, s->marker, seq, s->ts, c->params.ssrc};
	if (c->params.rtx_ssrc)
	{
		rt_put16(prefix, seq); /* RFC 4588 section 4 */
		n = 2;
		h.pt = c->params.rtx_pt;
		h.ssrc = c->params.rtx_ssrc;
		h.seq = c->rtx_seq++;
	}
	n += rewrite_payload(c, p, s->picture_id, s->tl0, prefix + n, &skip);
	send_packet(c, p, &h, c->params.rtx_ssrc ? &c->rtx_roc : &c->roc, prefix, n, p->payload + skip,
				p->payload_len - skip);
	c->retransmitted++;
	c->transport->engine->retransmitted++;
}

/* The producer's clock at this moment.  Its last sender report ties its media time to its wall clock; audio and video
 * of one peer then stay together, for both reports refer to that clock.  Without one yet: by the last packet. */
static uint32_t
ts_now(const struct rt_consumer *c, const struct rt_recv *r)
{
	uint64_t now = c->transport->engine->now_us;

	if (r->sr_at_us)
		return r->sr_rtp_ts + c->ts_offset + (uint32_t) ((now - r->sr_at_us) * c->params.clock_rate / 1000000);
	return c->last_ts + (uint32_t) ((now - c->last_sent_us) * c->params.clock_rate / 1000000);
}

size_t
rt_consumer_sender_report(struct rt_consumer *c, uint8_t *out, size_t cap)
{
	uint64_t now = c->transport->engine->now_us;
	struct rt_rtcp_sr sr = {.ssrc = c->params.ssrc};
	size_t n, m;

	if (!c->last_sent_us || now - c->sr_us < SR_INTERVAL_US || !rt_consumer_flows(c) || c->need_sync)
		return 0;
	c->sr_us = now;
	sr.ntp = rt_rtcp_ntp_now();
	sr.rtp_ts = ts_now(c, &c->producer->layers[rt_layers_outgoing(c)].recv);
	sr.packets = (uint32_t) c->packets;
	sr.octets = (uint32_t) c->bytes;
	n = rt_rtcp_write_sr(out, cap, &sr);
	m = n ? rt_rtcp_write_sdes(out + n, cap - n, c->params.ssrc, c->params.cname) : 0;
	return m ? n + m : 0;
}
