/* params_rtp.c: see params_rtp.h
 *
 * Stricter than mediasoup's own check in what its worker refuses later (payload types and ids out of range or given
 * twice, streams that cannot be told apart), and in what would reach other clients. */
#include "params_rtp.h"

#include "params_codec.h"
#include "params_field.h"

#include <stdio.h>
#include <string.h>

#define MAX_CODECS 32
#define MAX_EXTENSIONS 32
#define MAX_URI 256
#define MAX_MSID 256
#define MAX_SCALABILITY_MODE 32

static enum rt_result
check_codec(const struct rt_field_scope *s, json_t *copy)
{
	return rt_params_codec_check(s, "payloadType", RT_REQUIRED, copy);
}

static enum rt_result
check_extension(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc = rt_params_field_string(s, "uri", RT_REQUIRED, MAX_URI, copy);

	if (rc == RT_OK)
		rc = rt_params_field_integer(s, "id", RT_REQUIRED, 1, 255, copy);
	if (rc == RT_OK)
		rc = rt_params_field_bool(s, "encrypt", false, copy);
	if (rc == RT_OK)
		rc = rt_params_field_values(s, "parameters", copy);
	if (rc == RT_OK && json_is_true(json_object_get(copy, "encrypt")))
		return rt_params_field_fail(s, "encrypt", "encrypted header extensions are not supported");
	return rc;
}

