/* producer.c: one incoming track; see producer.h.
 *
 *   demux.c ──> rt_producer_packet(): counted (recv), parsed once, kept (store) ──> each consumer
 *
 * What must stay true:
 * - A packet that recv takes for a duplicate goes nowhere: SRTP would let a repair through that came by RTX as
 *   well as by itself, and a consumer must not get one number twice.
 * - The store, and what is known of the last key frame, are of one run of numbers: where the sender begins anew
 *   (another SSRC, or a jump) both are forgotten before the first packet of the new run is kept.
 * - Of a layer one key frame is asked for at a time, however many consumers want it: keyframe_wanted until it comes.
 *
 * It leaves to its consumers what each of them gets, and to demux.c which SSRC is whose. */
#include "producer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/media/congestion/resend.h"
#include "bgworker/media/rtp/recv.h"
#include "bgworker/media/rtp/red.h"
#include "bgworker/media/rtp/seq.h"
#include "bgworker/media/rtp/store.h"
#include "consumer.h"

#define KEYFRAME_AGAIN_US 500000 /* it was asked for, did not come, and somebody has no picture */
#define KEYFRAME_GAP_US 100000   /* the last one came, and somebody new needs one */
#define KEYFRAME_EACH_US 1000000 /* between two requests otherwise */
#define REPLAY_US 150000         /* after a key frame: who begins gets what came since, and needs no other */
#define REPLAY_PACKETS 200
#define STILL_US 500000           /* nothing has come since: then as well, however long ago it was */
#define LAYER_SILENCE_US 400000   /* behind the others of the track: the sender has stopped this one */
#define SPATIAL_SILENCE_US 200000 /* and so many pictures without it: a stream has this spatial layer no more */
#define SPATIAL_PICTURES 3
#define MAX_SPATIAL 4
#define MAX_TEMPORAL 4
#define PARTS_US 1000000 /* the window of the rates below */
#define MAX_NACK 64
/* Sound goes out before all else, whatever a receiver's path carries: so a second of it has its limits.  opus has 400
 * packets and 510 kbit/s at the most (RFC 6716 section 2.1), thrice that with RED. */
#define MAX_SOUND_PACKETS 1000
#define MAX_SOUND_BYTES 320000
#define RTCP_ROOM 1200
#define USUAL_LOWEST 0.25 /* of the packets of all layers */

/* What of a stream is in which of its layers: bytes by spatial and temporal layer, each second anew, and when a
 * spatial layer came last. */
struct parts
{
	uint32_t bytes[MAX_SPATIAL][MAX_TEMPORAL];
	uint32_t bps[MAX_SPATIAL][MAX_TEMPORAL];
	uint64_t from_us, seen_us[MAX_SPATIAL];
	uint32_t pictures, seen_picture[MAX_SPATIAL], ts;
	bool known;
};

/* Sound that goes out once more, in RED, with what comes next. */
#define RECENT 4
#define RECENT_BYTES 400 /* of opus: 160 kbit/s */

struct recent
{
	uint16_t seq;
	uint16_t len; /* 0: none */
	uint32_t ts;
	uint8_t data[RECENT_BYTES];
};

/* One incoming stream. */
struct layer
{
	struct rt_recv recv;
	struct rt_store *store; /* video; NULL: nothing is kept */
	uint64_t keyframe_asked_us;
	uint64_t keyframe_wait_us; /* after keyframe_asked_us, until it may be asked for again */
	bool keyframe_wanted;      /* asked for, and not seen yet */
	bool keyframe_fresh;       /* by somebody who has no picture yet */
	uint64_t keyframe_us;      /* when the last one came; 0: none has */
	uint32_t keyframe_ts;
	uint16_t keyframe_seq;  /* its first packet */
	uint8_t fir_seq;        /* RFC 5104 section 4.3.1.1: goes up with each request */
	uint16_t picture_id;    /* VP8: the newest */
	struct rt_dd_state *dd; /* AV1 with dependency descriptors */
	uint64_t plis;
	struct parts parts;
};

struct rt_producer
{
	char id[RT_OBJECT_ID];
	struct rt_producer_home home;
	struct rt_producer *next; /* of the transport */
	struct rt_producer_params params;
	bool paused; /* by the client */
	bool muted;  /* by the host */
	bool screen;
	struct rt_fanout_track track;
	struct layer layers[RT_PARAMS_MAX_ENCODINGS];
	struct recent *recent;          /* opus: RECENT, by number; NULL: nothing has come */
	struct rt_consumer **consumers; /* an array: a packet goes through it from end to end */
	int nconsumers, room;
	uint8_t score;
};

