/* viewer.c: a client that receives as libwebrtc does: requests for what is lost at once and again after a round trip,
 * for a key frame where nothing can be decoded, transport-wide feedback every 50 to 250 ms, a receiver report a
 * second, and a jitter buffer for audio that grows and shrinks with the delay. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/media/forward/consumer.h"
#include "bgworker/media/rtp/red.h"
#include "bgworker/media/rtp/seq.h"
#include "sim.h"

#define TICK_US 20000
#define MAX_MISSING 1000
#define NACK_TRIES 10
#define FRAMES 512 /* of each stream that are looked at */
#define SEEN 16384
#define PLI_FIRST_US 200000 /* without a key frame */
#define PLI_STUCK_US 3000000
#define TWCC_RING 4096
#define PT_VIDEO 101
#define PT_RTX 102
#define PT_AUDIO 103
#define PT_RED 104
#define TWCC_EXT 3

struct missing
{
	uint16_t seq;
	int tries;
	uint64_t asked_us;
};

struct frame
{
	uint32_t id;
	struct sim_trailer t;
	uint64_t got[8]; /* which packets, as bits */
	int ngot;
	bool marker, decoded;
	uint32_t ts;
	uint16_t first_seq;
};

struct shown
{
	uint64_t at_us, capture_us;
	uint8_t layer;
};

struct heard
{
	uint64_t capture_us, at_us; /* 0: did not come */
};

struct sim_receiver
{
	uint32_t ssrc;
	bool started, need_key, asks, decoded_any;
	uint16_t highest;
	uint8_t seen[SEEN];
	struct missing missing[MAX_MISSING];
	int nmissing;
	struct frame frames[SIM_STREAMS][FRAMES];
	uint32_t decoded_ts;
	uint64_t decoded_us, packet_us, pli_us;
	int plis;
	/* for its report */
	uint32_t received, expected_base, expected_prior, received_prior;
	uint64_t extended;
	uint64_t sr_us;
	uint32_t lsr;
	/* what was shown or heard */
	struct shown *shown;
	int nshown;
	struct heard *heard;
	uint32_t nheard;
	uint32_t resent[SIM_MAX_SECONDS]; /* by seconds */
};

struct sim_twcc
{
	bool started;
	uint16_t base, next; /* told up to base */
	uint64_t at[TWCC_RING];
	uint8_t count;
	uint64_t due_us, bytes, window_us;
	double rate_bps;
	struct sim_viewer *viewer;
};

/* ---- transport-wide feedback ---- */

static void
note_twcc(struct sim_twcc *t, uint16_t seq, size_t len)
{
	t->bytes += len;
	if (!t->started)
	{
		t->started = true;
		t->base = t->next = seq;
	}
	for (; rt_seq_newer((uint16_t) (seq + 1), t->next); t->next++)
		t->at[t->next % TWCC_RING] = 0;
	t->at[seq % TWCC_RING] = sim_now_us;
	if (rt_seq_newer(t->base, seq)) /* told as lost before: once more, from here on */
		t->base = seq;
}

static void
send_twcc(struct sim_twcc *t)
{
	uint64_t at[512];
	uint8_t out[RT_PORT_BUFFER];
	int n, written;
	size_t len;

	while (t->base != t->next)
	{
		for (n = 0; n < 512 && (uint16_t) (t->base + n) != t->next; n++)
			at[n] = t->at[(uint16_t) (t->base + n) % TWCC_RING];
		len = rt_rtcp_write_twcc(out, 1100, 7, 8, t->count, t->base, at, n, &written);
		if (!len)
			return;
		t->count++;
		t->base = (uint16_t) (t->base + written);
		sim_peer_send(&t->viewer->peer, out, len);
	}
}

/* 5 % of what comes may be feedback, of 68 bytes each. */
static void
on_twcc(void *arg, uint8_t *data, size_t len)
{
	struct sim_twcc *t = arg;
	double ms;

	(void) data, (void) len;
	if (sim_now_us - t->window_us >= 500000)
	{
		t->rate_bps = (double) t->bytes * 8e6 / (double) (sim_now_us - t->window_us);
		t->window_us = sim_now_us;
		t->bytes = 0;
	}
	if (t->started)
		send_twcc(t);
	ms = t->rate_bps > 0 ? fmin(fmax(68 * 8 * 1000 / (0.05 * t->rate_bps), 50), 250) : 100;
	sim_at(sim_now_us + (uint64_t) (ms * 1000), on_twcc, t, NULL, 0);
}

