/* layers.c: see layers.h.  Called by the consumer that it lies in, for each packet of its producer.
 *
 * What must stay true, for whoever decodes what goes out:
 * - Nothing is forwarded before a key frame of the stream that is to go out.
 * - A spatial layer is entered at a key frame (VP8, H.264, VP9 simulcast), a key picture (VP9 SVC) or a frame with a
 *   switch indication whose references were all sent (AV1).
 * - A temporal layer is entered at a frame that depends on nothing above the present one (VP8: Y bit, RFC 7741
 *   section 4.2; VP9: U bit, RFC 9628 section 4.2), and left at any frame's start.
 * - A change takes place at a frame's first packet that comes in order: what is behind it has gone out, or not, by
 *   the level before. */
#include "layers.h"

#include "bgworker/media/rtp/seq.h"

/* Of one stream only VP9's payload tells the spatial layer, and only VP8's and VP9's the temporal one, of AV1 the
 * dependency descriptor both: others are forwarded whole, whatever layers were announced. */
int
rt_layers_spatial_count(const struct rt_layers *l)
{
	if (l->simulcast)
		return l->encodings;
	return l->spatial < 1 || (l->codec != RT_CODEC_VP9 && l->dd == NULL) ? 1 : l->spatial;
}

int
rt_layers_temporal_count(const struct rt_layers *l)
{
	bool told = l->codec == RT_CODEC_VP8 || l->codec == RT_CODEC_VP9 || l->dd != NULL;

	return l->temporal < 1 || !told ? 1 : l->temporal;
}

int
rt_layers_encoding(const struct rt_layers *l)
{
	return l->simulcast ? (l->target.spatial < 0 ? 0 : l->target.spatial) : 0;
}

int
rt_layers_outgoing(const struct rt_layers *l)
{
	return l->simulcast && l->current.spatial >= 0 ? l->current.spatial : rt_layers_encoding(l);
}

void
rt_layers_init(struct rt_layers *l, const struct rt_producer_params *p, const struct rt_dd_state *dd)
{
	*l = (struct rt_layers){.video = p->kind == RT_KIND_VIDEO,
							.simulcast = p->type == RT_PRODUCER_SIMULCAST,
							.key = p->encodings[0].layers.key,
							.codec = p->codec,
							.encodings = (uint8_t) p->n_encodings,
							.spatial = p->encodings[0].layers.spatial,
							.temporal = p->encodings[0].layers.temporal,
							.dd = p->type == RT_PRODUCER_SIMULCAST ? NULL : dd,
							.current = {-1, -1},
							.told = {-1, -1},
							.reason = "starting"};
	l->preferred.spatial = (int8_t) (rt_layers_spatial_count(l) - 1);
	l->preferred.temporal = (int8_t) (rt_layers_temporal_count(l) - 1);
	l->target = l->preferred;
	if (l->simulcast)
		l->target.spatial = 0;
}

void
rt_layers_restart(struct rt_layers *l)
{
	l->current.spatial = l->current.temporal = -1;
}

static void
set_current(struct rt_layers *l, int spatial, int temporal)
{
	l->current = (struct rt_level){(int8_t) spatial, (int8_t) temporal};
}

bool
rt_layers_take_change(struct rt_layers *l)
{
	if (!l->video || l->current.spatial < 0 ||
		(l->current.spatial == l->told.spatial && l->current.temporal == l->told.temporal))
		return false;
	l->told = l->current;
	return true;
}

void
rt_layers_forget_told(struct rt_layers *l)
{
	l->told = (struct rt_level){-1, -1};
}

static enum rt_layers_verdict
judge_simulcast(struct rt_layers *l, const struct rt_packet *p)
{
	if (p->layer == l->target.spatial && p->layer != l->current.spatial && p->info.keyframe)
	{
		set_current(l, p->layer, l->target.temporal);
		return RT_LAYERS_BEGIN;
	}
	return p->layer == l->current.spatial ? RT_LAYERS_FORWARD : RT_LAYERS_IGNORE;
}

