/* params_codec.c: see params_codec.h.  The checks of capabilities (params_caps.c) and of parameters (params_rtp.c)
 * call it with what a client sent; the rest reads what they have passed. */
#include "params_codec.h"

#include <string.h>
#include <strings.h>

#define MAX_FEEDBACK 32
#define MAX_NAME 64

static enum rt_result
check_feedback(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc = rt_params_field_string(s, "type", RT_REQUIRED, MAX_NAME, copy);

	if (rc == RT_OK)
		rc = rt_params_field_string(s, "parameter", RT_OPTIONAL, MAX_NAME, copy);
	if (rc == RT_OK && json_object_get(copy, "parameter") == NULL)
		json_object_set_new(copy, "parameter", json_string(""));
	return rc;
}

static enum rt_result
check_mime_type(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc = rt_params_field_string(s, "mimeType", RT_REQUIRED, MAX_NAME, copy);
	const char *type;

	if (rc != RT_OK)
		return rc;
	type = json_string_value(json_object_get(copy, "mimeType"));
	if ((strncasecmp(type, "audio/", 6) != 0 && strncasecmp(type, "video/", 6) != 0) || type[6] == '\0')
		return rt_params_field_fail(s, "mimeType", "must begin with audio/ or video/");
	return RT_OK;
}

/* Audio alone has channels; one, where it says nothing. */
static enum rt_result
check_channels(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc;

	if (rt_params_codec_kind(copy) == RT_KIND_VIDEO)
		return RT_OK;
	rc = rt_params_field_integer(s, "channels", RT_OPTIONAL, 1, 255, copy);
	if (rc == RT_OK && json_object_get(copy, "channels") == NULL)
		json_object_set_new(copy, "channels", json_integer(1));
	return rc;
}

static enum rt_result
check_parameters(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc = rt_params_field_values(s, "parameters", copy);
	json_t *apt = json_object_get(json_object_get(copy, "parameters"), "apt");

	if (rc == RT_OK && apt != NULL && !json_is_number(apt))
		return rt_params_field_fail(s, "parameters.apt", "must be a number");
	return rc;
}

enum rt_result
rt_params_codec_check(const struct rt_field_scope *s, const char *pt_key, enum rt_need pt_need, json_t *copy)
{
	enum rt_result rc = check_mime_type(s, copy);

	if (rc == RT_OK)
		rc = rt_params_field_integer(s, pt_key, pt_need, 0, 127, copy);
	if (rc == RT_OK)
		rc = rt_params_field_integer(s, "clockRate", RT_REQUIRED, 1, INT32_MAX, copy);
	if (rc == RT_OK)
		rc = check_channels(s, copy);
	if (rc == RT_OK)
		rc = check_parameters(s, copy);
	if (rc == RT_OK)
		rc = rt_params_field_list(s, "rtcpFeedback", RT_OPTIONAL, MAX_FEEDBACK, check_feedback, copy);
	return rc;
}

json_int_t
rt_params_codec_int(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *
mime_type(const json_t *codec)
{
	return json_string_value(json_object_get(codec, "mimeType"));
}

enum rt_kind
rt_params_codec_kind(const json_t *codec)
{
	return strncasecmp(mime_type(codec), "audio/", 6) == 0 ? RT_KIND_AUDIO : RT_KIND_VIDEO;
}

bool
rt_params_codec_is_rtx(const json_t *codec)
{
	return strcasecmp(strchr(mime_type(codec), '/'), "/rtx") == 0;
}

bool
rt_params_codec_is_red(const json_t *codec)
{
	return strcasecmp(mime_type(codec), "audio/red") == 0;
}

json_t *
rt_params_codec_find_red(const json_t *codecs)
{
	size_t i;

	for (i = 0; i < json_array_size(codecs); i++)
	{
		if (rt_params_codec_is_red(json_array_get(codecs, i)))
			return json_array_get(codecs, i);
	}
	return NULL;
}

json_int_t
rt_params_codec_apt(const json_t *codec)
{
	json_t *apt = json_object_get(json_object_get(codec, "parameters"), "apt");

	return json_is_integer(apt) ? json_integer_value(apt) : -1;
}

json_t *
rt_params_codec_find_rtx(const json_t *codecs, json_int_t pt)
{
	size_t i;

	for (i = 0; i < json_array_size(codecs); i++)
	{
		json_t *codec = json_array_get(codecs, i);

		if (rt_params_codec_is_rtx(codec) && rt_params_codec_apt(codec) == pt)
			return codec;
	}
	return NULL;
}

static void
add_feedback(struct rt_feedback *f, const char *type, const char *parameter)
{
	bool plain = *parameter == '\0';

	f->nack |= strcmp(type, "nack") == 0 && plain;
	f->pli |= strcmp(type, "nack") == 0 && strcmp(parameter, "pli") == 0;
	f->fir |= strcmp(type, "ccm") == 0 && strcmp(parameter, "fir") == 0;
	f->remb |= strcmp(type, "goog-remb") == 0 && plain;
	f->transport_cc |= strcmp(type, "transport-cc") == 0 && plain;
}

struct rt_feedback
rt_params_codec_feedback(const json_t *codec)
{
	struct rt_feedback f = {0};
	json_t *list = json_object_get(codec, "rtcpFeedback");
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
	{
		json_t *fb = json_array_get(list, i);

		add_feedback(&f, json_string_value(json_object_get(fb, "type")),
					 json_string_value(json_object_get(fb, "parameter")));
	}
	return f;
}
