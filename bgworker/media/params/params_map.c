/* params_map.c: see params_map.h.  params_producer.c calls it, with what params_rtp.c has passed.
 *
 * The client chooses payload types, extension ids and SSRCs as it likes; a router has one set of them for all.  The
 * mapping says which became which. */
#include "params_map.h"

#include "params_codec.h"
#include "params_field.h"
#include "params_match.h"

#include <stdio.h>
#include <string.h>

static enum rt_result
fail_codec(struct rt_params_error *e, size_t i, const char *what)
{
	char path[RT_FIELD_PATH];
	struct rt_field_scope s = {NULL, path, e};

	snprintf(path, sizeof(path), "rtpParameters.codecs[%zu]", i);
	return rt_params_field_fail(&s, NULL, what);
}

static void
add_mapping(json_t *list, const json_t *codec, const json_t *cap)
{
	json_array_append_new(list, json_pack("{s:I, s:I}", "payloadType", rt_params_codec_int(codec, "payloadType"),
										  "mappedPayloadType", rt_params_codec_int(cap, "preferredPayloadType")));
}

static json_int_t
mapped_pt(const json_t *mapping, json_int_t pt)
{
	json_t *list = json_object_get(mapping, "codecs");
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
	{
		if (rt_params_codec_int(json_array_get(list, i), "payloadType") == pt)
			return rt_params_codec_int(json_array_get(list, i), "mappedPayloadType");
	}
	return -1;
}

static enum rt_result
map_media(json_t *mapping, json_t *codecs, const json_t *cap_codecs, struct rt_params_error *e)
{
	size_t i;

	for (i = 0; i < json_array_size(codecs); i++)
	{
		json_t *codec = json_array_get(codecs, i);
		json_t *cap = rt_params_match_find(cap_codecs, codec);

		if (rt_params_codec_is_rtx(codec))
			continue;
		if (cap == NULL)
			return fail_codec(e, i, "is not one of the router's codecs");
		rt_params_match_agree(codec, cap);
		add_mapping(json_object_get(mapping, "codecs"), codec, cap);
	}
	return RT_OK;
}

static enum rt_result
map_rtx(json_t *mapping, const json_t *codecs, const json_t *cap_codecs, struct rt_params_error *e)
{
	size_t i;

	for (i = 0; i < json_array_size(codecs); i++)
	{
		json_t *codec = json_array_get(codecs, i);
		json_int_t media_pt = rt_params_codec_is_rtx(codec) ? mapped_pt(mapping, rt_params_codec_apt(codec)) : -1;
		json_t *cap;

		if (!rt_params_codec_is_rtx(codec))
			continue;
		if (media_pt < 0)
			return fail_codec(e, i, "apt names no media codec");
		cap = rt_params_codec_find_rtx(cap_codecs, media_pt);
		if (cap == NULL)
			return fail_codec(e, i, "the router has no retransmissions for that codec");
		add_mapping(json_object_get(mapping, "codecs"), codec, cap);
	}
	return RT_OK;
}

static void
map_encodings(json_t *mapping, const json_t *encodings, uint32_t first_ssrc)
{
	size_t i;

	for (i = 0; i < json_array_size(encodings); i++)
	{
		json_t *encoding = json_array_get(encodings, i);
		json_t *mapped = json_pack("{s:I}", "mappedSsrc", (json_int_t) (first_ssrc + i));

		if (json_object_get(encoding, "ssrc") != NULL)
			json_object_set(mapped, "ssrc", json_object_get(encoding, "ssrc"));
		if (json_object_get(encoding, "rid") != NULL)
			json_object_set(mapped, "rid", json_object_get(encoding, "rid"));
		json_array_append_new(json_object_get(mapping, "encodings"), mapped);
	}
}

enum rt_result
rt_params_map_make(json_t **mapping, json_t *params, const json_t *caps, uint32_t first_ssrc,
				   struct rt_params_error *e)
{
	json_t *codecs = json_object_get(params, "codecs");
	json_t *cap_codecs = json_object_get(caps, "codecs");
	json_t *out = json_pack("{s:[], s:[]}", "codecs", "encodings");
	enum rt_result rc = map_media(out, codecs, cap_codecs, e);

	if (rc == RT_OK)
		rc = map_rtx(out, codecs, cap_codecs, e);
	if (rc != RT_OK)
	{
		json_decref(out);
		return rc;
	}
	map_encodings(out, json_object_get(params, "encodings"), first_ssrc);
	*mapping = out;
	return RT_OK;
}

/* A router's codec as parameters have it; `parameters` NULL: its own. */
static json_t *
codec_of_cap(const json_t *cap, json_t *parameters)
{
	json_t *codec =
		json_pack("{s:O, s:O, s:O, s:O, s:O}", "mimeType", json_object_get(cap, "mimeType"), "payloadType",
				  json_object_get(cap, "preferredPayloadType"), "clockRate", json_object_get(cap, "clockRate"),
				  "parameters", parameters != NULL ? parameters : json_object_get(cap, "parameters"), "rtcpFeedback",
				  json_object_get(cap, "rtcpFeedback"));

	if (json_object_get(cap, "channels") != NULL)
		json_object_set(codec, "channels", json_object_get(cap, "channels"));
	return codec;
}

