/* params_match.c: the rules of mediasoup and mediasoup-client, so that both ends come to the same list. */
#include "params_match.h"

#include "params_h264.h"

#include <string.h>
#include <strings.h>

static const char *
mime_type(const json_t *codec)
{
	return json_string_value(json_object_get(codec, "mimeType"));
}

static bool
is_type(const json_t *codec, const char *type)
{
	return strcasecmp(mime_type(codec), type) == 0;
}

/* Whether JavaScript's `value || 0` is 0. */
static bool
is_zero(const json_t *value)
{
	if (json_is_string(value))
		return json_string_length(value) == 0;
	return !json_is_number(value) || json_number_value(value) == 0;
}

/* Whether a format parameter has the same value, absent being 0.  The number 1 and the text "1" differ, as they do
 * in the clients' comparison. */
static bool
same_parameter(const json_t *a, const json_t *b, const char *key)
{
	json_t *x = json_object_get(json_object_get(a, "parameters"), key);
	json_t *y = json_object_get(json_object_get(b, "parameters"), key);

	if (is_zero(x) || is_zero(y))
		return is_zero(x) && is_zero(y);
	if (json_is_string(x) && json_is_string(y))
		return strcmp(json_string_value(x), json_string_value(y)) == 0;
	return json_is_number(x) && json_is_number(y) && json_number_value(x) == json_number_value(y);
}

static bool
same_integer(const json_t *a, const json_t *b, const char *key)
{
	return json_integer_value(json_object_get(a, key)) == json_integer_value(json_object_get(b, key));
}

static bool
same_h264(const json_t *a, const json_t *b)
{
	char answer[RT_H264_ID];

	return same_parameter(a, b, "packetization-mode") &&
		   rt_params_h264_match(json_object_get(a, "parameters"), json_object_get(b, "parameters"), answer);
}

bool
rt_params_match_codec(const json_t *a, const json_t *b)
{
	if (!is_type(a, mime_type(b)) || !same_integer(a, b, "clockRate") || !same_integer(a, b, "channels"))
		return false;
	if (is_type(a, "video/H264"))
		return same_h264(a, b);
	if (is_type(a, "video/VP9"))
		return same_parameter(a, b, "profile-id");
	return true;
}

json_t *
rt_params_match_find(const json_t *list, const json_t *codec)
{
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
	{
		if (rt_params_match_codec(json_array_get(list, i), codec))
			return json_array_get(list, i);
	}
	return NULL;
}

void
rt_params_match_agree(json_t *a, const json_t *b)
{
	json_t *parameters = json_object_get(a, "parameters");
	char answer[RT_H264_ID];

	if (!is_type(a, "video/H264") || !rt_params_h264_match(parameters, json_object_get(b, "parameters"), answer))
		return;
	if (answer[0] == '\0')
		json_object_del(parameters, "profile-level-id");
	else
		json_object_set_new(parameters, "profile-level-id", json_string(answer));
}