/* ---- what is lost ---- */

static void
forget_missing(struct sim_receiver *r, uint16_t seq)
{
	for (int i = 0; i < r->nmissing; i++)
		if (r->missing[i].seq == seq)
			r->missing[i--] = r->missing[--r->nmissing];
}

static void
forget_missing_before(struct sim_receiver *r, uint16_t seq)
{
	for (int i = 0; i < r->nmissing; i++)
		if (rt_seq_newer(seq, r->missing[i].seq))
			r->missing[i--] = r->missing[--r->nmissing];
}

static int
by_seq(const void *a, const void *b)
{
	return (int16_t) (((const struct missing *) a)->seq - ((const struct missing *) b)->seq);
}

static void
ask_missing(struct sim_viewer *v, struct sim_receiver *r)
{
	uint16_t seqs[MAX_MISSING];
	uint8_t out[RT_PORT_BUFFER];
	int n = 0, from = 0;

	if (!r->asks)
		return;
	qsort(r->missing, (size_t) r->nmissing, sizeof(*r->missing), by_seq);
	for (int i = 0; i < r->nmissing; i++)
	{
		struct missing *m = &r->missing[i];

		if (m->tries && sim_now_us - m->asked_us < v->rtt_us)
			continue;
		if (m->tries == NACK_TRIES)
		{
			m->tries++; /* given up */
			continue;
		}
		if (m->tries > NACK_TRIES)
			continue;
		m->tries++;
		m->asked_us = sim_now_us;
		seqs[n++] = m->seq;
	}
	for (; from < n; from += 200)
		sim_peer_send(&v->peer, out,
					  rt_rtcp_write_nack(out, 1200, 7, r->ssrc, seqs + from, n - from < 200 ? n - from : 200));
}

static void
want_key(struct sim_viewer *v, struct sim_receiver *r)
{
	uint8_t out[RT_PORT_BUFFER];

	r->pli_us = sim_now_us;
	r->plis++;
	sim_peer_send(&v->peer, out, rt_rtcp_write_pli(out, 100, 7, r->ssrc));
}

/* False: it came before. */
static bool
note_seq(struct sim_viewer *v, struct sim_receiver *r, uint16_t seq, bool rtx)
{
	bool gap = false;

	if (!r->started)
	{
		r->started = true;
		r->highest = (uint16_t) (seq - 1);
		r->extended = (uint64_t) seq - 1 + 65536;
		r->expected_base = (uint32_t) r->extended;
	}
	r->received += !rtx;
	if (!rt_seq_newer(seq, r->highest))
	{
		forget_missing(r, seq);
		if (r->seen[seq % SEEN])
			return false;
		r->seen[seq % SEEN] = 1;
		return true;
	}
	for (uint16_t s = (uint16_t) (r->highest + 1); s != seq; s++)
	{
		r->seen[s % SEEN] = 0;
		if (r->nmissing == MAX_MISSING)
		{
			r->nmissing = 0;
			r->need_key = true;
		}
		r->missing[r->nmissing++] = (struct missing){.seq = s};
		gap = true;
	}
	r->extended += (uint16_t) (seq - r->highest);
	r->highest = seq;
	r->seen[seq % SEEN] = 1;
	if (gap)
		ask_missing(v, r);
	return true;
}

/* ---- pictures ---- */

static struct frame *
find_frame(struct sim_receiver *r, uint32_t id)
{
	return &r->frames[id >> 24][id % FRAMES];
}

static bool
is_complete(const struct frame *f)
{
	return f->id && f->ngot == f->t.count;
}

