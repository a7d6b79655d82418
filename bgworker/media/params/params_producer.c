/* params_producer.c: see params_producer.h
 *
 * A producer has one media codec, and its retransmissions or, for opus, redundancy. */
#include "params_producer.h"

#include "params_codec.h"
#include "params_field.h"
#include "params_map.h"
#include "params_rtp.h"

#include <stdio.h>
#include <string.h>

/* `to` has room: the check of the parameters bounds each of them. */
static void
copy_string(char *to, size_t size, const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	snprintf(to, size, "%s", value != NULL ? value : "");
}

static enum rt_result
fail(struct rt_params_error *e, const char *key, const char *what)
{
	struct rt_field_scope s = {NULL, "rtpParameters", e};

	return rt_params_field_fail(&s, key, what);
}

static enum rt_result
check_codecs(const json_t *codecs, enum rt_kind kind, struct rt_params_error *e)
{
	int media = 0, rtx = 0, red = 0;
	size_t i;

	for (i = 0; i < json_array_size(codecs); i++)
	{
		if (rt_params_codec_kind(json_array_get(codecs, i)) != kind)
			return fail(e, "codecs", "has a codec of the other kind");
		if (rt_params_codec_is_rtx(json_array_get(codecs, i)))
			rtx++;
		else if (rt_params_codec_is_red(json_array_get(codecs, i)))
			red++;
		else
			media++;
	}
	if (media != 1 || rtx + red > 1)
		return fail(e, "codecs", "must be one media codec, and its retransmissions or redundancy if any");
	return RT_OK;
}

/* All of a client's tracks carry the CNAME of its first one, so that receivers play them in step. */
static void
set_cname(json_t *params, const struct rt_producer_context *ctx)
{
	json_t *rtcp = json_object_get(params, "rtcp");

	if (ctx->cname != NULL)
		json_object_set_new(rtcp, "cname", json_string(ctx->cname));
	else if (json_string_length(json_object_get(rtcp, "cname")) == 0)
		json_object_set_new(rtcp, "cname", json_string(ctx->default_cname));
}

static const json_t *
find_media(const json_t *codecs)
{
	const json_t *first = json_array_get(codecs, 0);

	return rt_params_codec_is_rtx(first) || rt_params_codec_is_red(first) ? json_array_get(codecs, 1) : first;
}

static enum rt_result
read_codecs(struct rt_producer_params *p, const json_t *params, struct rt_params_error *e)
{
	json_t *codecs = json_object_get(params, "codecs");
	const json_t *media = find_media(codecs);
	const json_t *rtx = rt_params_codec_find_rtx(codecs, rt_params_codec_int(media, "payloadType"));
	const json_t *red = rt_params_codec_find_red(codecs);

	if (!rt_params_find_codec(json_string_value(json_object_get(media, "mimeType")), &p->codec))
		return fail(e, "codecs", "has a codec that is not forwarded");
	p->pt = rt_params_codec_int(media, "payloadType");
	p->rtx_pt = rtx != NULL ? rt_params_codec_int(rtx, "payloadType") : RT_NO_PT;
	p->red_pt = red != NULL ? rt_params_codec_int(red, "payloadType") : RT_NO_PT;
	p->clock_rate = rt_params_codec_int(media, "clockRate");
	p->feedback = rt_params_codec_feedback(media);
	return RT_OK;
}

static void
read_encoding(struct rt_encoding *out, const json_t *encoding, uint32_t mapped_ssrc)
{
	out->ssrc = rt_params_codec_int(encoding, "ssrc");
	out->rtx_ssrc = rt_params_codec_int(json_object_get(encoding, "rtx"), "ssrc");
	copy_string(out->rid, sizeof(out->rid), encoding, "rid");
	out->mapped_ssrc = mapped_ssrc;
	out->layers = rt_params_scalability(json_string_value(json_object_get(encoding, "scalabilityMode")));
	out->dtx = json_is_true(json_object_get(encoding, "dtx"));
	out->max_bitrate_bps = json_number_value(json_object_get(encoding, "maxBitrate"));
}

/* Whether each stream can be told from the others by its first packets. */
static enum rt_result
check_encodings(const struct rt_producer_params *p, const json_t *encodings, struct rt_params_error *e)
{
	int i;

	for (i = 0; i < p->n_encodings; i++)
	{
		json_t *pt = json_object_get(json_array_get(encodings, i), "codecPayloadType");
		bool known = p->encodings[i].ssrc != 0 || p->encodings[i].rid[0] != '\0';

		if (pt != NULL && json_integer_value(pt) != p->pt && json_integer_value(pt) != p->red_pt)
			return fail(e, "encodings", "has a codecPayloadType that is not the media codec's");
		if (!known && p->n_encodings > 1)
			return fail(e, "encodings", "each of several needs an ssrc or a rid");
		if (!known && p->mid[0] == '\0')
			return fail(e, "mid", "is needed where the encoding has neither ssrc nor rid");
	}
	return RT_OK;
}

