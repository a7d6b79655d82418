/* params_field.c: see params_field.h.  Every module that looks at a client's object does it through this one, so that
 * a length, a range or a type is checked in one place. */
#include "params_field.h"

#include <stdio.h>
#include <string.h>

#define MAX_VALUES 32
#define MAX_VALUE_KEY 64
#define MAX_VALUE 256
#define MAX_NUMBER 9007199254740992.0 /* 2^53: what every JSON reader keeps exactly */

enum rt_result
rt_params_field_fail(const struct rt_field_scope *s, const char *key, const char *what)
{
	if (key == NULL)
		snprintf(s->e->message, sizeof(s->e->message), "%s: %s", s->path, what);
	else
		snprintf(s->e->message, sizeof(s->e->message), "%s.%s: %s", s->path, key, what);
	return RT_BAD_INPUT;
}

enum rt_result
rt_params_field_check_object(const struct rt_field_scope *s)
{
	return json_is_object(s->object) ? RT_OK : rt_params_field_fail(s, NULL, "must be an object");
}

/* The field's value; NULL if it is absent or null. */
static json_t *
find_field(const struct rt_field_scope *s, const char *key)
{
	json_t *value = json_object_get(s->object, key);

	return json_is_null(value) ? NULL : value;
}

static enum rt_result
check_absent(const struct rt_field_scope *s, const char *key, enum rt_need need)
{
	return need == RT_REQUIRED ? rt_params_field_fail(s, key, "is missing") : RT_OK;
}

static bool
has_control(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
	{
		if ((unsigned char) text[i] < 0x20 || text[i] == 0x7f)
			return true;
	}
	return false;
}

static enum rt_result
check_text(const struct rt_field_scope *s, const char *key, const char *text, size_t len, size_t max_bytes)
{
	if (len > max_bytes)
		return rt_params_field_fail(s, key, "is too long");
	if (has_control(text, len))
		return rt_params_field_fail(s, key, "has a control character");
	return RT_OK;
}

enum rt_result
rt_params_field_string(const struct rt_field_scope *s, const char *key, enum rt_need need, size_t max_bytes,
					   json_t *copy)
{
	json_t *value = find_field(s, key);
	enum rt_result rc;

	if (value == NULL)
		return check_absent(s, key, need);
	if (!json_is_string(value))
		return rt_params_field_fail(s, key, "must be a string");
	if (need == RT_REQUIRED && json_string_length(value) == 0)
		return rt_params_field_fail(s, key, "is empty");
	rc = check_text(s, key, json_string_value(value), json_string_length(value), max_bytes);
	if (rc == RT_OK)
		json_object_set_new(copy, key, json_string(json_string_value(value)));
	return rc;
}

enum rt_result
rt_params_field_integer(const struct rt_field_scope *s, const char *key, enum rt_need need, int64_t min, int64_t max,
						json_t *copy)
{
	json_t *value = find_field(s, key);
	char what[80];

	if (value == NULL)
		return check_absent(s, key, need);
	if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
	{
		snprintf(what, sizeof(what), "must be an integer from %lld to %lld", (long long) min, (long long) max);
		return rt_params_field_fail(s, key, what);
	}
	json_object_set_new(copy, key, json_integer(json_integer_value(value)));
	return RT_OK;
}

enum rt_result
rt_params_field_bitrate(const struct rt_field_scope *s, const char *key, json_t *copy)
{
	json_t *value = find_field(s, key);

	if (value == NULL)
		return RT_OK;
	if (!json_is_number(value) || json_number_value(value) < 0 || json_number_value(value) > MAX_NUMBER)
		return rt_params_field_fail(s, key, "must be a number, and not negative");
	json_object_set_new(copy, key, json_copy(value));
	return RT_OK;
}

enum rt_result
rt_params_field_bool(const struct rt_field_scope *s, const char *key, bool otherwise, json_t *copy)
{
	json_t *value = find_field(s, key);

	if (value != NULL && !json_is_boolean(value))
		return rt_params_field_fail(s, key, "must be true or false");
	json_object_set_new(copy, key, json_boolean(value != NULL ? json_is_true(value) : otherwise));
	return RT_OK;
}

static enum rt_result
check_item(const struct rt_field_scope *list, const char *key, size_t i, rt_field_item_cb check, json_t *out)
{
	char path[RT_FIELD_PATH];
	struct rt_field_scope item = {json_array_get(json_object_get(list->object, key), i), path, list->e};
	json_t *copy;
	enum rt_result rc;

	snprintf(path, sizeof(path), "%s.%s[%zu]", list->path, key, i);
	rc = rt_params_field_check_object(&item);
	if (rc != RT_OK)
		return rc;
	copy = json_object();
	rc = check(&item, copy);
	if (rc == RT_OK)
		json_array_append(out, copy);
	json_decref(copy);
	return rc;
}

enum rt_result
rt_params_field_list(const struct rt_field_scope *s, const char *key, enum rt_need need, size_t max_items,
					 rt_field_item_cb check, json_t *copy)
{
	json_t *value = find_field(s, key);
	json_t *out = json_array();
	enum rt_result rc = RT_OK;
	size_t i;

	json_object_set_new(copy, key, out);
	if (value == NULL)
		return check_absent(s, key, need);
	if (!json_is_array(value))
		return rt_params_field_fail(s, key, "must be an array");
	if (json_array_size(value) > max_items)
		return rt_params_field_fail(s, key, "has too many elements");
	for (i = 0; i < json_array_size(value) && rc == RT_OK; i++)
		rc = check_item(s, key, i, check, out);
	return rc;
}

static enum rt_result
check_value(const struct rt_field_scope *s, const char *name, json_t *value)
{
	if (json_is_string(value))
		return check_text(s, name, json_string_value(value), json_string_length(value), MAX_VALUE);
	if (!json_is_number(value))
		return rt_params_field_fail(s, name, "must be a string or a number");
	if (json_number_value(value) > MAX_NUMBER || json_number_value(value) < -MAX_NUMBER)
		return rt_params_field_fail(s, name, "is out of range");
	return RT_OK;
}

/* Names are checked before they may stand in a message. */
static enum rt_result
check_value_name(const struct rt_field_scope *s, const char *name)
{
	size_t len = strlen(name);

	/* RED's has none: RFC 2198, section 5. */
	if (len > MAX_VALUE_KEY || has_control(name, len))
		return rt_params_field_fail(s, NULL, "has a name that is too long or not printable");
	return RT_OK;
}

enum rt_result
rt_params_field_values(const struct rt_field_scope *s, const char *key, json_t *copy)
{
	json_t *values = find_field(s, key);
	json_t *out = json_object();
	char path[RT_FIELD_PATH];
	struct rt_field_scope scope = {values, path, s->e};
	const char *name;
	json_t *value;
	enum rt_result rc;

	snprintf(path, sizeof(path), "%s.%s", s->path, key);
	json_object_set_new(copy, key, out);
	if (values == NULL)
		return RT_OK;
	if (!json_is_object(values))
		return rt_params_field_fail(s, key, "must be an object");
	if (json_object_size(values) > MAX_VALUES)
		return rt_params_field_fail(s, key, "has too many members");
	json_object_foreach(values, name, value)
	{
		rc = check_value_name(&scope, name);
		if (rc == RT_OK)
			rc = check_value(&scope, name, value);
		if (rc != RT_OK)
			return rc;
		json_object_set_new(out, name, json_copy(value));
	}
	return RT_OK;
}