static bool
ssrc_in_use(const struct rt_producer_home *home, uint32_t ssrc)
{
	if (ssrc == 0)
		return false;
	for (const struct rt_producer *p = *home->list; p != NULL; p = p->next)
		for (int i = 0; i < p->params.n_encodings; i++)
			if (p->params.encodings[i].ssrc == ssrc || p->params.encodings[i].rtx_ssrc == ssrc)
				return true;
	return false;
}

static bool
mid_in_use(const struct rt_producer_home *home, const char *mid)
{
	for (const struct rt_producer *p = *home->list; p != NULL; p = p->next)
		if (mid[0] && strcmp(p->params.mid, mid) == 0)
			return true;
	return false;
}

static void
init_layer(struct layer *l, const struct rt_producer_params *params)
{
	l->recv.clock_rate = params->clock_rate;
	if (params->codec == RT_CODEC_AV1 && params->ext.id[RT_EXT_DEPENDENCY_DESCRIPTOR])
		l->dd = rt_alloc(sizeof(*l->dd));
}

/* Of the lowest stream that flows, or of a stream's lowest layers; 1: it has one. */
static double
lowest_part(void *arg)
{
	const struct rt_producer *p = arg;
	uint64_t all = 0, bps;
	int i = 0;

	for (int k = 0; k < p->params.n_encodings; k++)
		all += rt_producer_packet_rate(p, k);
	while (i < p->params.n_encodings - 1 && !rt_producer_layer_live(p, i))
		i++;
	bps = rt_producer_bitrate(p, i);
	if (all == 0 || bps == 0)
		return p->params.type == RT_PRODUCER_SIMPLE ? 1 : USUAL_LOWEST; /* not known yet */
	return (double) rt_producer_packet_rate(p, i) / (double) all *
		   (p->layers[i].parts.known ? fmin((double) rt_producer_cost(p, i, 0, 0, false) / (double) bps, 1) : 1);
}

static void
on_limit(void *arg)
{
	struct rt_producer *p = arg;

	for (int i = 0; i < p->nconsumers; i++)
		rt_consumer_want_allotment(p->consumers[i]);
}

enum rt_result
rt_producer_new(struct rt_producer **pp, const struct rt_producer_home *home, const char *id,
				struct rt_producer_params *params)
{
	struct rt_fanout_handler handler = {lowest_part, on_limit, NULL};
	struct rt_producer *p;

	if (mid_in_use(home, params->mid))
		return RT_BAD_INPUT;
	for (int i = 0; i < params->n_encodings; i++)
		if (ssrc_in_use(home, params->encodings[i].ssrc) || ssrc_in_use(home, params->encodings[i].rtx_ssrc))
			return RT_BAD_INPUT;
	p = rt_alloc(sizeof(*p));
	strncpy(p->id, id, RT_OBJECT_ID - 1);
	p->home = *home;
	p->params = *params;
	p->score = 10;
	for (int i = 0; i < params->n_encodings; i++)
		init_layer(&p->layers[i], params);
	p->next = *home->list;
	*home->list = p;
	p->track.sound = params->kind == RT_KIND_AUDIO;
	handler.arg = p;
	rt_fanout_add(home->user, &p->track, &handler);
	rt_hub_put(home->hub, RT_HUB_PRODUCERS, p->id, p);
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
	rt_params_producer_fini(&p->params);
	free(p->recent);
	free(p->consumers);
	free(p);
}

void
rt_producer_close(struct rt_producer *p)
{
	struct rt_producer **at = p->home.list;

	while (p->nconsumers > 0)
		rt_consumer_close(p->consumers[p->nconsumers - 1]);
	rt_ssrc_table_forget(p->home.ssrcs, p);
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	rt_hub_take(p->home.hub, RT_HUB_PRODUCERS, p->id);
	rt_fanout_remove(&p->track);
	rt_speaker_remove(p->home.speaker, p->id);
	rt_loop_defer(rt_hub_loop(p->home.hub), free_producer, p);
}

void
rt_producer_attach(struct rt_producer *p, struct rt_consumer *c)
{
	if (p->nconsumers == p->room)
	{
		p->room = p->room ? 2 * p->room : 4;
		p->consumers = rt_realloc(p->consumers, (size_t) p->room * sizeof(*p->consumers));
	}
	p->consumers[p->nconsumers++] = c;
	p->track.receivers = (uint32_t) p->nconsumers;
}