static enum rt_layers_verdict
judge_single(struct rt_layers *l, const struct rt_packet *p, bool fresh)
{
	if (!fresh)
		return RT_LAYERS_FORWARD;
	if (!p->info.keyframe)
		return RT_LAYERS_IGNORE;
	set_current(l, l->target.spatial, l->target.temporal);
	return RT_LAYERS_BEGIN;
}

/* Not one that came late: what is behind it has gone out, or was left out, by then. */
static bool
begins_next_frame(const struct rt_packet *p, uint16_t highest_in)
{
	return p->info.begin && rt_seq_newer(p->seq, highest_in);
}

/* Up: at the start of a frame from which this layer can be decoded.  Down: at once, at a frame's start. */
static void
follow_temporal(struct rt_layers *l, const struct rt_packet *p, uint16_t highest_in)
{
	if (l->current.temporal == l->target.temporal || !begins_next_frame(p, highest_in))
		return;
	if (l->target.temporal < l->current.temporal || p->info.tid == 0 || p->info.sync)
		set_current(l, l->current.spatial, l->target.temporal);
}

/* SVC within one stream: up at a key picture, down at the end of a picture (its first packet). */
static void
follow_spatial(struct rt_layers *l, const struct rt_packet *p, uint16_t highest_in)
{
	if (l->simulcast || l->current.spatial == l->target.spatial || !begins_next_frame(p, highest_in) ||
		p->info.sid != 0)
		return;
	if (p->info.key_picture || (l->target.spatial < l->current.spatial && !l->key))
		set_current(l, l->target.spatial, l->current.temporal);
}

static bool
is_wanted(const struct rt_layers *l, const struct rt_packet *p)
{
	/* At the highest announced layer nothing is left out: some send more layers than they announce. */
	if (p->info.tid > l->current.temporal && l->current.temporal < rt_layers_temporal_count(l) - 1)
		return false;
	if (l->codec == RT_CODEC_AV1)
		return true; /* without descriptors: all of it */
	if (rt_layers_spatial_count(l) == 1 || l->simulcast || p->info.sid == l->current.spatial)
		return true;
	if (p->info.sid > l->current.spatial)
		return false;
	/* K-SVC: between key pictures each layer is predicted from itself alone */
	return !l->key || p->info.key_picture;
}

/* ---- AV1: decode targets, by the dependency descriptor ---- */

static int
wanted_target(const struct rt_layers *l)
{
	bool all_spatial = l->target.spatial >= rt_layers_spatial_count(l) - 1;
	bool all_temporal = l->target.temporal >= rt_layers_temporal_count(l) - 1;

	/* At the highest announced layer nothing is left out: some send more layers than they announce. */
	return rt_dd_best(&l->dd->structure, l->dd->active, all_spatial ? RT_DD_SPATIAL : l->target.spatial,
					  all_temporal ? RT_DD_TEMPORAL : l->target.temporal);
}

static void
set_decode_target(struct rt_layers *l, int target)
{
	const struct rt_dd_structure *s = &l->dd->structure;

	l->decode_target = (int8_t) target;
	set_current(l, s->target_spatial[target], s->target_temporal[target]);
	l->restricted |= rt_layers_targets(l) != (uint32_t) (((uint64_t) 1 << s->ntargets) - 1);
}

/* The receiver has all that this frame needs. */
static bool
is_decodable(const struct rt_layers *l, const struct rt_dd *d)
{
	int ahead = (int16_t) (d->frame - l->frame);
	uint64_t sent = ahead >= 1 && ahead <= 64 ? l->frames << (ahead - 1) : 0; /* bit i: d->frame - 1 - i */

	return !d->far_refs && ahead >= 1 && (d->refs & ~sent) == 0;
}

static void
note_frame(struct rt_layers *l, uint16_t frame)
{
	int ahead = (int16_t) (frame - l->frame);

	if (ahead > 0)
	{
		l->frames = ahead < 64 ? l->frames << ahead : 0;
		l->frame = frame;
	}
	if (ahead > -64)
		l->frames |= (uint64_t) 1 << (ahead > 0 ? 0 : -ahead);
}

