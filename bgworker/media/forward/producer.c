#include "producer.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/log.h"
#include "consumer.h"
#include "layers.h"
#include "bgworker/media/rtp/rtcp.h"
#include "transport.h"

#define KEYFRAME_AGAIN_US 500000 /* it was asked for and did not come */
#define KEYFRAME_GAP_US 100000   /* the last one came, and somebody else needs one */
#define REPLAY_US 150000         /* after a key frame: who begins gets what came since, and needs no other */
#define REPLAY_PACKETS 200
#define LAYER_SILENCE_US 700000 /* behind the others of the track: the sender has stopped this one */
#define MAX_NACK 64
#define RTCP_ROOM 1200

static bool
ssrc_in_use(const struct rt_transport *t, uint32_t ssrc)
{
	if (ssrc == 0)
		return false;
	for (const struct rt_producer *p = t->producers; p != NULL; p = p->next)
		for (int i = 0; i < p->params.n_encodings; i++)
			if (p->params.encodings[i].ssrc == ssrc || p->params.encodings[i].rtx_ssrc == ssrc)
				return true;
	return false;
}

static bool
mid_in_use(const struct rt_transport *t, const char *mid)
{
	for (const struct rt_producer *p = t->producers; p != NULL; p = p->next)
		if (mid[0] && strcmp(p->params.mid, mid) == 0)
			return true;
	return false;
}

enum rt_result
rt_producer_new(struct rt_producer **pp, struct rt_transport *t, const char *id, struct rt_producer_params *params)
{
	struct rt_producer *p;

	if (t->nproducers >= RT_MAX_PRODUCERS)
		return RT_LIMIT;
	if (mid_in_use(t, params->mid))
		return RT_BAD_INPUT;
	for (int i = 0; i < params->n_encodings; i++)
		if (ssrc_in_use(t, params->encodings[i].ssrc) || ssrc_in_use(t, params->encodings[i].rtx_ssrc))
			return RT_BAD_INPUT;
	p = rt_alloc(sizeof(*p));
	strncpy(p->id, id, RT_OBJECT_ID - 1);
	p->transport = t;
	p->params = *params;
	p->score = 10;
	for (int i = 0; i < params->n_encodings; i++)
	{
		p->layers[i].recv.clock_rate = params->clock_rate;
		if (params->kind == RT_KIND_VIDEO)
			p->layers[i].store = rt_store_new();
		if (params->codec == RT_CODEC_AV1 && params->ext.id[RT_EXT_DEPENDENCY_DESCRIPTOR])
			p->layers[i].dd = rt_alloc(sizeof(*p->layers[i].dd));
	}
	if (!t->cname[0])
		memcpy(t->cname, params->cname, sizeof(t->cname));
	p->next = t->producers;
	t->producers = p;
	t->nproducers++;
	rt_map_put_str(t->engine->producers, p->id, p);
	*pp = p;
	return RT_OK;
}

static void
free_producer(void *arg)
{
	struct rt_producer *p = arg;

	for (int i = 0; i < p->params.n_encodings; i++)
	{
		rt_store_free(p->layers[i].store);
		free(p->layers[i].dd);
	}
	rt_producer_params_fini(&p->params);
	free(p);
}

void
rt_producer_close(struct rt_producer *p)
{
	struct rt_transport *t = p->transport;
	struct rt_producer **at = &t->producers;
	int kept = 0;

	while (p->consumers != NULL)
		rt_consumer_close(p->consumers);
	for (int i = 0; i < t->nstreams; i++)
		if (t->streams[i].producer != p)
			t->streams[kept++] = t->streams[i];
	t->nstreams = kept;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	t->nproducers--;
	rt_map_take_str(t->engine->producers, p->id);
	rt_speaker_remove(t->router->speaker, p->id);
	rt_loop_defer(t->engine->loop, free_producer, p);
}

bool
rt_producer_flows(const struct rt_producer *p)
{
	return !p->paused && !p->muted;
}