static enum rt_result
read_encodings(struct rt_producer_params *p, const json_t *params, uint32_t first_ssrc, struct rt_params_error *e)
{
	json_t *encodings = json_object_get(params, "encodings");
	int i;

	p->n_encodings = (int) json_array_size(encodings);
	for (i = 0; i < p->n_encodings; i++)
		read_encoding(&p->encodings[i], json_array_get(encodings, i), first_ssrc + i);
	return check_encodings(p, encodings, e);
}

static enum rt_result
find_simulcast(struct rt_producer_params *p, struct rt_params_error *e)
{
	int i;

	if (p->codec != RT_CODEC_VP8 && p->codec != RT_CODEC_H264)
		return fail(e, "encodings", "this codec is not forwarded as simulcast");
	for (i = 0; i < p->n_encodings; i++)
	{
		if (p->encodings[i].layers.spatial > 1)
			return fail(e, "encodings", "simulcast and spatial layers exclude each other");
	}
	p->type = RT_PRODUCER_SIMULCAST;
	return RT_OK;
}

static enum rt_result
find_type(struct rt_producer_params *p, struct rt_params_error *e)
{
	const struct rt_scalability *layers = &p->encodings[0].layers;

	if (p->n_encodings > 1)
		return find_simulcast(p, e);
	if (layers->spatial == 1 && layers->temporal == 1)
		p->type = RT_PRODUCER_SIMPLE;
	else if (p->kind == RT_KIND_VIDEO)
		p->type = RT_PRODUCER_SVC;
	else
		return fail(e, "encodings", "audio has no layers");
	return RT_OK;
}

static void
read_mapping(struct rt_producer_params *p, const json_t *mapping)
{
	json_t *codecs = json_object_get(mapping, "codecs");
	size_t i;

	p->mapped_rtx_pt = RT_NO_PT;
	for (i = 0; i < json_array_size(codecs); i++)
	{
		json_t *item = json_array_get(codecs, i);

		if (rt_params_codec_int(item, "payloadType") == p->pt)
			p->mapped_pt = rt_params_codec_int(item, "mappedPayloadType");
		else if (rt_params_codec_int(item, "payloadType") == p->rtx_pt)
			p->mapped_rtx_pt = rt_params_codec_int(item, "mappedPayloadType");
	}
}

/* params: checked, and ours to change. */
static enum rt_result
read_params(struct rt_producer_params *p, json_t *params, const struct rt_producer_context *ctx,
			struct rt_params_error *e)
{
	json_t *mapping = NULL;
	enum rt_result rc = check_codecs(json_object_get(params, "codecs"), p->kind, e);

	if (json_array_size(json_object_get(params, "encodings")) == 0)
		json_array_append_new(json_object_get(params, "encodings"), json_object());
	set_cname(params, ctx);
	copy_string(p->mid, sizeof(p->mid), params, "mid");
	copy_string(p->cname, sizeof(p->cname), json_object_get(params, "rtcp"), "cname");
	if (rc == RT_OK)
		rc = rt_params_map_make(&mapping, params, ctx->caps, ctx->first_ssrc, e);
	if (rc == RT_OK)
		rc = read_codecs(p, params, e);
	if (rc == RT_OK)
		rc = read_encodings(p, params, ctx->first_ssrc, e);
	if (rc == RT_OK)
		rc = find_type(p, e);
	if (rc == RT_OK)
	{
		rt_params_rtp_read_ids(&p->ext, params);
		read_mapping(p, mapping);
		p->consumable = rt_params_map_consumable(p->kind, params, ctx->caps, mapping);
	}
	json_decref(mapping);
	return rc;
}

enum rt_result
rt_params_producer_init(struct rt_producer_params *p, const char *kind, const json_t *rtp_parameters,
						const struct rt_producer_context *ctx, struct rt_params_error *e)
{
	json_t *params;
	enum rt_result rc;

	memset(p, 0, sizeof(*p));
	if (kind == NULL || !rt_params_find_kind(kind, &p->kind))
	{
		snprintf(e->message, sizeof(e->message), "kind: must be audio or video");
		return RT_BAD_INPUT;
	}
	rc = rt_params_rtp_check(&params, rtp_parameters, e);
	if (rc != RT_OK)
		return rc;
	rc = read_params(p, params, ctx, e);
	json_decref(params);
	return rc;
}

void
rt_params_producer_fini(struct rt_producer_params *p)
{
	json_decref(p->consumable);
	p->consumable = NULL;
}
