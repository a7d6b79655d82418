/* sender.c: a client that sends a track of video and one of opus, as browsers do: simulcast, SVC or a single stream,
 * key frames when they are asked for, and again what the engine says it lost. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/media/forward/producer.h"
#include "bgworker/media/rtp/dd.h"
#include "bgworker/media/rtp/red.h"
#include "sim.h"
#include "test/unit/media/bits.h"

#define PAYLOAD 1100
#define KEY_FACTOR 4      /* a key frame is so many times as large as the others */
#define KEY_GAP_US 300000 /* at least between two key frames */
#define RESEND 2048       /* packets that can be asked for again */
#define AUDIO_US 20000    /* of a packet */
#define AUDIO_BYTES 100   /* of its payload: 40 kbit/s */
#define STILL_FRAMES 5    /* that a still picture has */
#define PT_VIDEO 96
#define PT_AUDIO 97
#define PT_RED 98
#define DD_EXT 5
#define LEVEL_EXT 6

struct sim_encoder
{
	struct sim_sender *sender;
	int index;
	uint32_t ssrc;
	uint16_t seq, picture_id;
	uint8_t tl0;
	uint32_t frame; /* count */
	uint64_t pictures, key_us;
	bool want_key;
	double debt;         /* bytes that the last key frame took from the frames to come */
	uint32_t last[4][4]; /* the newest frame of each spatial and temporal layer; 0: none */
	int since_key;       /* pictures since the key frame */
	uint32_t key_pictures;
	uint16_t av1_frame;
	uint16_t sent_len[RESEND];
	uint16_t sent_seq[RESEND];
	uint8_t sent[RESEND][RT_PORT_BUFFER];
};

/* ---- payload descriptors ---- */

/* What the frame at hand is. */
struct picture
{
	bool key;
	int spatial, temporal;
	bool last; /* the picture's last frame */
	uint32_t frame, refs[3];
	int nrefs;
};

static size_t
write_vp8(const struct sim_encoder *e, const struct picture *p, bool first, uint8_t *out)
{
	uint8_t d[] = {(uint8_t) (0x80 | (first ? 0x10 : 0)),
				   0xe0,
				   (uint8_t) (0x80 | (e->picture_id >> 8 & 0x7f)),
				   (uint8_t) e->picture_id,
				   e->tl0,
				   (uint8_t) (p->temporal << 6 | 0x20),
				   !p->key};

	memcpy(out, d, sizeof(d));
	return sizeof(d);
}

static bool
needs_below(const struct sim_encoder *e, const struct picture *p)
{
	return p->spatial > 0 && (p->key || !e->sender->video.key);
}

static size_t
write_vp9(const struct sim_encoder *e, const struct picture *p, bool first, bool last, uint8_t *out)
{
	uint8_t d[] = {(uint8_t) (0xa0 | (p->key ? 0 : 0x40) | (first ? 8 : 0) | (last ? 4 : 0)),
				   (uint8_t) (0x80 | (e->picture_id >> 8 & 0x7f)), (uint8_t) e->picture_id,
				   (uint8_t) (p->temporal << 5 | 0x10 | p->spatial << 1 | needs_below(e, p)), e->tl0};

	memcpy(out, d, sizeof(d));
	return sizeof(d);
}

/* ---- AV1: the dependency descriptor ---- */

/* Templates by spatial layer: a key frame's, then one for each temporal layer.  Targets: the highest layers first.
 * Frame numbers count the announced spatial layers of each picture. */
static int
template_temporal(const struct sim_video *v, int i)
{
	int of_layer = i % (v->temporal + 1);

	return of_layer ? of_layer - 1 : 0;
}

/* As libwebrtc's scalability structures say it: 0 not present, 1 discardable, 2 switch, 3 required. */
static uint32_t
indication(const struct sim_video *v, int i, int target_spatial, int target_temporal)
{
	int spatial = i / (v->temporal + 1), temporal = template_temporal(v, i);
	bool key = i % (v->temporal + 1) == 0;

	if (target_spatial < spatial || target_temporal < temporal || (v->key && !key && target_spatial != spatial))
		return 0;
	if (target_spatial > spatial)
		return key ? 2 : 3;
	return temporal && temporal == target_temporal ? 1 : 2;
}

/* What the pictures of a temporal layer refer to lies so many pictures back, see temporal_of(). */
static int
pictures_back(const struct sim_video *v, int temporal)
{
	return 1 << (v->temporal - 1 - temporal);
}