/* After a pause the consumers begin anew: the numbers have gone on meanwhile, and what was lost is no loss. */
static void
resync(struct rt_producer *p, bool flowed)
{
	for (int i = 0; i < p->params.n_encodings; i++)
	{
		p->layers[i].keyframe_us = 0;
		p->layers[i].recv.nmissing = 0;
	}
	if (!flowed && rt_producer_flows(p))
		for (struct rt_consumer *c = p->consumers; c != NULL; c = c->next_of_producer)
			rt_consumer_resync(c);
}

void
rt_producer_pause(struct rt_producer *p, bool paused)
{
	bool flowed = rt_producer_flows(p);

	p->paused = paused;
	resync(p, flowed);
}

void
rt_producer_mute(struct rt_producer *p, bool muted)
{
	bool flowed = rt_producer_flows(p);

	p->muted = muted;
	resync(p, flowed);
}

/* ---- key frames ---- */

static void
ask_keyframe(struct rt_producer *p, struct rt_layer *l)
{
	uint8_t out[128];
	size_t n;

	if (!l->recv.ssrc)
		return; /* nothing came yet; the first packet will ask */
	l->keyframe_asked_us = p->transport->engine->now_us;
	l->plis++;
	p->transport->engine->keyframes_asked++;
	n = p->params.feedback.pli || !p->params.feedback.fir
			? rt_rtcp_write_pli(out, sizeof(out), 1, l->recv.ssrc)
			: rt_rtcp_write_fir(out, sizeof(out), 1, l->recv.ssrc, l->fir_seq++);
	rt_transport_send_rtcp(p->transport, out, n, sizeof(out));
}

static void
ask_when_due(struct rt_producer *p, struct rt_layer *l)
{
	if (l->keyframe_asked_us && p->transport->engine->now_us - l->keyframe_asked_us < l->keyframe_wait_us)
		return;
	l->keyframe_wait_us = KEYFRAME_AGAIN_US;
	ask_keyframe(p, l);
}

void
rt_producer_want_keyframe(struct rt_producer *p, int layer)
{
	struct rt_layer *l;

	if (p->params.kind != RT_KIND_VIDEO || layer < 0 || layer >= p->params.n_encodings || !rt_producer_flows(p))
		return;
	l = &p->layers[layer];
	if (!l->keyframe_wanted)
		l->keyframe_wait_us = KEYFRAME_GAP_US;
	l->keyframe_wanted = true;
	ask_when_due(p, l);
}

/* ---- packets ---- */

static void
copy_ext(const struct rt_rtp *rtp, uint8_t id, struct rt_ext_value *v)
{
	size_t len;
	const uint8_t *value = rt_rtp_ext(rtp, id, &len);

	if (value == NULL || len == 0 || len > sizeof(v->value))
		return;
	v->len = (uint8_t) len;
	memcpy(v->value, value, len);
}

static void
read_exts(struct rt_producer *p, const struct rt_rtp *rtp, struct rt_packet *packet)
{
	const uint8_t *ids = p->params.ext.id;

	if (rtp->ext_len == 0)
		return;
	copy_ext(rtp, ids[RT_EXT_ABS_CAPTURE_TIME], &packet->capture_time);
	copy_ext(rtp, ids[RT_EXT_PLAYOUT_DELAY], &packet->playout_delay);
	if (p->params.kind == RT_KIND_AUDIO)
		copy_ext(rtp, ids[RT_EXT_AUDIO_LEVEL], &packet->audio_level);
	else
		copy_ext(rtp, ids[RT_EXT_VIDEO_ORIENTATION], &packet->orientation);
}

/* AV1: what the frame needs, and who needs it.  Without a structure, that may come later. */
static void
read_descriptor(struct rt_layer *l, struct rt_packet *p)
{
	p->has_dd = rt_dd_read(&p->dd, l->dd, p->descriptor, p->descriptor_len) == RT_OK;
	if (!p->has_dd)
		return;
	if (p->dd.has_structure)
		l->dd_active = UINT32_MAX;
	if (p->dd.has_active)
		l->dd_active = p->dd.active;
}

