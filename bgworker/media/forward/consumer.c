/* consumer.c: one outgoing track; see consumer.h.
 *
 *   producer.c ──> rt_consumer_forward(): layers decide ──> numbers mapped ──> header written ──> egress
 *   demux.c (NACK) ──> rt_consumer_resend(): history ──> the producer's store ──> egress
 *
 * What must stay true, for as long as the receiver's decoder and SRTP context live, that is over pauses, key frames,
 * changes of layer and senders that begin anew:
 *
 * - Sequence numbers go on.  Each packet that goes out for the first time has the number behind the highest
 *   one so far, or fills a hole that the network made on the way to us (seq.h).  What is left out on purpose
 *   leaves no hole; a hole that is not ours is kept, so that the receiver knows of its loss.
 * - No number goes out twice under AES-GCM: the number and SSRC are the nonce, and a nonce used twice with
 *   other bytes gives the authentication key away (RFC 7714 section 8, RFC 5116 section 3.1).  rt_seq_map()
 *   maps each incoming number once, the producer lets no duplicate through, and what is sent again goes out by
 *   RTX, with a number of its own (RFC 4588).  Without RTX it is sent again under AES-CM alone, with the bytes
 *   that it had.
 * - The rollover counter (RFC 3711 section 3.3.1) is one for the SSRC and another for its RTX, each from the
 *   first packet on.  The first number is below 2^15: a receiver that loses packets around an early wrap would
 *   guess its counter wrong.
 * - Timestamps go forward at the producer's clock.  Where another stream begins, time goes on by what our clock says.
 * - VP8's picture numbers and TL0PICIDX go on in the same way (RFC 7741 section 4.2): pid_offset belongs to a number,
 *   not to a moment, so it travels as the tag of seq's changes.
 * - History has what went out last, under RT_HISTORY numbers: of each the incoming number, and what was rewritten but
 *   for what is the same all the stream long. It is as large as the rate makes it: nothing is overwritten as long as
 *   it can be asked for. The bytes are the producer's; a packet whose bytes are gone there cannot be had again.
 *
 * Which layer goes out is layers.c's business, how much may go out allot.c's. */
#include "consumer.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>

#include "bgworker/common/alloc.h"
#include "bgworker/media/congestion/resend.h"
#include "bgworker/media/rtp/red.h"
#include "bgworker/media/rtp/seq.h"
#include "bgworker/media/rtp/store.h"
#include "media_event.h"
#include "producer.h"

#define RT_HISTORY 512 /* packets that can be asked for again, at the most: half a second at 10 Mbit/s */
#define MIN_HISTORY 32
#define SR_INTERVAL_US 1000000
#define CAPTURE_TIME 8 /* bytes */
#define ADDED 200      /* bytes, at the most: header, extensions but for the descriptor, tag */
#define PADDING 255    /* bytes of a padding packet: RFC 3550 section 5.1 has room for no more */
#define KEPT 32        /* packets of sound that can be asked for again: 640 ms */
#define KEPT_BYTES 320
#define RED_US 10000000    /* sound goes out twice for so long after a loss */
#define COPIES_US 60000000 /* and so long without RED: what a copy replaces is not reported as lost */
#define LOSS_UNIT 4096
#define COPIES_FROM (LOSS_UNIT / 100)
#define RED_TWICE 13 /* of 256 lost: and three times beyond that */

/* What went out, to be able to send it again.  Timestamp and TL0PICIDX have one offset from sync_seq on, and what is
 * older is not sent again. */
struct sent
{
	uint16_t seq; /* out */
	uint16_t in_seq;
	uint16_t picture_id;
	uint16_t first_ms; /* when it went out; wraps each minute: see ms_ago() */
	uint16_t last_ms;  /* when it was sent again last */
	uint8_t layer : 2;
	uint8_t used : 1;
	uint8_t marker : 1;
	uint8_t tries : 4; /* how often it was sent again */
	bool waits;        /* with the pacer: it has not gone out yet */
};

/* A packet of sound as it went out.  Sent again it is the same, byte for byte, so AES-GCM's nonce tells nothing new.
 */
struct kept
{
	uint16_t seq;
	uint16_t len; /* 0: none */
	uint8_t tries;
	uint32_t first_ms, last_ms;
	uint8_t data[KEPT_BYTES];
};

