#include "layers.h"

#include "consumer.h"
#include "producer.h"
#include "report.h"

static bool
is_simulcast(const struct rt_consumer *c)
{
	return c->producer->params.type == RT_PRODUCER_SIMULCAST;
}

static bool
is_video(const struct rt_consumer *c)
{
	return c->params.kind == RT_KIND_VIDEO;
}

static bool
has_descriptors(const struct rt_consumer *c)
{
	return c->producer->layers[0].dd != NULL;
}

/* Of one stream only VP9's payload tells the spatial layer, and only VP8's and VP9's the temporal one, of AV1 the
 * dependency descriptor both: others are forwarded whole, whatever layers were announced. */
int
rt_layers_spatial_count(const struct rt_consumer *c)
{
	int n = c->producer->params.encodings[0].layers.spatial;

	if (is_simulcast(c))
		return c->producer->params.n_encodings;
	return n < 1 || (c->params.codec != RT_CODEC_VP9 && !has_descriptors(c)) ? 1 : n;
}

int
rt_layers_temporal_count(const struct rt_consumer *c)
{
	int n = c->producer->params.encodings[0].layers.temporal;

	return n < 1 || (c->params.codec != RT_CODEC_VP8 && c->params.codec != RT_CODEC_VP9 && !has_descriptors(c)) ? 1
																												: n;
}

int
rt_layers_encoding(const struct rt_consumer *c)
{
	return is_simulcast(c) ? (c->target_spatial < 0 ? 0 : c->target_spatial) : 0;
}

int
rt_layers_outgoing(const struct rt_consumer *c)
{
	return is_simulcast(c) && c->current_spatial >= 0 ? c->current_spatial : rt_layers_encoding(c);
}

void
rt_layers_init(struct rt_consumer *c)
{
	c->preferred_spatial = (int8_t) (rt_layers_spatial_count(c) - 1);
	c->preferred_temporal = (int8_t) (rt_layers_temporal_count(c) - 1);
	c->target_spatial = 0;
	c->target_temporal = c->preferred_temporal;
	c->current_spatial = c->current_temporal = c->told_spatial = c->told_temporal = -1;
	c->reason = "starting";
	if (!is_simulcast(c))
		c->target_spatial = c->preferred_spatial;
}

void
rt_layers_restart(struct rt_consumer *c)
{
	c->current_spatial = c->current_temporal = -1;
}

static void
set_current(struct rt_consumer *c, int spatial, int temporal)
{
	c->current_spatial = (int8_t) spatial;
	c->current_temporal = (int8_t) temporal;
	if (is_video(c) && (spatial != c->told_spatial || temporal != c->told_temporal))
	{
		c->transport->engine->layer_changes++;
		rt_report_layers(c);
	}
}

static enum rt_layers_verdict
judge_simulcast(struct rt_consumer *c, const struct rt_packet *p)
{
	if (p->layer == c->target_spatial && p->layer != c->current_spatial && p->info.keyframe)
	{
		set_current(c, p->layer, c->target_temporal);
		return RT_LAYERS_BEGIN;
	}
	return p->layer == c->current_spatial ? RT_LAYERS_FORWARD : RT_LAYERS_IGNORE;
}

static enum rt_layers_verdict
judge_single(struct rt_consumer *c, const struct rt_packet *p)
{
	if (!c->need_sync)
		return RT_LAYERS_FORWARD;
	if (!p->info.keyframe)
		return RT_LAYERS_IGNORE;
	set_current(c, c->target_spatial, c->target_temporal);
	return RT_LAYERS_BEGIN;
}

/* Not one that came late: what is behind it has gone out, or was left out, by then. */
static bool
begins_next_frame(const struct rt_consumer *c, const struct rt_packet *p)
{
	return p->info.begin && rt_seq_newer(p->seq, c->seq.highest_in);
}

/* Up: at the start of a frame from which this layer can be decoded.  Down: at once, at a frame's start. */
static void
follow_temporal(struct rt_consumer *c, const struct rt_packet *p)
{
	if (c->current_temporal == c->target_temporal || !begins_next_frame(c, p))
		return;
	if (c->target_temporal < c->current_temporal || p->info.tid == 0 || p->info.sync)
		set_current(c, c->current_spatial, c->target_temporal);
}

/* SVC within one stream: up at a key picture, down at the end of a picture (its first packet). */
static void
follow_spatial(struct rt_consumer *c, const struct rt_packet *p)
{
	if (is_simulcast(c) || c->current_spatial == c->target_spatial || !begins_next_frame(c, p) || p->info.sid != 0)
		return;
	if (p->info.key_picture ||
		(c->target_spatial < c->current_spatial && !c->producer->params.encodings[0].layers.key))
		set_current(c, c->target_spatial, c->current_temporal);
}

static bool
is_wanted(const struct rt_consumer *c, const struct rt_packet *p)
{
	/* At the highest announced layer nothing is left out: some send more layers than they announce. */
	if (p->info.tid > c->current_temporal && c->current_temporal < rt_layers_temporal_count(c) - 1)
		return false;
	if (c->params.codec == RT_CODEC_AV1)
		return true; /* without descriptors: all of it */
	if (rt_layers_spatial_count(c) == 1 || is_simulcast(c) || p->info.sid == c->current_spatial)
		return true;
	if (p->info.sid > c->current_spatial)
		return false;
	/* K-SVC: between key pictures each layer is predicted from itself alone */
	return !c->producer->params.encodings[0].layers.key || p->info.key_picture;
}

