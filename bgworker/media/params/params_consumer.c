/* params_consumer.c: see params_consumer.h.  ops.c calls it for each consume request.
 *
 * The payload types and extension ids are the router's, which the client has been given; of what the client says it
 * can do, only what the producer has too is left.  mediasoup's getConsumerRtpParameters() is the model, and test/ortc
 * compares. */
#include "params_consumer.h"

#include "params_caps.h"
#include "params_codec.h"
#include "params_field.h"
#include "params_match.h"
#include "params_rtp.h"

#include <stdio.h>
#include <string.h>

static bool
is_feedback(const json_t *fb, const char *type)
{
	return strcmp(json_string_value(json_object_get(fb, "type")), type) == 0;
}

/* A new list of feedback, without `type`; with plain_only, only where it has no parameter. */
static json_t *
without_feedback(const json_t *list, const char *type, bool plain_only)
{
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
	{
		json_t *fb = json_array_get(list, i);
		bool plain = json_string_length(json_object_get(fb, "parameter")) == 0;

		if (!is_feedback(fb, type) || (plain_only && !plain))
			json_array_append(out, fb);
	}
	return out;
}

static void
drop_feedback(json_t *codecs, const char *type)
{
	size_t i;

	for (i = 0; i < json_array_size(codecs); i++)
	{
		json_t *codec = json_array_get(codecs, i);

		json_object_set_new(codec, "rtcpFeedback",
							without_feedback(json_object_get(codec, "rtcpFeedback"), type, false));
	}
}

/* The consumable codecs that the client has, each with the client's feedback. */
static json_t *
matching_codecs(const json_t *consumable, const json_t *caps, bool enable_rtx)
{
	json_t *list = json_object_get(consumable, "codecs");
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
	{
		json_t *codec = json_array_get(list, i);
		json_t *cap = rt_params_match_find(json_object_get(caps, "codecs"), codec);
		json_t *feedback = json_object_get(cap, "rtcpFeedback");

		if (cap == NULL || (!enable_rtx && rt_params_codec_is_rtx(codec)))
			continue;
		codec = json_copy(codec);
		if (enable_rtx)
			json_object_set(codec, "rtcpFeedback", feedback);
		else
			json_object_set_new(codec, "rtcpFeedback", without_feedback(feedback, "nack", true));
		json_array_append_new(out, codec);
	}
	return out;
}

static bool
has_media_pt(const json_t *codecs, json_int_t pt)
{
	size_t i;

	for (i = 0; i < json_array_size(codecs); i++)
	{
		if (rt_params_codec_int(json_array_get(codecs, i), "payloadType") == pt)
			return true;
	}
	return false;
}

/* Removes retransmissions of codecs that are not in the list.  Returns whether any are left. */
static bool
drop_lone_rtx(json_t *codecs)
{
	bool left = false;
	size_t i = json_array_size(codecs);

	while (i-- > 0)
	{
		json_t *codec = json_array_get(codecs, i);

		if (!rt_params_codec_is_rtx(codec))
			continue;
		if (has_media_pt(codecs, rt_params_codec_apt(codec)))
			left = true;
		else
			json_array_remove(codecs, i);
	}
	return left;
}

static bool
has_extension(const json_t *extensions, const char *id_key, json_int_t id, const char *uri)
{
	size_t i;

	for (i = 0; i < json_array_size(extensions); i++)
	{
		json_t *item = json_array_get(extensions, i);

		if ((id_key == NULL || rt_params_codec_int(item, id_key) == id) &&
			strcmp(json_string_value(json_object_get(item, "uri")), uri) == 0)
			return true;
	}
	return false;
}

static json_t *
common_extensions(const json_t *consumable, const json_t *caps)
{
	json_t *list = json_object_get(consumable, "headerExtensions");
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
	{
		json_t *item = json_array_get(list, i);

		if (has_extension(json_object_get(caps, "headerExtensions"), "preferredId", rt_params_codec_int(item, "id"),
						  json_string_value(json_object_get(item, "uri"))))
			json_array_append(out, item);
	}
	return out;
}

/* One way to tell us of the bandwidth: transport-cc where its numbers are on the packets, else REMB. */
static void
reduce_feedback(json_t *codecs, const json_t *extensions)
{
	bool transport_cc = has_extension(extensions, NULL, 0, rt_params_ext_uri(RT_EXT_TRANSPORT_CC));
	bool send_time = has_extension(extensions, NULL, 0, rt_params_ext_uri(RT_EXT_ABS_SEND_TIME));

	if (transport_cc || !send_time)
		drop_feedback(codecs, "goog-remb");
	if (!transport_cc)
		drop_feedback(codecs, "transport-cc");
}

static const char *
first_scalability_mode(const json_t *encodings)
{
	size_t i;

	for (i = 0; i < json_array_size(encodings); i++)
	{
		json_t *mode = json_object_get(json_array_get(encodings, i), "scalabilityMode");

		if (json_string_length(mode) > 0)
			return json_string_value(mode);
	}
	return NULL;
}

static void
set_scalability_mode(json_t *encoding, const json_t *consumable)
{
	json_t *encodings = json_object_get(consumable, "encodings");
	const char *mode = first_scalability_mode(encodings);

	if (json_array_size(encodings) > 1)
		json_object_set_new(
			encoding, "scalabilityMode",
			json_sprintf("L%dT%d", (int) json_array_size(encodings), rt_params_scalability(mode).temporal));
	else if (mode != NULL)
		json_object_set_new(encoding, "scalabilityMode", json_string(mode));
}