static bool
can_decode(struct sim_receiver *r, const struct frame *f)
{
	if (!is_complete(f) || f->decoded || (r->decoded_any && (int32_t) (f->ts - r->decoded_ts) < 0))
		return false;
	for (int i = 0; i < f->t.nrefs; i++)
	{
		const struct frame *ref = find_frame(r, f->t.refs[i]);

		if (ref->id != f->t.refs[i] || !ref->decoded)
			return false;
	}
	return true;
}

static void
decode(struct sim_receiver *r, struct frame *f)
{
	f->decoded = r->decoded_any = true;
	r->decoded_ts = f->ts;
	r->decoded_us = sim_now_us;
	r->need_key = false;
	forget_missing_before(r, f->first_seq);
	if (!f->marker)
		return;
	r->shown = realloc(r->shown, (size_t) (r->nshown + 1) * sizeof(*r->shown));
	r->shown[r->nshown++] =
		(struct shown){sim_now_us, f->t.capture_us, f->t.spatial > f->t.stream ? f->t.spatial : f->t.stream};
}

/* And what had to wait for it. */
static void
decode_all(struct sim_receiver *r, struct frame *f)
{
	bool again = true;

	if (!can_decode(r, f))
		return;
	decode(r, f);
	while (again)
	{
		again = false;
		for (uint32_t i = 1; i < FRAMES / 4; i++)
		{
			struct frame *next = find_frame(r, f->id + i);

			if (next->id == f->id + i && can_decode(r, next))
			{
				decode(r, next);
				again = true;
			}
		}
	}
}

static void
take_video(struct sim_receiver *r, const struct rt_rtp *rtp, uint16_t seq, const struct sim_trailer *t)
{
	struct frame *f = find_frame(r, t->frame);

	if (f->id != t->frame)
		*f = (struct frame){.id = t->frame, .t = *t, .ts = rtp->ts, .first_seq = (uint16_t) (seq - t->index)};
	if (t->count > 512 || f->got[t->index / 64] >> t->index % 64 & 1)
		return;
	f->got[t->index / 64] |= (uint64_t) 1 << t->index % 64;
	f->ngot++;
	f->marker |= rtp->marker;
	decode_all(r, f);
}

/* ---- packets ---- */

static struct sim_receiver *
find_receiver(const struct sim_viewer *v, uint32_t ssrc)
{
	for (int i = 0; i < v->ntracks; i++)
	{
		if (v->videos[i] != NULL && v->videos[i]->ssrc == ssrc)
			return v->videos[i];
		if (v->audios[i] != NULL && v->audios[i]->ssrc == ssrc)
			return v->audios[i];
	}
	return NULL;
}

static void
take_audio(struct sim_receiver *r, const struct sim_trailer *t)
{
	if (t->frame >= SIM_MAX_SECONDS * 50)
		return;
	while (r->nheard <= t->frame)
		r->heard[r->nheard++] = (struct heard){0};
	if (!r->heard[t->frame].at_us)
		r->heard[t->frame] = (struct heard){t->capture_us, sim_now_us};
}

/* As NetEQ does: each block counts by its time. */
static void
take_red(struct sim_receiver *r, const struct rt_rtp *rtp)
{
	struct rt_red_block blocks[RT_RED_BLOCKS];
	int n = rt_red_read(blocks, rtp->data + rtp->payload_off, rtp->payload_len);
	struct sim_trailer t;
	uint32_t last = 0;

	if (n == 0)
		abort();
	for (int i = n - 1; i >= 0; i--)
	{
		if (blocks[i].pt != PT_AUDIO || blocks[i].len < sizeof(t))
			abort();
		memcpy(&t, blocks[i].data + blocks[i].len - sizeof(t), sizeof(t));
		if (i == n - 1)
			last = t.frame;
		/* what it says of its time is the time that its sender gave it */
		if (t.magic != SIM_MAGIC || blocks[i].ts_offset != (last - t.frame) * 960)
			abort();
		take_audio(r, &t);
	}
}

/* Of one packet SRTP lets the first copy through: RFC 3711 section 3.3.2. */
static bool
is_replay(const struct sim_receiver *r, uint16_t seq)
{
	return r->started && !rt_seq_newer(seq, r->highest) && (uint16_t) (r->highest - seq) < SEEN &&
		   r->seen[seq % SEEN];
}