struct rt_consumer
{
	char id[RT_OBJECT_ID];
	struct rt_hub *hub;
	struct rt_egress *egress;
	struct rt_producer *producer;
	struct rt_consumer **list, *next; /* of the transport */
	struct rt_consumer_params params;
	bool paused;
	uint8_t priority; /* 1 to 255: the client's */
	bool suspended;   /* by the allotment: there is no room for it */
	bool need_sync;   /* the next packet begins a stream: a key frame, for video */
	struct rt_layers layers;

	struct rt_seq seq;
	uint16_t next_seq; /* what a stream begins with */
	uint32_t ts_offset, last_ts;
	uint64_t last_sent_us;         /* 0: nothing has gone out */
	uint16_t pid_offset, last_pid; /* VP8: out = in + offset, of the newest packet; older ones: the tag in seq */
	uint8_t tl0_offset, last_tl0;
	bool has_last_pid;
	uint16_t dropped_pid; /* the picture that was left out last: it takes one number, however many packets it has */
	bool has_dropped_pid;

	struct rt_srtp_roc roc, rtx_roc;
	uint16_t rtx_seq;
	bool repeats;                /* video can be asked for again */
	uint16_t room;               /* of history: 0, or a power of two up to RT_HISTORY */
	struct sent *history;        /* room, by number; NULL: nothing has gone out */
	struct kept *kept;           /* sound: KEPT, by number, from the first time on that something is asked for */
	uint64_t red_until_us;       /* RED: something was lost lately, */
	uint64_t red_twice_until_us; /* and much of it */
	uint16_t begin_seq;          /* the first packet of the stream that goes out, as it came */
	uint16_t sent_seq;           /* the highest that has really gone out */
	uint16_t sync_seq;           /* the first of the stream that goes out: what was before it is of no use any more */

	uint64_t packets, bytes, retransmitted, nacks, plis, firs, sr_us;
	uint64_t window_bytes, window_from_us, bitrate_bps;
	uint32_t window_packets, packets_per_s;
	uint8_t fraction_lost;
	int usual_loss; /* in parts of LOSS_UNIT */
	uint32_t reported_seq;
	uint32_t jitter;
	int32_t lost;
	uint8_t score, told_score;
};

/* Below 2^15, so that a loss of the first packets around a wrap does not make the receiver guess its rollover
 * counter wrong. */
static uint16_t
random_seq(void)
{
	uint16_t r = 0;

	RAND_bytes((unsigned char *) &r, sizeof(r));
	return (uint16_t) (1000 + r % 31000);
}

struct rt_consumer *
rt_consumer_new(struct rt_egress *egress, struct rt_consumer **list, struct rt_producer *p, const char *id,
				struct rt_consumer_params *params)
{
	struct rt_consumer *c = rt_alloc(sizeof(*c));

	strncpy(c->id, id, RT_OBJECT_ID - 1);
	c->hub = rt_egress_hub(egress);
	c->egress = egress;
	c->producer = p;
	c->params = *params;
	c->paused = true;
	c->priority = 1;
	c->need_sync = true;
	c->next_seq = random_seq();
	c->rtx_seq = random_seq();
	c->score = c->told_score = 10;
	c->sent_seq = (uint16_t) (c->next_seq - 1);
	c->sync_seq = c->next_seq;
	c->repeats = params->kind == RT_KIND_VIDEO && (params->rtx_ssrc || params->feedback.nack);
	rt_layers_init(&c->layers, rt_producer_parameters(p), rt_producer_dd_state(p));
	c->list = list;
	c->next = *list;
	*list = c;
	rt_producer_attach(p, c);
	rt_hub_put(c->hub, RT_HUB_CONSUMERS, c->id, c);
	return c;
}

static void
free_consumer(void *arg)
{
	struct rt_consumer *c = arg;

	rt_params_consumer_fini(&c->params);
	free(c->history);
	free(c->kept);
	free(c);
}

void
rt_consumer_close(struct rt_consumer *c)
{
	struct rt_consumer **at = c->list;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	rt_egress_forget(c->egress, c);
	rt_producer_detach(c->producer, c);
	rt_hub_take(c->hub, RT_HUB_CONSUMERS, c->id);
	rt_loop_defer(rt_hub_loop(c->hub), free_consumer, c);
}

const char *
rt_consumer_id(const struct rt_consumer *c)
{
	return c->id;
}

struct rt_consumer *
rt_consumer_next(const struct rt_consumer *c)
{
	return c->next;
}

struct rt_producer *
rt_consumer_producer(const struct rt_consumer *c)
{
	return c->producer;
}

const struct rt_consumer_params *
rt_consumer_parameters(const struct rt_consumer *c)
{
	return &c->params;
}

