/* json.c: getters over jansson that take any JSON and fail softly.
 *
 * jansson builds a tree, so it is for answers of the database that are changed or walked, and for the configuration;
 * what only passes through the gateway is scanned where it lies (gateway/text/json_scan.c).  Ids are decimal text
 * throughout: a bigint does not fit into a JavaScript number. */
#include "json.h"

#include <stdio.h>
#include <string.h>

json_t *
rt_json_parse(const char *text, size_t len)
{
	return text == NULL ? NULL : json_loadb(text, len, JSON_DECODE_ANY, NULL);
}

json_t *
rt_json_parse_object(const char *text, size_t len)
{
	json_t *value = rt_json_parse(text, len);

	if (json_is_object(value))
		return value;
	json_decref(value);
	return NULL;
}

const char *
rt_json_str(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

int64_t
rt_json_int(const json_t *object, const char *key, int64_t otherwise)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool
rt_json_bool(const json_t *object, const char *key, bool otherwise)
{
	const json_t *value = json_object_get(object, key);

	return json_is_boolean(value) ? json_boolean_value(value) : otherwise;
}

json_t *
rt_json_array(const json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	return json_is_array(value) ? value : NULL;
}

json_t *
rt_json_object(const json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	return json_is_object(value) ? value : NULL;
}

bool
rt_json_pos_text(const char *text, size_t len, uint64_t *pos)
{
	uint64_t n = 0;

	if (len == 0 || len > 19)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (uint64_t) (text[i] - '0');
	}
	if (n > INT64_MAX)
		return false;
	*pos = n;
	return true;
}

static bool
value_pos(const json_t *value, uint64_t *pos)
{
	if (json_is_integer(value) && json_integer_value(value) >= 0)
	{
		*pos = (uint64_t) json_integer_value(value);
		return true;
	}
	return json_is_string(value) && rt_json_pos_text(json_string_value(value), json_string_length(value), pos);
}

bool
rt_json_pos(const json_t *object, const char *key, uint64_t *pos)
{
	return value_pos(json_object_get(object, key), pos);
}

bool
rt_json_id(const json_t *value, char id[RT_ID_LEN + 1])
{
	uint64_t n;

	if (!value_pos(value, &n) || n == 0 || (json_is_string(value) && json_string_value(value)[0] == '0'))
		return false;
	snprintf(id, RT_ID_LEN + 1, "%llu", (unsigned long long) n);
	return true;
}

bool
rt_json_get_id(const json_t *object, const char *key, char id[RT_ID_LEN + 1])
{
	return rt_json_id(json_object_get(object, key), id);
}