static void
find_descriptor(const struct rt_producer *p, const struct rt_rtp *rtp, struct rt_packet *packet)
{
	size_t len;
	const uint8_t *v = rt_rtp_ext(rtp, p->params.ext.id[RT_EXT_DEPENDENCY_DESCRIPTOR], &len);

	if (v == NULL || len > RT_DD_MAX_LEN)
		return;
	packet->descriptor = v;
	packet->descriptor_len = (uint8_t) len;
}

static void
note_level(struct rt_producer *p, const struct rt_packet *packet)
{
	if (packet->audio_level.len)
		rt_speaker_level(p->transport->router->speaker, p->id, packet->audio_level.value[0] & 0x7f);
}

/* The numbers of another SSRC have nothing to do with those of the one before. */
static void
follow_ssrc(struct rt_layer *l, uint32_t ssrc)
{
	if (l->recv.ssrc != ssrc)
		l->recv.started = false;
	l->recv.ssrc = ssrc;
}

/* Its numbers may come again, for other packets. */
static void
forget_stream(struct rt_layer *l)
{
	l->keyframe_us = 0;
	if (l->store != NULL)
		rt_store_clear(l->store);
}

/* The sender began anew, with other numbers: what was sent of the old ones says nothing of these. */
static void
resync_layer(struct rt_producer *p, int layer)
{
	for (struct rt_consumer *c = p->consumers; c != NULL; c = c->next_of_producer)
		if (p->params.kind == RT_KIND_AUDIO || p->params.n_encodings == 1 || c->current_spatial == layer)
			rt_consumer_resync(c);
}

/* A stream began with a packet that came late: those behind it are here already, and were not wanted then. */
static void
catch_up(struct rt_consumer *c, struct rt_layer *l, uint16_t seq)
{
	while (l->store != NULL && seq++ != l->recv.highest)
	{
		const struct rt_packet *stored = rt_store_find(l->store, seq);
		struct rt_packet packet;

		if (stored == NULL)
			continue;
		packet = *stored;
		packet.arrival_us = c->transport->engine->now_us;
		if (packet.descriptor_len && !packet.has_dd)
			read_descriptor(l, &packet); /* its structure was late */
		rt_consumer_forward(c, &packet);
	}
}

bool
rt_producer_replay(struct rt_producer *p, struct rt_consumer *c)
{
	struct rt_layer *l = &p->layers[rt_layers_encoding(c)];
	const struct rt_packet *first;
	struct rt_packet packet;
	uint64_t now_us = p->transport->engine->now_us;

	if (l->store == NULL || !l->keyframe_us || now_us - l->keyframe_us > REPLAY_US ||
		(uint16_t) (l->recv.highest - l->keyframe_seq) >= REPLAY_PACKETS)
		return false;
	first = rt_store_find(l->store, l->keyframe_seq);
	if (first == NULL)
		return false;
	packet = *first;
	packet.arrival_us = now_us;
	if (!rt_consumer_forward(c, &packet))
		return false;
	catch_up(c, l, packet.seq);
	rt_port_flush(p->transport->engine->port);
	return true;
}

/* One that comes late, behind the next one, is not the last one. */
static void
note_keyframe(struct rt_layer *l, const struct rt_packet *p)
{
	bool older = l->keyframe_us && rt_seq_newer(l->keyframe_seq, p->seq);

	l->keyframe_wanted = false;
	if (l->keyframe_us && p->ts == l->keyframe_ts)
		l->keyframe_seq = older ? p->seq : l->keyframe_seq;
	else if (!older)
	{
		l->keyframe_us = p->arrival_us;
		l->keyframe_ts = p->ts;
		l->keyframe_seq = p->seq;
	}
}

/* Picture numbers of 7 bits (RFC 7741 section 4.2) become 15, which is what goes out. */
static void
widen_picture_id(struct rt_layer *l, struct rt_codec_info *info)
{
	int ahead = (int8_t) ((unsigned) (info->picture_id - l->picture_id) << 1) / 2;

	if (!info->has_picture_id)
		return;
	if (info->short_picture_id)
		info->picture_id = (uint16_t) ((l->picture_id + ahead) & 0x7fff);
	if (!info->short_picture_id || ahead > 0)
		l->picture_id = info->picture_id;
}