static enum rt_layers_verdict
begin_targets(struct rt_layers *l, const struct rt_packet *p)
{
	if (!p->has_dd || !p->dd.start || !p->dd.has_structure || p->dd.refs || p->dd.far_refs)
		return RT_LAYERS_IGNORE;
	set_decode_target(l, wanted_target(l));
	l->frame = p->dd.frame;
	l->frames = 1;
	return RT_LAYERS_BEGIN;
}

/* To another target at a frame that allows it: one with a switch indication, that the receiver can decode. */
static void
follow_target(struct rt_layers *l, const struct rt_packet *p, uint16_t highest_in)
{
	int target = wanted_target(l);

	if (!p->dd.start || !rt_seq_newer(p->seq, highest_in))
		return;
	if (p->dd.has_structure && !p->dd.refs) /* targets may have other numbers from here on */
		set_decode_target(l, target);
	else if (target != l->decode_target && rt_dd_dti(&p->dd, target) == RT_DTI_SWITCH && is_decodable(l, &p->dd))
		set_decode_target(l, target);
}

static enum rt_layers_verdict
judge_targets(struct rt_layers *l, const struct rt_packet *p, bool fresh, uint16_t highest_in)
{
	if (fresh)
		return begin_targets(l, p);
	if (!p->has_dd)
		return RT_LAYERS_FORWARD; /* of a key frame whose first packet is late: all of it may be needed */
	follow_target(l, p, highest_in);
	if (rt_dd_dti(&p->dd, l->decode_target) == RT_DTI_NOT_PRESENT)
		return RT_LAYERS_DROP;
	note_frame(l, p->dd.frame);
	return RT_LAYERS_FORWARD;
}

uint32_t
rt_layers_targets(const struct rt_layers *l)
{

	return rt_dd_within(&l->dd->structure, l->current.spatial, l->current.temporal) & l->dd->active;
}

enum rt_layers_verdict
rt_layers_judge(struct rt_layers *l, const struct rt_packet *p, bool fresh, uint16_t highest_in)
{
	enum rt_layers_verdict v;

	if (!l->video)
		return fresh ? RT_LAYERS_BEGIN : RT_LAYERS_FORWARD;
	if (l->dd != NULL && p->descriptor_len)
		return judge_targets(l, p, fresh, highest_in);
	v = l->simulcast ? judge_simulcast(l, p) : judge_single(l, p, fresh);
	if (v == RT_LAYERS_IGNORE)
		return v;
	if (v == RT_LAYERS_FORWARD)
	{
		follow_spatial(l, p, highest_in);
		follow_temporal(l, p, highest_in);
	}
	return is_wanted(l, p) ? v : RT_LAYERS_DROP;
}

/* With upper spatial layers left out, the marker belongs to the last packet that is left of the picture. */
bool
rt_layers_marker(const struct rt_layers *l, const struct rt_packet *p)
{
	if (p->marker || rt_layers_spatial_count(l) < 2)
		return p->marker;
	if (p->has_dd)
		return p->dd.end && p->dd.spatial == l->current.spatial;
	if (l->codec != RT_CODEC_VP9)
		return false;
	return p->info.end && p->info.sid == l->current.spatial;
}

void
rt_layers_prefer(struct rt_layers *l, int spatial, int temporal)
{
	int max_s = rt_layers_spatial_count(l) - 1, max_t = rt_layers_temporal_count(l) - 1;

	l->preferred.spatial = (int8_t) (spatial < 0 ? 0 : spatial > max_s ? max_s : spatial);
	l->preferred.temporal = (int8_t) (temporal < 0 || temporal > max_t ? max_t : temporal);
}

bool
rt_layers_aim(struct rt_layers *l, struct rt_level target, const char *reason)
{
	bool moves = target.spatial != l->target.spatial;

	l->target = target;
	l->reason = reason;
	return moves;
}