json_t *
rt_consumer_take_rtp_parameters(struct rt_consumer *c)
{
	json_t *rtp_parameters = c->params.rtp_parameters;

	c->params.rtp_parameters = NULL;
	return rtp_parameters;
}

bool
rt_consumer_is_paused(const struct rt_consumer *c)
{
	return c->paused;
}

bool
rt_consumer_flows(const struct rt_consumer *c)
{
	return !c->paused && rt_producer_flows(c->producer) && rt_egress_ready(c->egress);
}

/* What waits with the pacer is not sent.  Its numbers are free again: none of them has gone out. */
static void
take_back(struct rt_consumer *c)
{
	if (rt_egress_take_back(c->egress, c) == 0 || c->history == NULL)
		return;
	for (uint16_t s = c->seq.highest_out; rt_seq_newer(s, c->sent_seq); s--)
		c->history[s % c->room].used = false;
	c->seq.highest_out = c->sent_seq;
}

void
rt_consumer_pause(struct rt_consumer *c, bool paused)
{
	bool was = c->paused;

	c->paused = paused;
	if (!was && paused)
		take_back(c);
	if (was && !paused)
		rt_consumer_begin(c);
}

static void
expect_keyframe(struct rt_consumer *c)
{
	take_back(c);
	c->need_sync = true;
	rt_layers_restart(&c->layers);
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
	if (!c->suspended)
		rt_producer_want_keyframe(c->producer, rt_layers_encoding(&c->layers),
								  c->need_sync || c->layers.current.spatial != c->layers.target.spatial);
}

int
rt_consumer_outgoing(const struct rt_consumer *c)
{
	return c->layers.current.spatial;
}

int
rt_consumer_wanted(const struct rt_consumer *c)
{
	return rt_layers_encoding(&c->layers);
}

const struct rt_layers *
rt_consumer_layers(const struct rt_consumer *c)
{
	return &c->layers;
}

void
rt_consumer_prefer(struct rt_consumer *c, int spatial, int temporal)
{
	rt_layers_prefer(&c->layers, spatial, temporal);
	rt_egress_want_allotment(c->egress);
}

void
rt_consumer_set_priority(struct rt_consumer *c, int priority)
{
	c->priority = (uint8_t) priority;
	rt_egress_want_allotment(c->egress);
}

void
rt_consumer_want_allotment(struct rt_consumer *c)
{
	rt_egress_want_allotment(c->egress);
}

int
rt_consumer_priority(const struct rt_consumer *c)
{
	return c->priority;
}

void
rt_consumer_aim(struct rt_consumer *c, struct rt_level target, const char *reason)
{
	bool was = c->suspended, down = target.spatial < c->layers.current.spatial;

	c->suspended = c->layers.video && target.spatial < 0;
	if (c->suspended && !was)
	{
		expect_keyframe(c);
		c->score = 0;
		rt_layers_aim(&c->layers, (struct rt_level){-1, -1}, reason);
		rt_hub_count(c->hub, RT_HUB_LAYER_CHANGES, 1);
		rt_layers_forget_told(&c->layers);
		rt_media_event_layers(c->hub, c->id, -1, -1);
		rt_consumer_tell_score(c);
	}
	else if (rt_layers_aim(&c->layers, target, reason) && !c->suspended)
	{
		if (was)
			rt_consumer_begin(c);
		else
		{
			if (down && rt_egress_congested(c->egress))
				expect_keyframe(c); /* what goes out is too much, and more of it only delays what comes */
			rt_consumer_want_keyframe(c);
		}
	}
}

bool
rt_consumer_is_suspended(const struct rt_consumer *c)
{
	return c->suspended;
}

/* ---- sending ---- */

/* The dependency descriptor, which tells what this consumer gets (section A.4.4 of its specification): in each
 * packet, once it was less than all, so that no loss can hide it. */