static json_t *
find_pt(const json_t *cap_codecs, json_int_t pt)
{
	size_t i;

	for (i = 0; i < json_array_size(cap_codecs); i++)
	{
		if (rt_params_codec_int(json_array_get(cap_codecs, i), "preferredPayloadType") == pt)
			return json_array_get(cap_codecs, i);
	}
	return NULL;
}

static json_t *
consumable_codecs(const json_t *params, const json_t *caps, const json_t *mapping)
{
	json_t *codecs = json_object_get(params, "codecs");
	json_t *cap_codecs = json_object_get(caps, "codecs");
	json_t *red = rt_params_codec_find_red(cap_codecs); /* we make it, whether the producer sends it or not */
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < json_array_size(codecs); i++)
	{
		json_t *codec = json_array_get(codecs, i);
		json_int_t pt = mapped_pt(mapping, rt_params_codec_int(codec, "payloadType"));
		json_t *rtx = rt_params_codec_find_rtx(cap_codecs, pt);

		if (rt_params_codec_is_rtx(codec) || rt_params_codec_is_red(codec))
			continue;
		json_array_append_new(out, codec_of_cap(find_pt(cap_codecs, pt), json_object_get(codec, "parameters")));
		if (rtx != NULL)
			json_array_append_new(out, codec_of_cap(rtx, NULL));
	}
	if (red != NULL && rt_params_codec_kind(json_array_get(out, 0)) == RT_KIND_AUDIO)
		json_array_append_new(out, codec_of_cap(red, NULL));
	return out;
}

static bool
has_extension(const json_t *extensions, const char *uri)
{
	size_t i;

	for (i = 0; i < json_array_size(extensions); i++)
	{
		if (strcmp(json_string_value(json_object_get(json_array_get(extensions, i), "uri")), uri) == 0)
			return true;
	}
	return false;
}

/* Whether consumers of this producer may be told of a router's extension. */
static bool
is_consumable(enum rt_kind kind, const json_t *cap, const json_t *params)
{
	const char *direction = json_string_value(json_object_get(cap, "direction"));
	const char *uri = json_string_value(json_object_get(cap, "uri"));

	if (strcmp(json_string_value(json_object_get(cap, "kind")), rt_params_kind_name(kind)) != 0)
		return false;
	if (strcmp(direction, "sendrecv") != 0 && strcmp(direction, "sendonly") != 0)
		return false;
	/* It is copied from the producer's packets: without it there, a receiver would wait for it in vain. */
	return strcmp(uri, rt_params_ext_uri(RT_EXT_ABS_CAPTURE_TIME)) != 0 ||
		   has_extension(json_object_get(params, "headerExtensions"), uri);
}

static json_t *
consumable_extensions(enum rt_kind kind, const json_t *params, const json_t *caps)
{
	json_t *list = json_object_get(caps, "headerExtensions");
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
	{
		json_t *cap = json_array_get(list, i);

		if (is_consumable(kind, cap, params))
			json_array_append_new(out, json_pack("{s:O, s:O, s:O, s:{}}", "uri", json_object_get(cap, "uri"), "id",
												 json_object_get(cap, "preferredId"), "encrypt",
												 json_object_get(cap, "preferredEncrypt"), "parameters"));
	}
	return out;
}

static json_t *
consumable_encodings(const json_t *params, const json_t *mapping)
{
	json_t *encodings = json_object_get(params, "encodings");
	json_t *mapped = json_object_get(mapping, "encodings");
	json_t *out = json_array();
	size_t i;

	for (i = 0; i < json_array_size(encodings); i++)
	{
		json_t *encoding = json_copy(json_array_get(encodings, i));

		json_object_del(encoding, "rid");
		json_object_del(encoding, "rtx");
		json_object_del(encoding, "codecPayloadType");
		json_object_set(encoding, "ssrc", json_object_get(json_array_get(mapped, i), "mappedSsrc"));
		json_array_append_new(out, encoding);
	}
	return out;
}

json_t *
rt_params_map_consumable(enum rt_kind kind, const json_t *params, const json_t *caps, const json_t *mapping)
{
	json_t *out = json_pack("{s:o, s:o, s:o, s:{s:b}}", "codecs", consumable_codecs(params, caps, mapping),
							"headerExtensions", consumable_extensions(kind, params, caps), "encodings",
							consumable_encodings(params, mapping), "rtcp", "reducedSize", 1);
	json_t *cname = json_object_get(json_object_get(params, "rtcp"), "cname");
	json_t *msid = json_object_get(params, "msid");

	if (cname != NULL)
		json_object_set(json_object_get(out, "rtcp"), "cname", cname);
	if (msid != NULL)
		json_object_set(out, "msid", msid);
	return out;
}