static void
put_dependencies(struct writer *w, const struct sim_video *v, int i)
{
	int spatial = i / (v->temporal + 1);
	bool key = i % (v->temporal + 1) == 0;

	if (!key)
		put(w, 0x10 | (uint32_t) (v->spatial * pictures_back(v, template_temporal(v, i)) - 1), 5);
	if (spatial && (key || !v->key))
		put(w, 0x10, 5); /* the layer below of the same picture */
	put(w, 0, 1);
}

static void
put_structure(struct writer *w, const struct sim_video *v)
{
	int templates = v->spatial * (v->temporal + 1);

	put(w, 0, 6);
	put(w, (uint32_t) (v->spatial * v->temporal - 1), 5);
	for (int i = 0; i < templates; i++)
		put(w,
			i + 1 == templates                                      ? 3u
			: (i + 1) % (v->temporal + 1) == 0                      ? 2u
			: template_temporal(v, i + 1) > template_temporal(v, i) ? 1u
																	: 0u,
			2);
	for (int i = 0; i < templates; i++)
		for (int s = v->spatial - 1; s >= 0; s--)
			for (int t = v->temporal - 1; t >= 0; t--)
				put(w, indication(v, i, s, t), 2);
	for (int i = 0; i < templates; i++)
		put_dependencies(w, v, i);
	/* No chains: a zero that is not above the number of targets takes as many bits as fit below that number. */
	put(w, 0, (int) log2(v->spatial * v->temporal + 1));
	put(w, 0, 1); /* no resolutions */
}

static size_t
write_descriptor(struct sim_encoder *e, const struct picture *p, bool first, bool last, uint8_t *out)
{
	struct writer w = {{0}, 0};
	const struct sim_video *v = &e->sender->video;
	int id = p->spatial * (v->temporal + 1) + (p->key ? 0 : 1 + p->temporal);

	put(&w, (uint32_t) first << 1 | last, 2);
	put(&w, (uint32_t) id, 6);
	put(&w, (uint16_t) (e->av1_frame + p->spatial), 16);
	if (p->key && p->spatial == 0 && first)
	{
		put(&w, 0x10, 5);
		put_structure(&w, v);
	}
	memcpy(out, w.data, (w.bits + 7) / 8);
	return (w.bits + 7) / 8;
}

/* ---- packets ---- */

static void
on_send(void *arg, uint8_t *data, size_t len)
{
	struct sim_encoder *e = arg;
	uint8_t out[RT_PORT_BUFFER];

	memcpy(out, data, len);
	sim_peer_send(&e->sender->peer, out, len);
}

static void
send_frame(struct sim_encoder *e, const struct picture *p, double bytes, uint64_t *at_us, double gap_us)
{
	int count = (int) ((bytes + PAYLOAD - 1) / PAYLOAD), size;
	uint32_t ts = (uint32_t) (sim_now_us * 9 / 100);
	enum rt_codec codec = e->sender->video.codec;

	if (count < 1)
		count = 1;
	size = (int) bytes / count;
	if (size < 100)
		size = 100;
	for (int i = 0; i < count; i++, e->seq++)
	{
		bool first = i == 0, last = i == count - 1;
		uint8_t *out = e->sent[e->seq % RESEND], dd[RT_DD_MAX_LEN];
		struct rt_rtp_ext_out ext = {codec == RT_CODEC_AV1 ? DD_EXT : 0, 0, dd};
		struct sim_trailer t = {.magic = SIM_MAGIC,
								.frame = p->frame,
								.index = (uint16_t) i,
								.count = (uint16_t) count,
								.stream = (uint8_t) e->index,
								.spatial = (uint8_t) p->spatial,
								.nrefs = (uint8_t) p->nrefs,
								.key = p->key,
								.refs = {p->refs[0], p->refs[1], p->refs[2]},
								.capture_us = sim_now_us};
		size_t n, d = 0;

		if (ext.id)
			ext.len = (uint8_t) write_descriptor(e, p, first, last, dd);
		n = rt_rtp_write_header(out, PT_VIDEO, last && p->last, e->seq, ts, e->ssrc, &ext, ext.id ? 1 : 0);
		memset(out + n, 0, (size_t) size);
		if (codec == RT_CODEC_VP8)
			d = write_vp8(e, p, first, out + n);
		else if (codec == RT_CODEC_VP9)
			d = write_vp9(e, p, first, last, out + n);
		else if (codec == RT_CODEC_AV1)
			out[n] = (uint8_t) ((first ? 0 : 0x80) | 0x10 | (p->key && p->spatial == 0 && first ? 8 : 0));
		if (d + sizeof(t) > (size_t) size)
			abort();
		memcpy(out + n + size - sizeof(t), &t, sizeof(t));
		e->sent_len[e->seq % RESEND] = (uint16_t) (n + (size_t) size);
		e->sent_seq[e->seq % RESEND] = e->seq;
		sim_at(*at_us, on_send, e, out, n + (size_t) size);
		*at_us += (uint64_t) (gap_us / count);
	}
}