void
rt_producer_detach(struct rt_producer *p, struct rt_consumer *c)
{
	int i = 0;

	while (p->consumers[i] != c)
		i++;
	p->consumers[i] = p->consumers[--p->nconsumers];
	p->track.receivers = (uint32_t) p->nconsumers;
}

const char *
rt_producer_id(const struct rt_producer *p)
{
	return p->id;
}

struct rt_producer *
rt_producer_next(const struct rt_producer *p)
{
	return p->next;
}

const struct rt_producer_params *
rt_producer_parameters(const struct rt_producer *p)
{
	return &p->params;
}

bool
rt_producer_is_heard_by(const struct rt_producer *p, const struct rt_speaker *s)
{
	return p->home.speaker == s;
}

bool
rt_producer_flows(const struct rt_producer *p)
{
	return !p->paused && !p->muted;
}

enum rt_fanout_limit
rt_producer_limit(const struct rt_producer *p)
{
	return p->track.limit;
}

uint64_t
rt_producer_copies(const struct rt_producer *p)
{
	return rt_fanout_copies(&p->track);
}

void
rt_producer_set_screen(struct rt_producer *p, bool screen)
{
	p->screen = screen;
}

bool
rt_producer_is_screen(const struct rt_producer *p)
{
	return p->screen;
}