static void
take_rtp(struct sim_viewer *v, uint8_t *data, size_t len)
{
	struct sim_receiver *r;
	struct sim_trailer t;
	struct rt_rtp rtp;
	const uint8_t *ext;
	size_t n;
	uint16_t seq;
	bool rtx;

	if (rt_rtp_parse(data, len, &rtp) != RT_OK)
		abort();
	rtx = rtp.pt == PT_RTX;
	r = find_receiver(v, rtp.ssrc - rtx);
	if (r != NULL && !rtx && is_replay(r, rtp.seq))
		return;
	if ((ext = rt_rtp_ext(&rtp, TWCC_EXT, &n)) != NULL)
		note_twcc(v->twcc, rt_bytes_get16(ext), len);
	if (r == NULL)
		return;
	r->packet_us = sim_now_us;
	seq = rtp.seq;
	if (rtx)
	{
		if (rtp.payload_len < 2)
			return; /* padding */
		seq = rt_bytes_get16(data + rtp.payload_off);
		r->resent[(sim_now_us - 1000000000u) / SIM_SECOND]++;
	}
	if (rtp.pt == PT_RED)
	{
		note_seq(v, r, seq, false);
		take_red(r, &rtp);
		return;
	}
	if (!note_seq(v, r, seq, rtx) || rtp.payload_len < sizeof(t))
		return;
	memcpy(&t, data + rtp.payload_off + rtp.payload_len - sizeof(t), sizeof(t));
	if (t.magic != SIM_MAGIC)
		return;
	if (rtp.pt == PT_AUDIO)
		take_audio(r, &t);
	else
		take_video(r, &rtp, seq, &t);
}

static void
take(struct sim_peer *p, uint8_t *data, size_t len)
{
	struct sim_viewer *v = p->owner;
	struct sim_receiver *r;
	struct rt_rtcp packet;
	struct rt_rtcp_sr sr;
	size_t off = 0;

	if (rt_rtp_classify(data, len) == RT_PACKET_RTP)
	{
		take_rtp(v, data, len);
		return;
	}
	while (rt_rtcp_next(data, len, &off, &packet) == RT_OK)
		if (rt_rtcp_read_sr(&packet, &sr) && (r = find_receiver(v, sr.ssrc)) != NULL)
		{
			r->lsr = (uint32_t) (sr.ntp >> 16);
			r->sr_us = sim_now_us;
		}
}

/* ---- by time ---- */

static void
tick_video(struct sim_viewer *v, struct sim_receiver *r)
{
	uint64_t since = sim_now_us - (r->decoded_us > r->pli_us ? r->decoded_us : r->pli_us);

	ask_missing(v, r);
	if (since >= (r->need_key ? PLI_FIRST_US : PLI_STUCK_US) &&
		(!r->decoded_any || sim_now_us - r->packet_us < 5 * SIM_SECOND))
		want_key(v, r);
}

/* What cannot be played any more is not asked for. */
static void
tick_audio(struct sim_viewer *v, struct sim_receiver *r)
{
	ask_missing(v, r);
	for (int i = 0; i < r->nmissing; i++)
		if (r->missing[i].tries > 3)
			r->missing[i--] = r->missing[--r->nmissing];
}

static void
on_tick(void *arg, uint8_t *data, size_t len)
{
	struct sim_viewer *v = arg;

	(void) data, (void) len;
	for (int i = 0; i < v->ntracks; i++)
	{
		if (v->videos[i] != NULL)
			tick_video(v, v->videos[i]);
		if (v->audios[i] != NULL)
			tick_audio(v, v->audios[i]);
	}
	sim_at(sim_now_us + TICK_US, on_tick, v, NULL, 0);
}

static void
report(struct sim_receiver *r, struct rt_rtcp_report *out)
{
	uint32_t expected = (uint32_t) r->extended - r->expected_base;
	int32_t interval = (int32_t) (expected - r->expected_prior), lost;

	lost = interval - (int32_t) (r->received - r->received_prior);
	*out = (struct rt_rtcp_report){.ssrc = r->ssrc, .highest_seq = (uint32_t) r->extended, .lsr = r->lsr};
	out->fraction_lost = (uint8_t) (interval > 0 && lost > 0 ? lost * 255 / interval : 0);
	out->lost = (int32_t) (expected - r->received);
	out->dlsr = r->lsr ? (uint32_t) ((sim_now_us - r->sr_us) * 65536 / 1000000) : 0;
	r->expected_prior = expected;
	r->received_prior = r->received;
}