static void
set_max_bitrate(json_t *encoding, const json_t *consumable)
{
	json_t *encodings = json_object_get(consumable, "encodings");
	json_t *max = NULL;
	size_t i;

	for (i = 0; i < json_array_size(encodings); i++)
	{
		json_t *bitrate = json_object_get(json_array_get(encodings, i), "maxBitrate");

		if (json_number_value(bitrate) > json_number_value(max))
			max = bitrate;
	}
	if (max != NULL)
		json_object_set(encoding, "maxBitrate", max);
}

static json_t *
single_encoding(const json_t *consumable, uint32_t ssrc, bool rtx)
{
	json_t *encoding = json_pack("{s:I}", "ssrc", (json_int_t) ssrc);

	if (rtx)
		json_object_set_new(encoding, "rtx", json_pack("{s:I}", "ssrc", (json_int_t) ssrc + 1));
	set_scalability_mode(encoding, consumable);
	set_max_bitrate(encoding, consumable);
	return encoding;
}

static bool
starts_with_media(const json_t *codecs)
{
	return json_array_size(codecs) > 0 && !rt_params_codec_is_rtx(json_array_get(codecs, 0)) &&
		   !rt_params_codec_is_red(json_array_get(codecs, 0));
}

bool
rt_params_consumer_can(const json_t *consumable, const json_t *caps)
{
	json_t *codecs = matching_codecs(consumable, caps, true);
	bool can = starts_with_media(codecs);

	json_decref(codecs);
	return can;
}

enum rt_result
rt_params_consumer_write(json_t **rtp_parameters, const json_t *consumable, const json_t *caps, bool enable_rtx,
						 uint32_t ssrc, struct rt_params_error *e)
{
	struct rt_field_scope s = {NULL, "rtpCapabilities", e};
	json_t *codecs = matching_codecs(consumable, caps, enable_rtx);
	bool rtx = drop_lone_rtx(codecs);
	json_t *extensions;

	if (!starts_with_media(codecs))
	{
		json_decref(codecs);
		return rt_params_field_fail(&s, "codecs", "has none that can play this producer");
	}
	extensions = common_extensions(consumable, caps);
	reduce_feedback(codecs, extensions);
	*rtp_parameters =
		json_pack("{s:o, s:o, s:[o], s:O}", "codecs", codecs, "headerExtensions", extensions, "encodings",
				  single_encoding(consumable, ssrc, rtx), "rtcp", json_object_get(consumable, "rtcp"));
	if (json_object_get(consumable, "msid") != NULL)
		json_object_set(*rtp_parameters, "msid", json_object_get(consumable, "msid"));
	return RT_OK;
}

static void
read_codecs(struct rt_consumer_params *c, const json_t *params)
{
	json_t *codecs = json_object_get(params, "codecs");
	json_t *media = json_array_get(codecs, 0);
	json_t *rtx = rt_params_codec_find_rtx(codecs, rt_params_codec_int(media, "payloadType"));
	json_t *red = rt_params_codec_find_red(codecs);

	/* Found: consumable parameters exist for codecs that we forward alone. */
	(void) rt_params_find_codec(json_string_value(json_object_get(media, "mimeType")), &c->codec);
	c->pt = rt_params_codec_int(media, "payloadType");
	c->rtx_pt = rtx != NULL ? rt_params_codec_int(rtx, "payloadType") : RT_NO_PT;
	c->red_pt = red != NULL ? rt_params_codec_int(red, "payloadType") : RT_NO_PT;
	c->clock_rate = rt_params_codec_int(media, "clockRate");
	c->feedback = rt_params_codec_feedback(media);
}

static void
read_encoding(struct rt_consumer_params *c, const json_t *params)
{
	json_t *encoding = json_array_get(json_object_get(params, "encodings"), 0);

	c->ssrc = rt_params_codec_int(encoding, "ssrc");
	c->rtx_ssrc = rt_params_codec_int(json_object_get(encoding, "rtx"), "ssrc");
	c->layers = rt_params_scalability(json_string_value(json_object_get(encoding, "scalabilityMode")));
	c->max_bitrate_bps = json_number_value(json_object_get(encoding, "maxBitrate"));
}

static void
read_params(struct rt_consumer_params *c, const json_t *params)
{
	const char *cname = json_string_value(json_object_get(json_object_get(params, "rtcp"), "cname"));

	read_codecs(c, params);
	rt_params_rtp_read_ids(&c->ext, params);
	read_encoding(c, params);
	snprintf(c->mid, sizeof(c->mid), "%s", json_string_value(json_object_get(params, "mid")));
	snprintf(c->cname, sizeof(c->cname), "%s", cname != NULL ? cname : "");
}

enum rt_result
rt_params_consumer_init(struct rt_consumer_params *c, enum rt_kind kind, const json_t *consumable,
						const json_t *rtp_capabilities, const char *mid, uint32_t ssrc, struct rt_params_error *e)
{
	json_t *caps;
	enum rt_result rc = rt_params_caps_check(&caps, rtp_capabilities, e);

	memset(c, 0, sizeof(*c));
	if (rc != RT_OK)
		return rc;
	rc = rt_params_consumer_write(&c->rtp_parameters, consumable, caps, kind == RT_KIND_VIDEO, ssrc, e);
	json_decref(caps);
	if (rc != RT_OK)
		return rc;
	json_object_set_new(c->rtp_parameters, "mid", json_string(mid));
	c->kind = kind;
	read_params(c, c->rtp_parameters);
	return RT_OK;
}

void
rt_params_consumer_fini(struct rt_consumer_params *c)
{
	json_decref(c->rtp_parameters);
	c->rtp_parameters = NULL;
}