/* A rid is letters and digits (RFC 8852); "-" and "_", which RFC 8851 had, are let through. */
static enum rt_result
check_rid(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc = rt_params_field_string(s, "rid", RT_OPTIONAL, RT_PARAMS_MAX_RID, copy);
	const char *rid = json_string_value(json_object_get(copy, "rid"));

	if (rc == RT_OK && rid != NULL &&
		rid[strspn(rid, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] != '\0')
		return rt_params_field_fail(s, "rid", "must be letters and digits");
	return rc;
}

static enum rt_result
check_rtx(const struct rt_field_scope *s, json_t *copy)
{
	json_t *rtx = json_object_get(s->object, "rtx");
	char path[RT_FIELD_PATH];
	struct rt_field_scope scope = {rtx, path, s->e};
	json_t *out;
	enum rt_result rc;

	if (rtx == NULL || json_is_null(rtx))
		return RT_OK;
	snprintf(path, sizeof(path), "%s.rtx", s->path);
	rc = rt_params_field_check_object(&scope);
	if (rc != RT_OK)
		return rc;
	out = json_object();
	json_object_set_new(copy, "rtx", out);
	return rt_params_field_integer(&scope, "ssrc", RT_REQUIRED, 1, UINT32_MAX, out);
}

static enum rt_result
check_encoding(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc = rt_params_field_integer(s, "ssrc", RT_OPTIONAL, 1, UINT32_MAX, copy);

	if (rc == RT_OK)
		rc = check_rid(s, copy);
	if (rc == RT_OK)
		rc = check_rtx(s, copy);
	if (rc == RT_OK)
		rc = rt_params_field_bool(s, "dtx", false, copy);
	if (rc == RT_OK)
		rc = rt_params_field_string(s, "scalabilityMode", RT_OPTIONAL, MAX_SCALABILITY_MODE, copy);
	if (rc == RT_OK)
		rc = rt_params_field_bitrate(s, "maxBitrate", copy);
	if (rc == RT_OK)
		rc = rt_params_field_integer(s, "codecPayloadType", RT_OPTIONAL, 0, 127, copy);
	return rc;
}

static enum rt_result
check_rtcp(const struct rt_field_scope *s, json_t *copy)
{
	json_t *rtcp = json_object_get(s->object, "rtcp");
	struct rt_field_scope scope = {rtcp, "rtpParameters.rtcp", s->e};
	json_t *out = json_object();
	enum rt_result rc;

	json_object_set_new(copy, "rtcp", out);
	json_object_set_new(out, "reducedSize", json_true());
	if (rtcp == NULL || json_is_null(rtcp))
		return RT_OK;
	rc = rt_params_field_check_object(&scope);
	if (rc == RT_OK)
		rc = rt_params_field_string(&scope, "cname", RT_OPTIONAL, RT_PARAMS_MAX_CNAME, out);
	return rc;
}

/* Whether two elements of a list have the same value for key, or key's member. */
static bool
has_twice(const json_t *list, const char *key, const char *member)
{
	size_t i;
	size_t j;

	for (i = 0; i < json_array_size(list); i++)
	{
		json_t *a = json_object_get(json_array_get(list, i), key);

		if (member != NULL)
			a = json_object_get(a, member);
		for (j = 0; a != NULL && j < i; j++)
		{
			json_t *b = json_object_get(json_array_get(list, j), key);

			if (json_equal(a, member != NULL ? json_object_get(b, member) : b))
				return true;
		}
	}
	return false;
}

/* An SSRC of one stream that carries the retransmissions of another, or of itself. */
static bool
has_mixed_ssrc(const json_t *encodings)
{
	size_t i;
	size_t j;

	for (i = 0; i < json_array_size(encodings); i++)
	{
		json_t *rtx = json_object_get(json_object_get(json_array_get(encodings, i), "rtx"), "ssrc");

		for (j = 0; rtx != NULL && j < json_array_size(encodings); j++)
		{
			if (json_equal(rtx, json_object_get(json_array_get(encodings, j), "ssrc")))
				return true;
		}
	}
	return false;
}

/* What would leave a packet without one meaning. */
static enum rt_result
check_unique(const struct rt_field_scope *s, const json_t *copy)
{
	json_t *encodings = json_object_get(copy, "encodings");

	if (json_array_size(json_object_get(copy, "codecs")) == 0)
		return rt_params_field_fail(s, "codecs", "is empty");
	if (has_twice(json_object_get(copy, "codecs"), "payloadType", NULL))
		return rt_params_field_fail(s, "codecs", "has a payloadType twice");
	if (has_twice(json_object_get(copy, "headerExtensions"), "id", NULL))
		return rt_params_field_fail(s, "headerExtensions", "has an id twice");
	if (has_twice(encodings, "ssrc", NULL) || has_twice(encodings, "rtx", "ssrc") || has_mixed_ssrc(encodings))
		return rt_params_field_fail(s, "encodings", "has an ssrc twice");
	if (has_twice(encodings, "rid", NULL))
		return rt_params_field_fail(s, "encodings", "has a rid twice");
	return RT_OK;
}

static enum rt_result
check_rtp(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc = rt_params_field_check_object(s);

	if (rc == RT_OK)
		rc = rt_params_field_string(s, "mid", RT_OPTIONAL, RT_PARAMS_MAX_MID, copy);
	if (rc == RT_OK)
		rc = rt_params_field_list(s, "codecs", RT_REQUIRED, MAX_CODECS, check_codec, copy);
	if (rc == RT_OK)
		rc = rt_params_field_list(s, "headerExtensions", RT_OPTIONAL, MAX_EXTENSIONS, check_extension, copy);
	if (rc == RT_OK)
		rc = rt_params_field_list(s, "encodings", RT_OPTIONAL, RT_PARAMS_MAX_ENCODINGS, check_encoding, copy);
	if (rc == RT_OK)
		rc = check_rtcp(s, copy);
	if (rc == RT_OK)
		rc = rt_params_field_string(s, "msid", RT_OPTIONAL, MAX_MSID, copy);
	if (rc == RT_OK)
		rc = check_unique(s, copy);
	return rc;
}

enum rt_result
rt_params_rtp_check(json_t **out, const json_t *params, struct rt_params_error *e)
{
	struct rt_field_scope s = {params, "rtpParameters", e};
	json_t *copy = json_object();
	enum rt_result rc = check_rtp(&s, copy);

	if (rc != RT_OK)
	{
		json_decref(copy);
		return rc;
	}
	*out = copy;
	return RT_OK;
}

void
rt_params_rtp_read_ids(struct rt_ext_ids *ids, const json_t *params)
{
	json_t *list = json_object_get(params, "headerExtensions");
	enum rt_ext ext;
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (rt_params_find_ext(json_string_value(json_object_get(item, "uri")), &ext) && ids->id[ext] == 0)
			ids->id[ext] = (uint8_t) rt_params_codec_int(item, "id");
	}
}