static void
on_report(void *arg, uint8_t *data, size_t len)
{
	struct sim_viewer *v = arg;
	struct rt_rtcp_report reports[2 * SIM_TRACKS];
	uint8_t out[600];
	int n = 0;

	(void) data, (void) len;
	for (int i = 0; i < v->ntracks; i++)
	{
		if (v->videos[i] != NULL && v->videos[i]->started)
			report(v->videos[i], &reports[n++]);
		if (v->audios[i] != NULL && v->audios[i]->started)
			report(v->audios[i], &reports[n++]);
	}
	if (n)
		sim_peer_send(&v->peer, out, rt_rtcp_write_rr(out, 500, 7, reports, n));
	sim_at(sim_now_us + SIM_SECOND, on_report, v, NULL, 0);
}

/* ---- life ---- */

void
sim_viewer_begin(struct sim_viewer *v)
{
	v->peer.owner = v;
	v->peer.on_packet = take;
	v->twcc = calloc(1, sizeof(*v->twcc));
	v->twcc->viewer = v;
	v->twcc->window_us = sim_now_us;
	if (!v->rtt_us)
		v->rtt_us = v->peer.up.delay_us + v->peer.down.delay_us + 20000;
	sim_peer_join(&v->peer);
	sim_at(sim_now_us + 100000, on_twcc, v->twcc, NULL, 0);
	sim_at(sim_now_us + TICK_US, on_tick, v, NULL, 0);
	sim_at(sim_now_us + 700000, on_report, v, NULL, 0);
}

static struct sim_receiver *
consume(struct sim_viewer *v, struct rt_producer *producer, enum rt_kind kind, enum rt_codec codec, uint32_t ssrc,
		struct rt_consumer **cp)
{
	struct rt_consumer_params params = {
		.kind = kind, .codec = codec, .clock_rate = kind == RT_KIND_AUDIO ? 48000 : 90000};
	struct sim_receiver *r = calloc(1, sizeof(*r));
	char id[64];

	params.pt = kind == RT_KIND_AUDIO ? PT_AUDIO : PT_VIDEO;
	params.rtx_pt = kind == RT_KIND_AUDIO || v->no_rtx ? RT_NO_PT : PT_RTX;
	params.red_pt = kind == RT_KIND_AUDIO && v->red ? PT_RED : RT_NO_PT;
	params.ssrc = r->ssrc = ssrc;
	params.rtx_ssrc = kind == RT_KIND_AUDIO || v->no_rtx ? 0 : ssrc + 1;
	params.feedback =
		(struct rt_feedback){.nack = kind == RT_KIND_VIDEO || v->nack_audio, .pli = kind == RT_KIND_VIDEO};
	r->asks = params.feedback.nack;
	r->need_key = kind == RT_KIND_VIDEO;
	r->decoded_us = sim_now_us;
	params.ext.id[RT_EXT_MID] = 1;
	params.ext.id[RT_EXT_TRANSPORT_CC] = TWCC_EXT;
	params.ext.id[RT_EXT_ABS_SEND_TIME] = 4;
	params.ext.id[RT_EXT_DEPENDENCY_DESCRIPTOR] = codec == RT_CODEC_AV1 ? 7 : 0;
	snprintf(params.mid, sizeof(params.mid), "%c%d", kind == RT_KIND_AUDIO ? 'a' : 'v', v->ntracks);
	snprintf(id, sizeof(id), "%s-%s", params.mid, v->peer.id);
	if (rt_endpoint_consume(cp, rt_engine_endpoint(sim_engine, v->peer.id), producer, id, &params) != RT_OK)
		abort();
	r->heard = calloc(SIM_MAX_SECONDS * 50, sizeof(*r->heard));
	return r;
}