void
rt_producer_packet(struct rt_producer *p, int layer, struct rt_rtp *rtp, bool repair)
{
	struct rt_layer *l = &p->layers[layer];
	struct rt_engine *e = p->transport->engine;
	bool video = p->params.kind == RT_KIND_VIDEO, first = !l->recv.started;
	struct rt_packet packet;
	enum rt_recv_result rc;

	if (!repair)
		follow_ssrc(l, rtp->ssrc);
	rc = rt_recv_packet(&l->recv, rtp->seq, rtp->ts, rtp->len, e->now_us, video && p->params.feedback.nack, repair);
	if (rc == RT_RECV_DUPLICATE || !rt_producer_flows(p))
		return;
	memset(&packet, 0, offsetof(struct rt_packet, orientation));
	packet.orientation.len = packet.audio_level.len = packet.playout_delay.len = packet.capture_time.len = 0;
	packet.seq = rtp->seq;
	packet.marker = rtp->marker;
	packet.layer = (uint8_t) layer;
	packet.ts = rtp->ts;
	packet.arrival_us = e->now_us;
	packet.payload = rtp->data + rtp->payload_off;
	packet.payload_len = rtp->payload_len;
	if (packet.payload_len && !rt_codec_read(p->params.codec, packet.payload, packet.payload_len, &packet.info))
	{
		e->bad_rtp++;
		return;
	}
	widen_picture_id(l, &packet.info);
	read_exts(p, rtp, &packet);
	if (l->dd != NULL)
		find_descriptor(p, rtp, &packet);
	if (packet.descriptor_len)
		read_descriptor(l, &packet);
	note_level(p, &packet);
	if (rc == RT_RECV_BEGIN && !first)
		forget_stream(l);
	if (packet.info.keyframe)
		note_keyframe(l, &packet);
	if (l->store != NULL)
		rt_store_put(l->store, &packet);
	if (rc == RT_RECV_BEGIN && !first)
		resync_layer(p, layer);
	if (rc == RT_RECV_OVERRUN || (first && video && l->keyframe_wanted))
		rt_producer_want_keyframe(p, layer);
	for (struct rt_consumer *c = p->consumers; c != NULL; c = c->next_of_producer)
		if (rt_consumer_forward(c, &packet) && packet.seq != l->recv.highest)
			catch_up(c, l, packet.seq);
}

/* ---- each tick ---- */

static void
send_nacks(struct rt_producer *p, int layer)
{
	struct rt_layer *l = &p->layers[layer];
	uint16_t seqs[MAX_NACK];
	uint8_t out[RTCP_ROOM];
	bool give_up;
	int n = rt_recv_due(&l->recv, p->transport->engine->now_us, p->transport->rtt_ms, seqs, MAX_NACK, &give_up);

	p->transport->engine->nacks_sent += (uint64_t) n;
	if (n)
		rt_transport_send_rtcp(p->transport, out,
							   rt_rtcp_write_nack(out, sizeof(out) - RT_SRTP_OVERHEAD, 1, l->recv.ssrc, seqs, n),
							   sizeof(out));
	if (give_up)
		rt_producer_want_keyframe(p, layer);
}

void
rt_producer_tick(struct rt_producer *p)
{
	if (p->params.kind != RT_KIND_VIDEO || !rt_producer_flows(p))
		return;
	for (int i = 0; i < p->params.n_encodings; i++)
	{
		struct rt_layer *l = &p->layers[i];

		if (l->recv.nmissing)
			send_nacks(p, i);
		if (l->keyframe_wanted)
			ask_when_due(p, l);
	}
}

uint64_t
rt_producer_bitrate(const struct rt_producer *p, int layer)
{
	return rt_recv_bitrate(&p->layers[layer].recv, p->transport->engine->now_us);
}

bool
rt_producer_layer_live(const struct rt_producer *p, int layer)
{
	const struct rt_recv *r = &p->layers[layer].recv;
	uint64_t newest_us = 0;

	for (int i = 0; i < p->params.n_encodings; i++)
		if (p->layers[i].recv.last_packet_us > newest_us)
			newest_us = p->layers[i].recv.last_packet_us;
	return r->started && newest_us - r->last_packet_us < LAYER_SILENCE_US;
}