/* ---- pictures ---- */

static int
temporal_of(const struct sim_encoder *e)
{
	int n = e->sender->video.temporal, i = e->since_key;

	return n == 3 ? (i % 4 == 0 ? 0 : i % 4 == 2 ? 1 : 2) : n == 2 ? i % 2 : 0;
}

static void
add_ref(struct picture *p, uint32_t frame)
{
	if (frame)
		p->refs[p->nrefs++] = frame;
}

/* The newest of the same spatial layer, and of the temporal layers below (or of its own if that is the lowest). */
static uint32_t
newest_below(const struct sim_encoder *e, int spatial, int temporal)
{
	uint32_t newest = 0;

	for (int t = 0; t <= (temporal ? temporal - 1 : 0); t++)
		if (e->last[spatial][t] > newest)
			newest = e->last[spatial][t];
	return newest;
}

static void
encode(struct sim_encoder *e)
{
	const struct sim_video *v = &e->sender->video;
	int spatial = v->sends_spatial ? v->sends_spatial : v->spatial;
	double mean = v->rate_bps[e->index] / 8 / v->fps, size = mean * (0.8 + 0.4 * sim_random());
	uint64_t at_us = sim_now_us;
	bool key = e->pictures == 0 || (e->want_key && sim_now_us - e->key_us >= KEY_GAP_US);
	uint32_t below = 0;
	int temporal;

	if (key)
	{
		e->want_key = false;
		e->key_us = sim_now_us;
		e->since_key = 0;
		e->sender->keyframes++;
		memset(e->last, 0, sizeof(e->last));
		e->debt += mean * KEY_FACTOR - mean;
		size = mean * KEY_FACTOR;
	}
	else if (e->debt > 0)
	{
		e->debt -= size / 4;
		size -= size / 4;
	}
	temporal = temporal_of(e);
	e->tl0 += temporal == 0;
	for (int s = 0; s < spatial; s++)
	{
		struct picture p = {.key = key, .spatial = s, .temporal = temporal, .last = s == spatial - 1};
		double part =
			(double) (1u << 2 * s) / (double) ((1u << 2 * v->spatial) - 1) * 3; /* each four times the last */

		p.frame = (uint32_t) e->index << 24 | ++e->frame;
		if (!key)
			add_ref(&p, newest_below(e, s, temporal));
		if (needs_below(e, &p))
			add_ref(&p, below);
		e->last[s][temporal] = below = p.frame;
		send_frame(e, &p, size * part, &at_us, 1e6 / v->fps / 2.5 * (size / mean > 2 ? 2 : 1) * part);
	}
	e->picture_id = (e->picture_id + 1) & 0x7fff;
	e->av1_frame = (uint16_t) (e->av1_frame + v->spatial);
	e->since_key++;
	e->pictures++;
}

static void
on_frame(void *arg, uint8_t *data, size_t len)
{
	struct sim_encoder *e = arg;
	const struct sim_video *v = &e->sender->video;

	(void) data, (void) len;
	if ((!v->sends_streams || e->index < v->sends_streams) && (!v->still || e->pictures < STILL_FRAMES))
		encode(e);
	sim_at(sim_now_us + (uint64_t) (1e6 / v->fps), on_frame, e, NULL, 0);
}

/* ---- audio ---- */