void
sim_viewer_consume(struct sim_viewer *v, struct sim_sender *s)
{
	int i = v->ntracks;
	struct rt_consumer *audio = NULL;

	rt_engine_touch(sim_engine);
	if (s->has_video)
		v->videos[i] =
			consume(v, s->producer, RT_KIND_VIDEO, s->video.codec, 50000 + 10 * (uint32_t) i, &v->consumers[i]);
	if (s->has_audio)
		v->audios[i] = consume(v, s->audio_producer, RT_KIND_AUDIO, RT_CODEC_OPUS, 60000 + 10 * (uint32_t) i, &audio);
	v->ntracks++;
	if (s->has_audio)
		rt_consumer_pause(audio, false);
	if (s->has_video)
		rt_consumer_pause(v->consumers[i], false);
	if (i == 0)
		sim_viewer_look(v, 0);
}

void
sim_viewer_look(struct sim_viewer *v, int track)
{
	v->video = v->videos[track];
	v->audio = v->audios[track];
	v->consumer = v->consumers[track];
}

static void
free_receiver(struct sim_receiver *r)
{
	if (r == NULL)
		return;
	free(r->shown);
	free(r->heard);
	free(r);
}

void
sim_viewer_end(struct sim_viewer *v)
{
	for (int i = 0; i < v->ntracks; i++)
	{
		free_receiver(v->videos[i]);
		free_receiver(v->audios[i]);
	}
	free(v->twcc);
}

/* ---- figures ---- */

double
sim_frozen_s(const struct sim_viewer *v, uint64_t from_us, uint64_t to_us)
{
	const struct sim_receiver *r = v->video;
	double mean = 33000, frozen = 0;
	uint64_t last = from_us;

	for (int i = 0; i <= r->nshown; i++)
	{
		uint64_t at = i < r->nshown ? r->shown[i].at_us : to_us;
		double gap;

		if (at > to_us)
			at = to_us;
		if (i > 0)
			last = r->shown[i - 1].at_us;
		gap = (double) (at - last);
		if (at >= from_us && last <= to_us && gap > fmax(3 * mean, mean + 150000))
			frozen += (double) (at - (last > from_us ? last : from_us));
		else if (i > 0)
			mean += (gap - mean) / 30;
		if (at == to_us)
			break;
	}
	return frozen / 1e6;
}

double
sim_fps(const struct sim_viewer *v, uint64_t from_us, uint64_t to_us)
{
	int n = 0;

	for (int i = 0; i < v->video->nshown; i++)
		n += v->video->shown[i].at_us >= from_us && v->video->shown[i].at_us < to_us;
	return n * 1e6 / (double) (to_us - from_us);
}

double
sim_age_s(const struct sim_viewer *v, uint64_t from_us, uint64_t to_us)
{
	uint64_t oldest = 0;

	for (int i = 0; i < v->video->nshown; i++)
	{
		const struct shown *s = &v->video->shown[i];

		if (s->at_us >= from_us && s->at_us < to_us && s->at_us - s->capture_us > oldest)
			oldest = s->at_us - s->capture_us;
	}
	return (double) oldest / 1e6;
}

double
sim_first_picture_s(const struct sim_viewer *v, uint64_t from_us)
{
	return sim_layer_s(v, 0, from_us);
}

double
sim_layer_s(const struct sim_viewer *v, int layer, uint64_t from_us)
{
	for (int i = 0; i < v->video->nshown; i++)
		if (v->video->shown[i].at_us >= from_us && v->video->shown[i].layer >= layer)
			return (double) (v->video->shown[i].at_us - from_us) / 1e6;
	return 1e9;
}

double
sim_layer_share(const struct sim_viewer *v, int layer, uint64_t from_us, uint64_t to_us)
{
	int n = 0, all = 0;

	for (int i = 0; i < v->video->nshown; i++)
		if (v->video->shown[i].at_us >= from_us && v->video->shown[i].at_us < to_us)
		{
			all++;
			n += v->video->shown[i].layer >= layer;
		}
	return all ? (double) n / all : 0;
}