/* ---- AV1: decode targets, by the dependency descriptor ---- */

static int
wanted_target(const struct rt_consumer *c)
{
	const struct rt_layer *l = &c->producer->layers[0];
	bool all_spatial = c->target_spatial >= rt_layers_spatial_count(c) - 1;
	bool all_temporal = c->target_temporal >= rt_layers_temporal_count(c) - 1;

	/* At the highest announced layer nothing is left out: some send more layers than they announce. */
	return rt_dd_best(l->dd, l->dd_active, all_spatial ? RT_DD_SPATIAL : c->target_spatial,
					  all_temporal ? RT_DD_TEMPORAL : c->target_temporal);
}

static void
set_decode_target(struct rt_consumer *c, int target)
{
	const struct rt_dd_structure *s = c->producer->layers[0].dd;

	c->decode_target = (int8_t) target;
	set_current(c, s->target_spatial[target], s->target_temporal[target]);
	c->restricted |= rt_layers_targets(c) != (uint32_t) (((uint64_t) 1 << s->ntargets) - 1);
}

/* The receiver has all that this frame needs. */
static bool
is_decodable(const struct rt_consumer *c, const struct rt_dd *d)
{
	int ahead = (int16_t) (d->frame - c->frame);
	uint64_t sent = ahead >= 1 && ahead <= 64 ? c->frames << (ahead - 1) : 0; /* bit i: d->frame - 1 - i */

	return !d->far_refs && ahead >= 1 && (d->refs & ~sent) == 0;
}

static void
note_frame(struct rt_consumer *c, uint16_t frame)
{
	int ahead = (int16_t) (frame - c->frame);

	if (ahead > 0)
	{
		c->frames = ahead < 64 ? c->frames << ahead : 0;
		c->frame = frame;
	}
	if (ahead > -64)
		c->frames |= (uint64_t) 1 << (ahead > 0 ? 0 : -ahead);
}

static enum rt_layers_verdict
begin_targets(struct rt_consumer *c, const struct rt_packet *p)
{
	if (!p->has_dd || !p->dd.start || !p->dd.has_structure || p->dd.refs || p->dd.far_refs)
		return RT_LAYERS_IGNORE;
	set_decode_target(c, wanted_target(c));
	c->frame = p->dd.frame;
	c->frames = 1;
	return RT_LAYERS_BEGIN;
}

/* To another target at a frame that allows it: one with a switch indication, that the receiver can decode. */
static void
follow_target(struct rt_consumer *c, const struct rt_packet *p)
{
	int target = wanted_target(c);

	if (!p->dd.start || !rt_seq_newer(p->seq, c->seq.highest_in))
		return;
	if (p->dd.has_structure && !p->dd.refs) /* targets may have other numbers from here on */
		set_decode_target(c, target);
	else if (target != c->decode_target && rt_dd_dti(&p->dd, target) == RT_DTI_SWITCH && is_decodable(c, &p->dd))
		set_decode_target(c, target);
}

static enum rt_layers_verdict
judge_targets(struct rt_consumer *c, const struct rt_packet *p)
{
	if (c->need_sync)
		return begin_targets(c, p);
	if (!p->has_dd)
		return RT_LAYERS_FORWARD; /* of a key frame whose first packet is late: all of it may be needed */
	follow_target(c, p);
	if (rt_dd_dti(&p->dd, c->decode_target) == RT_DTI_NOT_PRESENT)
		return RT_LAYERS_DROP;
	note_frame(c, p->dd.frame);
	return RT_LAYERS_FORWARD;
}

uint32_t
rt_layers_targets(const struct rt_consumer *c)
{
	const struct rt_layer *l = &c->producer->layers[0];

	return rt_dd_within(l->dd, c->current_spatial, c->current_temporal) & l->dd_active;
}

enum rt_layers_verdict
rt_layers_judge(struct rt_consumer *c, const struct rt_packet *p)
{
	enum rt_layers_verdict v;

	if (!is_video(c))
		return c->need_sync ? RT_LAYERS_BEGIN : RT_LAYERS_FORWARD;
	if (has_descriptors(c) && p->descriptor_len)
		return judge_targets(c, p);
	v = is_simulcast(c) ? judge_simulcast(c, p) : judge_single(c, p);
	if (v == RT_LAYERS_IGNORE)
		return v;
	if (v == RT_LAYERS_FORWARD)
	{
		follow_spatial(c, p);
		follow_temporal(c, p);
	}
	return is_wanted(c, p) ? v : RT_LAYERS_DROP;
}

/* With upper spatial layers left out, the marker belongs to the last packet that is left of the picture. */
bool
rt_layers_marker(const struct rt_consumer *c, const struct rt_packet *p)
{
	if (p->marker || rt_layers_spatial_count(c) < 2)
		return p->marker;
	if (p->has_dd)
		return p->dd.end && p->dd.spatial == c->current_spatial;
	if (c->params.codec != RT_CODEC_VP9)
		return false;
	return p->info.end && p->info.sid == c->current_spatial;
}

void
rt_layers_prefer(struct rt_consumer *c, int spatial, int temporal)
{
	int max_s = rt_layers_spatial_count(c) - 1, max_t = rt_layers_temporal_count(c) - 1;

	c->preferred_spatial = (int8_t) (spatial < 0 ? 0 : spatial > max_s ? max_s : spatial);
	c->preferred_temporal = (int8_t) (temporal < 0 || temporal > max_t ? max_t : temporal);
	c->transport->layers_us = 0; /* at the next tick */
	c->transport->upgrade_us = 0;
}