/* As libwebrtc: the packets right before, the oldest first.  Returns where the primary block begins. */
static size_t
add_redundancy(struct sim_sender *s, uint8_t *out, size_t header)
{
	struct rt_red_block blocks[RT_RED_BLOCKS];
	uint8_t red[RT_PORT_BUFFER];
	int n = s->audio_frame - 1 < (uint32_t) s->red ? (int) s->audio_frame - 1 : s->red;
	size_t len;

	for (int i = 0; i <= n; i++)
		blocks[i] = (struct rt_red_block){PT_AUDIO, (uint16_t) (960 * (n - i)), AUDIO_BYTES,
										  s->audio_sent + (uint16_t) (s->audio_seq - n + i) % 64 * 256 + header};
	len = rt_red_write(red, sizeof(red), blocks, n + 1);
	memcpy(out + header, red, len);
	out[1] = PT_RED;
	return header + len - AUDIO_BYTES;
}

static void
on_audio(void *arg, uint8_t *data, size_t len)
{
	struct sim_sender *s = arg;
	struct sim_trailer t = {.magic = SIM_MAGIC, .frame = s->audio_frame++, .capture_us = sim_now_us};
	uint8_t out[RT_PORT_BUFFER] = {0}, level = s->level != NULL ? s->level(sim_now_us) : 30;
	struct rt_rtp_ext_out ext = {LEVEL_EXT, 1, &level};
	size_t n = rt_rtp_write_header(out, PT_AUDIO, false, s->audio_seq, (uint32_t) (sim_now_us * 48 / 1000),
								   s->encoders[0]->ssrc + 100, &ext, 1);

	(void) data, (void) len;
	memcpy(out + n + AUDIO_BYTES - sizeof(t), &t, sizeof(t));
	memcpy(s->audio_sent + s->audio_seq % 64 * 256, out, n + AUDIO_BYTES);
	if (s->red)
		n = add_redundancy(s, out, n);
	s->audio_seq++;
	sim_peer_send(&s->peer, out, n + AUDIO_BYTES);
	sim_at(sim_now_us + (s->audio_us ? s->audio_us : AUDIO_US), on_audio, s, NULL, 0);
}

/* ---- what comes back ---- */

static struct sim_encoder *
find_encoder(struct sim_sender *s, uint32_t ssrc)
{
	for (int i = 0; i < SIM_STREAMS; i++)
		if (s->encoders[i]->ssrc == ssrc)
			return s->encoders[i];
	return NULL;
}

static void
resend(struct sim_sender *s, uint32_t ssrc, uint16_t seq)
{
	struct sim_encoder *e = find_encoder(s, ssrc);
	uint8_t out[RT_PORT_BUFFER];

	if (e != NULL && e->sent_len[seq % RESEND] && e->sent_seq[seq % RESEND] == seq)
	{
		memcpy(out, e->sent[seq % RESEND], e->sent_len[seq % RESEND]);
		sim_peer_send(&s->peer, out, e->sent_len[seq % RESEND]);
	}
	else if (ssrc == s->encoders[0]->ssrc + 100 && rt_bytes_get16(s->audio_sent + seq % 64 * 256 + 2) == seq)
	{
		memcpy(out, s->audio_sent + seq % 64 * 256, 256);
		sim_peer_send(&s->peer, out, RT_RTP_HEADER + 8 + AUDIO_BYTES);
	}
}

static void
on_rtcp(struct sim_peer *p, uint8_t *data, size_t len)
{
	struct sim_sender *s = p->owner;
	uint32_t from, media;
	struct rt_rtcp r;
	size_t off = 0;
	uint16_t pid, blp;

	if (rt_rtp_classify(data, len) != RT_PACKET_RTCP)
		return;
	while (rt_rtcp_next(data, len, &off, &r) == RT_OK)
	{
		if (!rt_rtcp_read_feedback(&r, &from, &media))
			continue;
		if (r.type == RT_RTCP_PSFB && r.count == RT_PSFB_PLI && find_encoder(s, media) != NULL)
		{
			s->plis++;
			find_encoder(s, media)->want_key = true;
		}
		for (int i = 0; r.type == RT_RTCP_RTPFB && r.count == RT_RTPFB_NACK && rt_rtcp_read_nack(&r, i, &pid, &blp);
			 i++)
			for (int k = 0; k <= 16; k++)
				if (k == 0 || blp >> (k - 1) & 1)
					resend(s, media, (uint16_t) (pid + k));
	}
}

/* The sender reports of a second, by which a receiver's reports tell the round trip to the engine. */
static void
on_report(void *arg, uint8_t *data, size_t len)
{
	struct sim_sender *s = arg;
	uint8_t out[128];

	(void) data, (void) len;
	for (int i = 0; s->has_video && i < s->video.nstreams; i++)
	{
		struct rt_rtcp_sr sr = {s->encoders[i]->ssrc, rt_rtcp_ntp_now(), (uint32_t) (sim_now_us * 9 / 100), 1, 1};

		sim_peer_send(&s->peer, out, rt_rtcp_write_sr(out, sizeof(out), &sr));
	}
	sim_at(sim_now_us + SIM_SECOND, on_report, s, NULL, 0);
}