/* The jitter buffer, after NetEQ: a packet is played `delay` after it was recorded.  Of each half second the largest
 * delay counts; what is aimed at is the 95th percentile of these over half a minute, and one packet more.  The delay
 * follows by 4 ms a packet upwards (the sound is stretched) and 1 ms downwards.  Where nothing is there to play, it
 * is concealed until the next packet comes, and the delay has grown by that. */
#define INTERVAL 25 /* packets */
#define INTERVALS 60

struct buffer
{
	double delay_ms, max_ms, least_ms, maxima_ms[INTERVALS];
	int n, nmaxima;
};

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a, y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
follow(struct buffer *b, double late_ms)
{
	double sorted[INTERVALS], target = 0;
	int n = b->nmaxima < INTERVALS ? b->nmaxima : INTERVALS;

	if (b->n == 0 || late_ms < b->least_ms)
		b->least_ms = late_ms;
	if (b->n % INTERVAL == 0 && b->n)
	{
		b->maxima_ms[b->nmaxima++ % INTERVALS] = b->max_ms;
		b->max_ms = 0;
	}
	b->n++;
	b->max_ms = fmax(b->max_ms, late_ms);
	if (n)
	{
		memcpy(sorted, b->maxima_ms, (size_t) n * sizeof(*sorted));
		qsort(sorted, (size_t) n, sizeof(*sorted), compare);
		target = sorted[n * 95 / 100];
	}
	target = fmax(target, b->least_ms + 40) + 20;
	b->delay_ms += fmax(fmin(target - b->delay_ms, 4), -1);
}

static bool
has_later(const struct sim_receiver *r, uint32_t i, uint64_t by_us)
{
	for (uint32_t k = i + 1; k < i + 10 && k < r->nheard; k++)
		if (r->heard[k].at_us && r->heard[k].at_us <= by_us)
			return true;
	return false;
}

double
sim_concealed(const struct sim_viewer *v, uint64_t from_us, uint64_t to_us)
{
	const struct sim_receiver *r = v->audio;
	struct buffer b = {.delay_ms = -1};
	double concealed = 0;
	uint64_t capture_us = 0;
	int all = 0, due = (int) ((to_us - from_us) / 20000);

	for (uint32_t i = 0; i < r->nheard; i++)
	{
		const struct heard *h = &r->heard[i];
		double late_ms = (double) (h->at_us - h->capture_us) / 1000, missing = 0;

		if (!capture_us && !h->at_us)
			continue; /* before the first one */
		capture_us = h->at_us ? h->capture_us : capture_us + 20000;
		if (b.delay_ms < 0)
			b.delay_ms = late_ms + 80;
		if (!h->at_us)
			missing = 1;
		else if (late_ms > b.delay_ms)
		{
			bool skipped = has_later(r, i, h->capture_us + (uint64_t) (b.delay_ms * 1000));

			missing = skipped ? 1 : (late_ms - b.delay_ms) / 20;
			if (!skipped)
				b.delay_ms = late_ms;
		}
		if (h->at_us)
			follow(&b, late_ms);
		if (capture_us < from_us || capture_us >= to_us)
			continue;
		all++;
		concealed += missing;
	}
	if (due > all + 10) /* after the last one that came */
		concealed += due - all;
	return concealed / due;
}

double
sim_audio_age_s(const struct sim_viewer *v, uint64_t from_us, uint64_t to_us)
{
	uint64_t oldest = 0;

	for (uint32_t i = 0; i < v->audio->nheard; i++)
	{
		const struct heard *h = &v->audio->heard[i];

		if (h->at_us >= from_us && h->at_us < to_us && h->at_us - h->capture_us > oldest)
			oldest = h->at_us - h->capture_us;
	}
	return (double) oldest / 1e6;
}

int
sim_viewer_plis(const struct sim_viewer *v)
{
	return v->video->plis;
}

double
sim_resent_per_s(const struct sim_viewer *v, uint64_t from_us, uint64_t to_us)
{
	uint32_t n = 0;

	for (uint64_t s = (from_us - 1000000000u) / SIM_SECOND; s < (to_us - 1000000000u) / SIM_SECOND; s++)
		n += v->video->resent[s];
	return n * 1e6 / (double) (to_us - from_us);
}