static struct rt_rtp_ext_out
make_descriptor(const struct rt_consumer *c, const struct rt_packet *p, uint8_t *scratch)
{
	struct rt_rtp_ext_out ext = {c->params.ext.id[RT_EXT_DEPENDENCY_DESCRIPTOR], p->descriptor_len, p->descriptor};
	size_t len = 0;

	if (ext.id && p->has_dd && c->layers.restricted)
		len = rt_dd_write(scratch, p->descriptor, p->descriptor_len, &p->dd, rt_layers_targets(&c->layers));
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
	int n = 0;

	ext[n++] = (struct rt_rtp_ext_out){id[RT_EXT_MID], (uint8_t) strlen(c->params.mid), (uint8_t *) c->params.mid};
	if (id[RT_EXT_ABS_SEND_TIME])
	{
		/* 6.18 fixed point of seconds */
		rt_bytes_put24(scratch, (uint32_t) ((rt_hub_now_us(c->hub) << 18) / 1000000) & 0xffffff);
		ext[n++] = (struct rt_rtp_ext_out){id[RT_EXT_ABS_SEND_TIME], 3, scratch};
	}
	if (id[RT_EXT_TRANSPORT_CC])
	{
		rt_bytes_put16(scratch + 3, rt_egress_number(c->egress));
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

static uint32_t
now_ms(const struct rt_consumer *c)
{
	return (uint32_t) (rt_hub_now_us(c->hub) / 1000);
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
	uint8_t scratch[5 + RT_DD_MAX_LEN], *out;
	struct rt_rtp_ext_out ext[8];
	size_t header, len;

	if (prefix_len + body_len + p->descriptor_len + ADDED > RT_PORT_BUFFER)
		return;
	out = rt_egress_buffer(c->egress);
	header = rt_rtp_write_header(out, h->pt, h->marker, h->seq, h->ts, h->ssrc, ext, make_exts(c, p, ext, scratch));
	len = rt_egress_send(c->egress, c->params.ext.id[RT_EXT_TRANSPORT_CC], roc, out, header, prefix, prefix_len, body,
						 body_len);
	if (roc == &c->roc && rt_seq_newer(h->seq, c->sent_seq))
		c->sent_seq = h->seq;
	if (c->kept != NULL && len > 0 && len <= KEPT_BYTES)
	{
		struct kept *k = &c->kept[h->seq % KEPT];

		k->seq = h->seq;
		k->len = (uint16_t) len;
		k->tries = 0;
		k->first_ms = now_ms(c);
		memcpy(k->data, out, len);
	}
}

/* The payload's beginning as this consumer sees it: VP8's picture numbers go on without a hole. */
static size_t
rewrite_payload(const struct rt_consumer *c, const struct rt_packet *p, uint16_t picture_id, uint8_t prefix[8],
				size_t *skip)
{
	*skip = 0;
	if (c->params.codec != RT_CODEC_VP8 || !p->info.has_picture_id)
		return 0;
	*skip = p->info.descriptor_len;
	return rt_codec_write_vp8(prefix, p->payload, &p->info, picture_id, (uint8_t) (p->info.tl0 + c->tl0_offset));
}

static uint32_t
ms_ago(const struct rt_consumer *c, uint16_t ms)
{
	return (uint16_t) (now_ms(c) - ms);
}

/* One that would be missed if another took its place. */
static bool
is_of_use(const struct rt_consumer *c, const struct sent *s)
{
	return s->used && (s->waits || ms_ago(c, s->first_ms) <= RT_RESEND_VIDEO_MS);
}

static void
double_history(struct rt_consumer *c)
{
	struct sent *old = c->history;
	uint16_t room = c->room;

	c->room = room ? (uint16_t) (2 * room) : MIN_HISTORY;
	c->history = rt_alloc(c->room * sizeof(*c->history));
	for (uint16_t i = 0; i < room; i++)
		if (old[i].used)
			c->history[old[i].seq % c->room] = old[i];
	free(old);
}

static void
remember(struct rt_consumer *c, const struct rt_packet *p, const struct out_header *h, uint16_t pid, bool waits)
{
	if (!c->repeats)
		return;
	while (c->room < RT_HISTORY && (c->room == 0 || is_of_use(c, &c->history[h->seq % c->room])))
		double_history(c);
	c->history[h->seq % c->room] = (struct sent){.seq = h->seq,
												 .in_seq = p->seq,
												 .picture_id = pid,
												 .first_ms = (uint16_t) now_ms(c),
												 .layer = p->layer & 3,
												 .marker = h->marker,
												 .used = true,
												 .waits = waits};
}

/* NULL: it was not sent, or is forgotten. */
static struct sent *
find_sent(const struct rt_consumer *c, uint16_t seq)
{
	struct sent *s = c->history != NULL ? &c->history[seq % c->room] : NULL;

	return s != NULL && s->used && s->seq == seq ? s : NULL;
}

static bool
may_repeat(const struct rt_consumer *c, const struct sent *s)
{
	uint32_t now = now_ms(c);

	return rt_resend_is_due(now - ms_ago(c, s->first_ms), now - ms_ago(c, s->last_ms), s->tries,
							rt_egress_rtt_ms(c->egress), RT_RESEND_VIDEO_MS, now);
}

/* This packet begins the stream that goes out: the first one, or another layer's.  Time goes on by what the clock
 * says since the last packet, numbers by one. */
static void
begin_stream(struct rt_consumer *c, const struct rt_packet *p)
{
	uint32_t ts = p->ts;

	take_back(c); /* of the stream before */
	if (c->layers.video && c->last_sent_us)
		rt_egress_note_burst(c->egress);

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
	c->sync_seq = c->next_seq;
	c->begin_seq = p->seq;
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
	c->window_packets++;
	if (now_us - c->window_from_us < 1000000)
		return;
	c->bitrate_bps = c->window_from_us ? c->window_bytes * 8000000 / (now_us - c->window_from_us) : 0;
	c->packets_per_s =
		c->window_from_us ? (uint32_t) ((uint64_t) c->window_packets * 1000000 / (now_us - c->window_from_us)) : 0;
	c->window_from_us = now_us;
	c->window_bytes = c->window_packets = 0;
}

uint64_t
rt_consumer_bitrate(const struct rt_consumer *c)
{
	return rt_hub_now_us(c->hub) - c->last_sent_us < 1000000 ? c->bitrate_bps : 0;
}

uint64_t
rt_consumer_packet_rate(const struct rt_consumer *c)
{
	return rt_hub_now_us(c->hub) - c->last_sent_us < 1000000 ? c->packets_per_s : 0;
}

static void
tell_layers(struct rt_consumer *c)
{
	rt_hub_count(c->hub, RT_HUB_LAYER_CHANGES, 1);
	rt_media_event_layers(c->hub, c->id, c->layers.current.spatial, c->layers.current.temporal);
}

/* True: it is with the pacer.  Only what the producer keeps can wait there; the rest goes out at once. */
static bool
must_wait(struct rt_consumer *c, const struct rt_packet *p, uint16_t seq)
{
	if (rt_egress_may_pass(c->egress, RT_PACER_MEDIA) || rt_producer_stored(c->producer, p->layer, p->seq) == NULL)
		return false;
	return rt_egress_queue(c->egress, &rt_consumer_source, RT_PACER_MEDIA, c, seq, p->payload_len + ADDED / 4);
}

/* While something is lost, each packet of sound brings the one or two before it.  Not where the path is full: there
 * it would only be lost the more, and pictures with it. */
static bool
sends_red(const struct rt_consumer *c, const struct rt_packet *p)
{
	return c->params.red_pt != RT_NO_PT && p->arrival_us < c->red_until_us &&
		   !(rt_egress_has_video(c->egress) && rt_egress_congested(c->egress));
}

/* The payload as RED; 0: there is nothing to add. */
static size_t
write_red(const struct rt_consumer *c, const struct rt_packet *p, uint8_t *out, size_t cap)
{
	struct rt_red_block blocks[3];
	int want = p->arrival_us < c->red_twice_until_us ? 2 : 1, n = 0, from = 3;

	blocks[--from] = (struct rt_red_block){c->params.pt, 0, p->payload_len, p->payload};
	while (n < want && (uint16_t) (p->seq - c->begin_seq) > n)
	{
		uint32_t ts = 0;
		const uint8_t *data = NULL;
		size_t len = rt_producer_recent(c->producer, (uint16_t) (p->seq - ++n), &ts, &data);

		if (len == 0 || p->ts - ts > RT_RED_MAX_OFFSET)
			break; /* receivers count the blocks back from the last one: none may be left out between */
		blocks[--from] = (struct rt_red_block){c->params.pt, (uint16_t) (p->ts - ts), (uint16_t) len, data};
	}
	return from < 2 ? rt_red_write(out, cap, blocks + from, 3 - from) : 0;
}

/* A receiver that takes no RED, and cannot ask in time for what was lost. */
static bool
wants_copies(const struct rt_consumer *c)
{
	return c->params.kind == RT_KIND_AUDIO && c->params.red_pt == RT_NO_PT &&
		   !(c->params.feedback.nack && rt_resend_helps_audio(rt_egress_rtt_ms(c->egress)));
}

/* The one or two packets of sound before this one go out once more, as they were: SRTP takes each once. */
static void
send_copies(struct rt_consumer *c, const struct rt_packet *p, uint16_t seq)
{
	int n = p->arrival_us < c->red_twice_until_us ? 2 : 1;

	if (rt_egress_has_video(c->egress) && rt_egress_congested(c->egress))
		return;
	if (c->kept == NULL)
		c->kept = rt_alloc(KEPT * sizeof(*c->kept));
	for (int i = 1; i <= n; i++)
	{
		const struct kept *k = &c->kept[(uint16_t) (seq - i) % KEPT];

		if (k->len == 0 || k->seq != (uint16_t) (seq - i) || !rt_egress_repeat(c->egress, k->data, k->len))
			continue;
		c->retransmitted++;
		rt_hub_count(c->hub, RT_HUB_RETRANSMITTED, 1);
	}
}

enum rt_forwarded
rt_consumer_forward(struct rt_consumer *c, const struct rt_packet *p)
{
	uint8_t prefix[8], red[RT_STORE_PAYLOAD];
	uint16_t seq, pid, pid_offset;
	uint32_t ts;
	size_t prefix_len, skip, red_len = 0;
	struct out_header h;
	enum rt_layers_verdict verdict;
	bool waits;

	if (c->paused || c->suspended || !rt_egress_ready(c->egress))
		return RT_FORWARDED_NOT;
	verdict = rt_layers_judge(&c->layers, p, c->need_sync, c->seq.highest_in);
	if (rt_layers_take_change(&c->layers))
		tell_layers(c);
	if (verdict == RT_LAYERS_IGNORE)
		return RT_FORWARDED_NOT;
	if (verdict == RT_LAYERS_BEGIN)
		begin_stream(c, p);
	if (verdict == RT_LAYERS_DROP || p->payload_len == 0)
	{
		drop(c, p);
		return RT_FORWARDED_NOT;
	}
	if (!rt_seq_map(&c->seq, p->seq, &seq, &pid_offset))
		return RT_FORWARDED_NOT;
	ts = p->ts + c->ts_offset;
	pid = (p->info.picture_id + pid_offset) & 0x7fff;
	prefix_len = rewrite_payload(c, p, pid, prefix, &skip);
	h = (struct out_header){c->params.pt, rt_layers_marker(&c->layers, p), seq, ts, c->params.ssrc};
	waits = c->repeats && must_wait(c, p, seq);
	remember(c, p, &h, pid, waits);
	if (sends_red(c, p) && (red_len = write_red(c, p, red, sizeof(red))) > 0)
	{
		h.pt = c->params.red_pt;
		send_packet(c, p, &h, &c->roc, NULL, 0, red, red_len);
	}
	else if (!waits)
		send_packet(c, p, &h, &c->roc, prefix, prefix_len, p->payload + skip, p->payload_len - skip);
	if (seq == c->seq.highest_out)
	{
		if (p->arrival_us < c->red_until_us && wants_copies(c))
			send_copies(c, p, seq);
		c->last_ts = ts;
		c->last_sent_us = p->arrival_us;
		c->last_pid = pid;
		c->last_tl0 = (uint8_t) (p->info.tl0 + c->tl0_offset);
		c->has_last_pid = p->info.has_picture_id;
	}
	count(c, p->payload_len, p->arrival_us);
	return verdict == RT_LAYERS_BEGIN ? RT_FORWARDED_BEGAN : RT_FORWARDED;
}

/* ---- again ---- */

static void
note_repeated(struct rt_consumer *c, struct sent *s)
{
	s->last_ms = (uint16_t) now_ms(c);
	s->tries++;
}

/* By RTX where that was agreed; else as it was, which AES-GCM forbids (see above). */
static void
send_again(struct rt_consumer *c, struct sent *s)
{
	const struct rt_packet *p = rt_producer_stored(c->producer, s->layer, s->in_seq);
	struct out_header h = {c->params.pt, s->marker, s->seq, 0, c->params.ssrc};
	uint8_t prefix[10];
	size_t skip, n = 0;

	if (p == NULL)
		return;
	h.ts = p->ts + c->ts_offset;
	note_repeated(c, s);
	if (c->params.rtx_ssrc)
	{
		rt_bytes_put16(prefix, s->seq); /* RFC 4588 section 4 */
		n = 2;
		h.pt = c->params.rtx_pt;
		h.ssrc = c->params.rtx_ssrc;
		h.seq = c->rtx_seq++;
	}
	n += rewrite_payload(c, p, s->picture_id, prefix + n, &skip);
	send_packet(c, p, &h, c->params.rtx_ssrc ? &c->rtx_roc : &c->roc, prefix, n, p->payload + skip,
				p->payload_len - skip);
	c->retransmitted++;
	rt_hub_count(c->hub, RT_HUB_RETRANSMITTED, 1);
}

/* Sound is kept from the first time on that something of it is asked for. */
static void
resend_sound(struct rt_consumer *c, uint16_t seq)
{
	struct kept *k;

	if (c->kept == NULL)
	{
		c->kept = rt_alloc(KEPT * sizeof(*c->kept));
		return;
	}
	k = &c->kept[seq % KEPT];
	if (k->len == 0 || k->seq != seq ||
		!rt_resend_is_due(k->first_ms, k->last_ms, k->tries, rt_egress_rtt_ms(c->egress), RT_RESEND_AUDIO_MS,
						  now_ms(c)) ||
		!rt_egress_repeat(c->egress, k->data, k->len))
		return;
	k->last_ms = now_ms(c);
	k->tries++;
	c->retransmitted++;
	rt_hub_count(c->hub, RT_HUB_RETRANSMITTED, 1);
}

void
rt_consumer_resend(struct rt_consumer *c, uint16_t seq)
{
	struct sent *s = find_sent(c, seq);
	const struct rt_packet *p;

	if (!rt_consumer_flows(c) || c->suspended)
		return;
	if (c->params.kind == RT_KIND_AUDIO)
	{
		resend_sound(c, seq);
		return;
	}
	if (s == NULL || s->waits || rt_seq_newer(c->sync_seq, seq))
		return;
	if (!c->params.rtx_ssrc && rt_egress_is_aead(c->egress))
		return; /* RFC 7714 section 8: a number twice, with another header, would give the key away */
	if (!may_repeat(c, s))
		return;
	p = rt_producer_stored(c->producer, s->layer, s->in_seq);
	if (p == NULL || !rt_egress_may_resend(c->egress, p->payload_len + ADDED / 4))
		return;
	if (rt_egress_may_pass(c->egress, RT_PACER_RESEND))
		send_again(c, s);
	else if (rt_egress_queue(c->egress, &rt_consumer_source, RT_PACER_RESEND, c, seq, p->payload_len + ADDED / 4))
		note_repeated(c, s); /* and once more when it leaves */
}

/* ---- for the pacer ---- */

static void
send_first(struct rt_consumer *c, struct sent *s)
{
	const struct rt_packet *p = rt_producer_stored(c->producer, s->layer, s->in_seq);
	struct out_header h = {c->params.pt, s->marker, s->seq, 0, c->params.ssrc};
	uint8_t prefix[8];
	size_t skip, n;

	s->waits = false;
	s->first_ms = (uint16_t) now_ms(c);
	if (p == NULL)
		return; /* overwritten meanwhile: lost, as on the path */
	h.ts = p->ts + c->ts_offset;
	n = rewrite_payload(c, p, s->picture_id, prefix, &skip);
	send_packet(c, p, &h, &c->roc, prefix, n, p->payload + skip, p->payload_len - skip);
}

static void
send_paced(void *stream, uint16_t seq, enum rt_pacer_class class)
{
	struct rt_consumer *c = stream;
	struct sent *s = find_sent(c, seq);

	if (s == NULL || !rt_consumer_flows(c))
		return;
	if (class == RT_PACER_MEDIA)
		send_first(c, s);
	else
		send_again(c, s);
}

static void
on_overdue(void *stream)
{
	struct rt_consumer *c = stream;

	expect_keyframe(c);
	rt_consumer_want_keyframe(c);
}

/* An RTX packet without payload, only padding (RFC 3550 section 5.1): its last byte says how much. */
static size_t
send_padding(void *stream)
{
	static const uint8_t padding[PADDING] = {[PADDING - 1] = PADDING};
	struct rt_consumer *c = stream;
	struct rt_packet none = {.layer = 0};
	uint8_t scratch[5 + RT_DD_MAX_LEN], *out;
	struct rt_rtp_ext_out ext[8];
	size_t header;

	if (!rt_egress_ready(c->egress))
		return 0;
	out = rt_egress_buffer(c->egress);
	header = rt_rtp_write_header(out, c->params.rtx_pt, false, c->rtx_seq++, c->last_ts, c->params.rtx_ssrc, ext,
								 make_exts(c, &none, ext, scratch));
	out[0] |= 0x20; /* P */
	return rt_egress_send(c->egress, true, &c->rtx_roc, out, header, NULL, 0, padding, PADDING);
}

const struct rt_egress_source rt_consumer_source = {send_paced, on_overdue, send_padding};

bool
rt_consumer_can_pad(const struct rt_consumer *c)
{
	return c->params.rtx_ssrc && c->params.ext.id[RT_EXT_TRANSPORT_CC] && !c->paused && rt_egress_ready(c->egress);
}

/* The producer's clock at this moment.  Its last sender report ties its media time to its wall clock; audio and video
 * of one peer then stay together, for both reports refer to that clock.  Without one yet: by the last packet. */
static uint32_t
ts_now(const struct rt_consumer *c)
{
	uint64_t now = rt_hub_now_us(c->hub), at_us;
	uint32_t rtp_ts;

	if (rt_producer_clock(c->producer, rt_layers_outgoing(&c->layers), &rtp_ts, &at_us))
		return rtp_ts + c->ts_offset + (uint32_t) ((now - at_us) * c->params.clock_rate / 1000000);
	return c->last_ts + (uint32_t) ((now - c->last_sent_us) * c->params.clock_rate / 1000000);
}

size_t
rt_consumer_sender_report(struct rt_consumer *c, uint8_t *out, size_t cap)
{
	uint64_t now = rt_hub_now_us(c->hub);
	struct rt_rtcp_sr sr = {.ssrc = c->params.ssrc};
	size_t n, m;

	if (!c->last_sent_us || now - c->sr_us < SR_INTERVAL_US || !rt_consumer_flows(c) || c->need_sync)
		return 0;
	c->sr_us = now;
	sr.ntp = rt_rtcp_ntp_now();
	sr.rtp_ts = ts_now(c);
	sr.packets = (uint32_t) c->packets;
	sr.octets = (uint32_t) c->bytes;
	n = rt_rtcp_write_sr(out, cap, &sr);
	m = n ? rt_rtcp_write_sdes(out + n, cap - n, c->params.ssrc, c->params.cname) : 0;
	return m ? n + m : 0;
}

/* ---- what the receiver says ---- */

void
rt_consumer_note_nack(struct rt_consumer *c)
{
	c->nacks++;
	c->red_until_us = rt_hub_now_us(c->hub) + RED_US;
}

void
rt_consumer_on_pli(struct rt_consumer *c)
{
	c->plis++;
	rt_consumer_want_keyframe(c);
}

void
rt_consumer_on_fir(struct rt_consumer *c)
{
	c->firs++;
	rt_consumer_want_keyframe(c);
}

/* What the sender has lost, and we have of its redundancy a moment later, is no loss in the end: so the sum counts,
 * over some reports. */
static void
note_loss(struct rt_consumer *c, const struct rt_rtcp_report *r)
{
	uint64_t now_us = rt_hub_now_us(c->hub);
	int32_t expected = (int32_t) (r->highest_seq - c->reported_seq), lost = r->lost - c->lost;

	if (c->reported_seq && expected > 0 && expected < 65536 && abs(lost) <= expected)
		c->usual_loss += (LOSS_UNIT * lost / expected - c->usual_loss) / 8;
	c->reported_seq = r->highest_seq;
	if (c->params.red_pt != RT_NO_PT && r->fraction_lost)
		c->red_until_us = now_us + RED_US;
	else if (c->params.red_pt == RT_NO_PT && (c->usual_loss >= COPIES_FROM || (now_us < c->red_until_us && lost > 0)))
		c->red_until_us = now_us + COPIES_US;
}

void
rt_consumer_on_report(struct rt_consumer *c, const struct rt_rtcp_report *r)
{
	c->fraction_lost = r->fraction_lost;
	note_loss(c, r);
	if (r->fraction_lost >= RED_TWICE)
		c->red_twice_until_us = c->red_until_us;
	c->lost = r->lost;
	c->jitter = r->jitter;
	if (!c->suspended)
		c->score = (uint8_t) (10 - r->fraction_lost * 10 / 256);
}

void
rt_consumer_tell_score(struct rt_consumer *c)
{
	if (c->score == c->told_score)
		return;
	c->told_score = c->score;
	rt_media_event_score(c->hub, c->id, c->score, rt_producer_score(c->producer));
}

void
rt_consumer_read_stats(const struct rt_consumer *c, struct rt_consumer_stats *out)
{
	*out = (struct rt_consumer_stats){.ssrc = c->params.ssrc,
									  .packets = c->packets,
									  .bytes = c->bytes,
									  .bitrate_bps = rt_consumer_bitrate(c),
									  .retransmitted = c->retransmitted,
									  .nacks = c->nacks,
									  .plis = c->plis,
									  .firs = c->firs,
									  .lost = c->lost,
									  .fraction_lost = c->fraction_lost,
									  .jitter_ms = 1000.0 * c->jitter / c->params.clock_rate,
									  .score = c->score,
									  .rtt_ms = rt_egress_rtt_ms(c->egress)};
}