/* ---- life ---- */

static void
produce_video(struct sim_sender *s, uint32_t ssrc)
{
	const struct sim_video *v = &s->video;
	struct rt_producer_params params = {
		.kind = RT_KIND_VIDEO, .codec = v->codec, .clock_rate = 90000, .pt = PT_VIDEO};
	char id[24];

	params.type = v->nstreams > 1                     ? RT_PRODUCER_SIMULCAST
				  : v->spatial > 1 || v->temporal > 1 ? RT_PRODUCER_SVC
													  : RT_PRODUCER_SIMPLE;
	params.red_pt = RT_NO_PT;
	params.rtx_pt = RT_NO_PT;
	params.feedback = (struct rt_feedback){.nack = true, .pli = true};
	params.n_encodings = v->nstreams;
	params.ext.id[RT_EXT_DEPENDENCY_DESCRIPTOR] = v->codec == RT_CODEC_AV1 ? DD_EXT : 0;
	for (int i = 0; i < v->nstreams; i++)
		params.encodings[i] = (struct rt_encoding){.ssrc = ssrc + (uint32_t) i,
												   .layers = {(uint8_t) v->spatial, (uint8_t) v->temporal, v->key}};
	snprintf(id, sizeof(id), "video-%s", s->peer.id);
	if (rt_endpoint_produce(&s->producer, rt_engine_endpoint(sim_engine, s->peer.id), id, &params) != RT_OK)
		abort();
	rt_producer_set_screen(s->producer, s->screen);
}

static void
produce_audio(struct sim_sender *s, uint32_t ssrc)
{
	struct rt_producer_params params = {
		.kind = RT_KIND_AUDIO, .codec = RT_CODEC_OPUS, .clock_rate = 48000, .pt = PT_AUDIO};
	char id[24];

	params.type = RT_PRODUCER_SIMPLE;
	params.rtx_pt = RT_NO_PT;
	params.red_pt = s->red ? PT_RED : RT_NO_PT;
	params.n_encodings = 1;
	params.feedback.nack = !s->red;
	params.ext.id[RT_EXT_AUDIO_LEVEL] = LEVEL_EXT;
	params.encodings[0] = (struct rt_encoding){.ssrc = ssrc, .layers = {1, 1, false}};
	snprintf(id, sizeof(id), "audio-%s", s->peer.id);
	if (rt_endpoint_produce(&s->audio_producer, rt_engine_endpoint(sim_engine, s->peer.id), id, &params) != RT_OK)
		abort();
}

void
sim_sender_begin(struct sim_sender *s)
{
	uint32_t ssrc = 10000;

	s->peer.sends = true;
	s->peer.owner = s;
	s->peer.on_packet = on_rtcp;
	s->video.nstreams = s->video.nstreams ? s->video.nstreams : 1;
	s->video.spatial = s->video.spatial ? s->video.spatial : 1;
	s->video.temporal = s->video.temporal ? s->video.temporal : 1;
	s->audio_sent = calloc(64, 256);
	sim_peer_join(&s->peer);
	for (int i = 0; i < SIM_STREAMS; i++)
	{
		struct sim_encoder *e = s->encoders[i] = calloc(1, sizeof(*e));

		e->sender = s;
		e->index = i;
		e->ssrc = ssrc + (uint32_t) i;
		e->seq = (uint16_t) (sim_random() * 30000);
		if (s->has_video && i < s->video.nstreams)
			sim_at(sim_now_us + 1000 + (uint64_t) i * 300, on_frame, e, NULL, 0);
	}
	if (s->has_video)
		produce_video(s, ssrc);
	if (s->has_audio)
	{
		produce_audio(s, ssrc + 100);
		s->audio_from_us = sim_now_us + 2000;
		sim_at(s->audio_from_us, on_audio, s, NULL, 0);
	}
	sim_at(sim_now_us + 1500, on_report, s, NULL, 0);
}

void
sim_sender_end(struct sim_sender *s)
{
	for (int i = 0; i < SIM_STREAMS; i++)
		free(s->encoders[i]);
	free(s->audio_sent);
}