/* A participant's camera and microphone are on one transport. */
bool
rt_producer_speaks(const struct rt_producer *p)
{
	const char *active = rt_speaker_active(p->home.speaker);

	for (const struct rt_producer *q = *p->home.list; active[0] != '\0' && q != NULL; q = q->next)
		if (strcmp(q->id, active) == 0)
			return true;
	return false;
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
		for (int i = 0; i < p->nconsumers; i++)
			rt_consumer_resync(p->consumers[i]);
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
ask_keyframe(struct rt_producer *p, struct layer *l)
{
	uint8_t out[128];
	size_t n;

	if (!l->recv.ssrc)
		return; /* nothing came yet; the first packet will ask */
	l->keyframe_asked_us = rt_hub_now_us(p->home.hub);
	l->plis++;
	rt_hub_count(p->home.hub, RT_HUB_KEYFRAMES_ASKED, 1);
	n = p->params.feedback.pli || !p->params.feedback.fir
			? rt_rtcp_write_pli(out, sizeof(out), RT_RTCP_OUR_SSRC, l->recv.ssrc)
			: rt_rtcp_write_fir(out, sizeof(out), RT_RTCP_OUR_SSRC, l->recv.ssrc, l->fir_seq++);
	rt_webrtc_transport_send_rtcp(p->home.transport, out, n, sizeof(out));
}

static void
ask_when_due(struct rt_producer *p, struct layer *l)
{
	if (l->keyframe_asked_us && rt_hub_now_us(p->home.hub) - l->keyframe_asked_us < l->keyframe_wait_us)
		return;
	l->keyframe_wait_us = l->keyframe_fresh ? KEYFRAME_AGAIN_US : KEYFRAME_EACH_US;
	ask_keyframe(p, l);
}

void
rt_producer_want_keyframe(struct rt_producer *p, int layer, bool fresh)
{
	struct layer *l;

	if (p->params.kind != RT_KIND_VIDEO || layer < 0 || layer >= p->params.n_encodings || !rt_producer_flows(p))
		return;
	l = &p->layers[layer];
	if (!l->keyframe_wanted)
		l->keyframe_wait_us = fresh ? KEYFRAME_GAP_US : KEYFRAME_EACH_US;
	else if (fresh && !l->keyframe_fresh)
		l->keyframe_wait_us = KEYFRAME_AGAIN_US;
	l->keyframe_fresh |= fresh;
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
read_descriptor(struct layer *l, struct rt_packet *p)
{
	p->has_dd = rt_dd_read(&p->dd, &l->dd->structure, p->descriptor, p->descriptor_len) == RT_OK;
	if (!p->has_dd)
		return;
	if (p->dd.has_structure)
		l->dd->active = UINT32_MAX;
	if (p->dd.has_active)
		l->dd->active = p->dd.active;
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
		rt_speaker_level(p->home.speaker, p->id, packet->audio_level.value[0] & 0x7f);
}

/* The numbers of another SSRC have nothing to do with those of the one before. */
static void
follow_ssrc(struct layer *l, uint32_t ssrc)
{
	if (l->recv.ssrc != ssrc)
		l->recv.started = false;
	l->recv.ssrc = ssrc;
}

/* Its numbers may come again, for other packets. */
static void
forget_stream(struct layer *l)
{
	l->keyframe_us = 0;
	if (l->store != NULL)
		rt_store_clear(l->store);
}

/* The sender began anew, with other numbers: what was sent of the old ones says nothing of these. */
static void
resync_layer(struct rt_producer *p, int layer)
{
	for (int i = 0; i < p->nconsumers; i++)
		if (p->params.kind == RT_KIND_AUDIO || p->params.n_encodings == 1 ||
			rt_consumer_outgoing(p->consumers[i]) == layer)
			rt_consumer_resync(p->consumers[i]);
}

/* What of a layer is here behind one number: looked up once, however many consumers begin with that. */
struct behind
{
	bool known;
	int n;
	uint16_t seqs[RT_STORE_PACKETS];
};

static void
find_behind(const struct layer *l, uint16_t seq, struct behind *b)
{
	b->known = true;
	b->n = 0;
	if ((uint16_t) (l->recv.highest - seq) > RT_STORE_PACKETS)
		seq = (uint16_t) (l->recv.highest - RT_STORE_PACKETS); /* the store has nothing older */
	while (l->store != NULL && seq++ != l->recv.highest)
		if (rt_store_find(l->store, seq) != NULL)
			b->seqs[b->n++] = seq;
}

/* A stream began with the packet `seq`, that came late: those behind it are here already, and were not wanted then.
 */
static void
catch_up(const struct rt_producer *p, struct rt_consumer *c, struct layer *l, uint16_t seq, struct behind *b)
{
	if (!b->known)
		find_behind(l, seq, b);
	for (int i = 0; i < b->n; i++)
	{
		struct rt_packet packet = *rt_store_find(l->store, b->seqs[i]);

		packet.arrival_us = rt_hub_now_us(p->home.hub);
		if (packet.descriptor_len && !packet.has_dd)
			read_descriptor(l, &packet); /* its structure was late */
		rt_consumer_forward(c, &packet);
	}
}

bool
rt_producer_replay(struct rt_producer *p, struct rt_consumer *c)
{
	struct layer *l = &p->layers[rt_consumer_wanted(c)];
	const struct rt_packet *first;
	struct rt_packet packet;
	struct behind behind;
	uint64_t now_us = rt_hub_now_us(p->home.hub);

	if (l->store == NULL || !l->keyframe_us ||
		(now_us - l->keyframe_us > REPLAY_US && now_us - l->recv.last_packet_us < STILL_US) ||
		(uint16_t) (l->recv.highest - l->keyframe_seq) >= REPLAY_PACKETS)
		return false;
	first = rt_store_find(l->store, l->keyframe_seq);
	if (first == NULL)
		return false;
	packet = *first;
	packet.arrival_us = now_us;
	if (rt_consumer_forward(c, &packet) != RT_FORWARDED_BEGAN)
		return false;
	behind.known = false;
	catch_up(p, c, l, packet.seq, &behind);
	rt_port_flush(rt_hub_port(p->home.hub));
	return true;
}

/* One that comes late, behind the next one, is not the last one. */
static void
note_keyframe(struct layer *l, const struct rt_packet *p)
{
	bool older = l->keyframe_us && rt_seq_newer(l->keyframe_seq, p->seq);

	l->keyframe_wanted = l->keyframe_fresh = false;
	if (l->keyframe_us && p->ts == l->keyframe_ts)
		l->keyframe_seq = older ? p->seq : l->keyframe_seq;
	else if (!older)
	{
		l->keyframe_us = p->arrival_us;
		l->keyframe_ts = p->ts;
		l->keyframe_seq = p->seq;
	}
}

/* Only codecs that tell their layers in each packet. */
static void
note_parts(struct layer *l, const struct rt_packet *p)
{
	struct parts *q = &l->parts;
	unsigned spatial = p->has_dd ? p->dd.spatial : p->info.sid, temporal = p->has_dd ? p->dd.temporal : p->info.tid;

	if (spatial >= MAX_SPATIAL || temporal >= MAX_TEMPORAL || (p->descriptor_len && !p->has_dd))
		return;
	if (p->arrival_us - q->from_us >= PARTS_US)
	{
		uint64_t took_us = p->arrival_us - q->from_us;

		bool go_on = q->known && took_us < 4 * PARTS_US;

		/* A key frame is no rate: it counts a quarter. */
		for (int s = 0; s < MAX_SPATIAL; s++)
			for (int t = 0; t < MAX_TEMPORAL; t++)
			{
				uint32_t bps = (uint32_t) ((uint64_t) q->bytes[s][t] * 8000000 / took_us);

				q->bps[s][t] = go_on ? q->bps[s][t] / 4 * 3 + bps / 4 : bps;
			}
		q->known = q->from_us && took_us < 4 * PARTS_US;
		memset(q->bytes, 0, sizeof(q->bytes));
		q->from_us = p->arrival_us;
	}
	if (p->ts != q->ts)
	{
		q->pictures++;
		q->ts = p->ts;
	}
	q->bytes[spatial][temporal] += p->payload_len;
	q->seen_us[spatial] = p->arrival_us;
	q->seen_picture[spatial] = q->pictures;
}

/* Picture numbers of 7 bits (RFC 7741 section 4.2) become 15, which is what goes out. */
static void
widen_picture_id(struct layer *l, struct rt_codec_info *info)
{
	int ahead = (int8_t) ((unsigned) (info->picture_id - l->picture_id) << 1) / 2;

	if (!info->has_picture_id)
		return;
	if (info->short_picture_id)
		info->picture_id = (uint16_t) ((l->picture_id + ahead) & 0x7fff);
	if (!info->short_picture_id || ahead > 0)
		l->picture_id = info->picture_id;
}

static void
keep_recent(struct rt_producer *p, const struct rt_packet *packet)
{
	struct recent *r;

	if (p->recent == NULL)
		p->recent = rt_alloc(RECENT * sizeof(*p->recent));
	r = &p->recent[packet->seq % RECENT];
	if (r->len && rt_seq_newer(r->seq, packet->seq) && (uint16_t) (r->seq - packet->seq) < 1000)
		return; /* it came late */
	r->seq = packet->seq;
	r->ts = packet->ts;
	r->len = packet->payload_len <= RECENT_BYTES ? packet->payload_len : 0;
	memcpy(r->data, packet->payload, r->len);
}

size_t
rt_producer_recent(const struct rt_producer *p, uint16_t seq, uint32_t *ts, const uint8_t **data)
{
	const struct recent *r = p->recent != NULL ? &p->recent[seq % RECENT] : NULL;

	if (r == NULL || r->seq != seq)
		return 0;
	*ts = r->ts;
	*data = r->data;
	return r->len;
}

static bool
is_flood(const struct rt_producer *p, const struct rt_recv *r)
{
	return p->params.kind == RT_KIND_AUDIO &&
		   (r->window_packets > MAX_SOUND_PACKETS || r->window_bytes > MAX_SOUND_BYTES);
}

void
rt_producer_packet(struct rt_producer *p, int layer, struct rt_rtp *rtp, bool repair)
{
	struct layer *l = &p->layers[layer];
	uint64_t now_us = rt_hub_now_us(p->home.hub);
	bool video = p->params.kind == RT_KIND_VIDEO, first = !l->recv.started;
	struct rt_packet packet;
	struct behind behind;
	enum rt_recv_result rc;

	if (video && l->store == NULL)
		l->store = rt_store_new(); /* 1.6 MB, and not before something comes: announcing a stream costs nothing */
	if (!repair)
		follow_ssrc(l, rtp->ssrc);
	rc = rt_recv_packet(&l->recv, rtp->seq, rtp->ts, rtp->len, now_us,
						p->params.feedback.nack || p->params.red_pt != RT_NO_PT, repair);
	if (rc == RT_RECV_DUPLICATE || !rt_producer_flows(p) || is_flood(p, &l->recv))
		return;
	p->track.in++;
	if (!video && !rt_fanout_takes_sound(&p->track, now_us))
		return;
	memset(&packet, 0, offsetof(struct rt_packet, orientation));
	packet.orientation.len = packet.audio_level.len = packet.playout_delay.len = packet.capture_time.len = 0;
	packet.seq = rtp->seq;
	packet.marker = rtp->marker;
	packet.layer = (uint8_t) layer;
	packet.ts = rtp->ts;
	packet.arrival_us = now_us;
	packet.payload = rtp->data + rtp->payload_off;
	packet.payload_len = rtp->payload_len;
	if (packet.payload_len && !rt_codec_read(p->params.codec, packet.payload, packet.payload_len, &packet.info))
	{
		rt_hub_count(p->home.hub, RT_HUB_BAD_RTP, 1);
		return;
	}
	widen_picture_id(l, &packet.info);
	read_exts(p, rtp, &packet);
	if (l->dd != NULL)
		find_descriptor(p, rtp, &packet);
	if (packet.descriptor_len)
		read_descriptor(l, &packet);
	note_level(p, &packet);
	if (video && rc != RT_RECV_LATE)
		note_parts(l, &packet);
	if (rc == RT_RECV_BEGIN && !first)
		forget_stream(l);
	if (packet.info.keyframe)
		note_keyframe(l, &packet);
	if (l->store != NULL)
		rt_store_put(l->store, &packet);
	if (p->params.codec == RT_CODEC_OPUS)
		keep_recent(p, &packet);
	if (rc == RT_RECV_BEGIN && !first)
		resync_layer(p, layer);
	if ((rc == RT_RECV_OVERRUN && video) || (first && video && l->keyframe_wanted))
		rt_producer_want_keyframe(p, layer, false);
	behind.known = false;
	if (p->track.limit == RT_FANOUT_NONE)
		return; /* nobody gets it: the allotment has told them, or will at once */
	for (int i = 0; i < p->nconsumers; i++)
	{
		enum rt_forwarded forwarded = rt_consumer_forward(p->consumers[i], &packet);

		p->track.out += forwarded != RT_FORWARDED_NOT;
		if (forwarded == RT_FORWARDED_BEGAN && packet.seq != l->recv.highest)
			catch_up(p, p->consumers[i], l, packet.seq, &behind);
	}
}

/* A number that has not come, and is not older than the run of numbers. */
static bool
lacks(const struct rt_recv *r, uint32_t ssrc, uint16_t seq)
{
	if (!r->started || r->ssrc != ssrc)
		return false;
	if (rt_seq_newer(seq, r->highest))
		return true;
	for (int i = 0; i < r->nmissing; i++)
		if (r->missing[i].seq == seq)
			return true;
	return false;
}

/* RFC 2198 does not number its blocks.  Senders put the packets right before this one into it, the oldest first.  One
 * of another payload type, RED itself included, is not the track's. */
void
rt_producer_redundant(struct rt_producer *p, int layer, struct rt_rtp *rtp)
{
	struct rt_red_block blocks[RT_RED_BLOCKS];
	int n = rt_red_read(blocks, rtp->data + rtp->payload_off, rtp->payload_len);

	if (n == 0)
		rt_hub_count(p->home.hub, RT_HUB_BAD_RTP, 1);
	for (int i = 0; i < n; i++)
	{
		bool last = i == n - 1;
		struct rt_rtp one = *rtp;

		one.seq = (uint16_t) (rtp->seq - (n - 1 - i));
		if (blocks[i].pt != p->params.pt)
			continue;
		if (!last && (blocks[i].len == 0 || !lacks(&p->layers[layer].recv, rtp->ssrc, one.seq)))
			continue;
		one.ts -= blocks[i].ts_offset;
		one.payload_off = (size_t) (blocks[i].data - rtp->data);
		one.payload_len = blocks[i].len;
		if (!last)
			one.ext_len = 0; /* the extensions are the last one's */
		rt_producer_packet(p, layer, &one, !last);
	}
}

/* ---- each tick ---- */

static void
send_nacks(struct rt_producer *p, int layer)
{
	struct layer *l = &p->layers[layer];
	uint16_t seqs[MAX_NACK];
	uint8_t out[RTCP_ROOM];
	bool give_up;
	int n = rt_recv_due(&l->recv, rt_hub_now_us(p->home.hub), rt_webrtc_transport_rtt_ms(p->home.transport), seqs,
						MAX_NACK, &give_up);

	rt_hub_count(p->home.hub, RT_HUB_NACKS_SENT, (uint64_t) n);
	if (n)
		rt_webrtc_transport_send_rtcp(
			p->home.transport, out,
			rt_rtcp_write_nack(out, sizeof(out) - RT_SRTP_OVERHEAD, RT_RTCP_OUR_SSRC, l->recv.ssrc, seqs, n),
			sizeof(out));
	if (give_up)
		rt_producer_want_keyframe(p, layer, false);
}

/* Sound must come before it is to be played: by a long way it is not asked for. */
static bool
asks_again(const struct rt_producer *p)
{
	return p->params.kind == RT_KIND_VIDEO || rt_resend_helps_audio(rt_webrtc_transport_rtt_ms(p->home.transport));
}

void
rt_producer_tick(struct rt_producer *p)
{
	if (!rt_producer_flows(p))
		return;
	for (int i = 0; i < p->params.n_encodings; i++)
	{
		struct layer *l = &p->layers[i];

		if (l->recv.nmissing && p->params.feedback.nack && asks_again(p))
			send_nacks(p, i);
		if (l->keyframe_wanted)
			ask_when_due(p, l);
	}
}

uint64_t
rt_producer_bitrate(const struct rt_producer *p, int layer)
{
	return rt_recv_bitrate(&p->layers[layer].recv, rt_hub_now_us(p->home.hub));
}

uint64_t
rt_producer_packet_rate(const struct rt_producer *p, int layer)
{
	return rt_recv_packet_rate(&p->layers[layer].recv, rt_hub_now_us(p->home.hub));
}

uint64_t
rt_producer_cost(const struct rt_producer *p, int layer, int spatial, int temporal, bool alone)
{
	const struct parts *q = &p->layers[layer].parts;
	uint64_t bps = 0;

	if (!q->known || rt_producer_bitrate(p, layer) == 0)
		return 0;
	for (int s = alone ? spatial : 0; s <= spatial && s < MAX_SPATIAL; s++)
		for (int t = 0; t <= temporal && t < MAX_TEMPORAL; t++)
			bps += q->bps[s][t];
	return bps;
}

bool
rt_producer_spatial_live(const struct rt_producer *p, int spatial)
{
	const struct layer *l = &p->layers[0];
	const struct parts *q = &l->parts;

	if (!q->pictures || spatial >= MAX_SPATIAL)
		return true; /* not told */
	return q->pictures - q->seen_picture[spatial] < SPATIAL_PICTURES ||
		   l->recv.last_packet_us - q->seen_us[spatial] < SPATIAL_SILENCE_US;
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

/* ---- what others ask ---- */

uint8_t
rt_producer_score(const struct rt_producer *p)
{
	return p->score;
}

void
rt_producer_sender_report(struct rt_producer *p, int layer, const struct rt_rtcp_sr *sr)
{
	rt_recv_sr(&p->layers[layer].recv, sr, rt_hub_now_us(p->home.hub));
}

bool
rt_producer_report(struct rt_producer *p, int layer, struct rt_rtcp_report *out)
{
	struct rt_recv *r = &p->layers[layer].recv;

	if (!r->started)
		return false;
	rt_recv_report(r, rt_hub_now_us(p->home.hub), out);
	p->score = (uint8_t) (10 - r->fraction_lost * 10 / 256);
	return true;
}

bool
rt_producer_clock(const struct rt_producer *p, int layer, uint32_t *rtp_ts, uint64_t *at_us)
{
	const struct rt_recv *r = &p->layers[layer].recv;

	*rtp_ts = r->sr_rtp_ts;
	*at_us = r->sr_at_us;
	return r->sr_at_us != 0;
}

const struct rt_packet *
rt_producer_stored(const struct rt_producer *p, int layer, uint16_t seq)
{
	const struct rt_store *store = p->layers[layer].store;

	return store != NULL ? rt_store_find(store, seq) : NULL;
}

const struct rt_dd_state *
rt_producer_dd_state(const struct rt_producer *p)
{
	return p->layers[0].dd;
}

void
rt_producer_read_stats(const struct rt_producer *p, int layer, struct rt_producer_layer_stats *out)
{
	const struct layer *l = &p->layers[layer];
	const struct rt_recv *r = &l->recv;

	*out = (struct rt_producer_layer_stats){.ssrc = r->ssrc,
											.packets = r->packets,
											.bytes = r->bytes,
											.bitrate_bps = rt_producer_bitrate(p, layer),
											.lost = rt_recv_lost(r),
											.fraction_lost = r->fraction_lost,
											.jitter_ms = r->clock_rate ? 1000 * r->jitter / r->clock_rate : 0,
											.nacks = r->nacks,
											.nacked_packets = r->nacked_packets,
											.repaired = r->repaired,
											.discarded = r->discarded,
											.plis = l->plis,
											.rtt_ms = rt_webrtc_transport_rtt_ms(p->home.transport)};
}
