/* params_field.h: one field of a client's JSON object, checked and copied.
 *
 * A field that is absent, or null, is left out of the copy unless it is required.  Strings are bounded and hold no
 * control characters: other clients write them into the lines of an SDP. */
#ifndef RT_PARAMS_FIELD_H
#define RT_PARAMS_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "params.h"

#define RT_FIELD_PATH 96

/* Where a check is: the object, its name for messages, and where the message goes. */
struct rt_field_scope
{
	const json_t *object;
	const char *path;
	struct rt_params_error *e;
};

enum rt_need
{
	RT_OPTIONAL,
	RT_REQUIRED
};

/* Always RT_BAD_INPUT; the message is "<path>.<key>: <what>", or "<path>: <what>" with key NULL. */
enum rt_result rt_params_field_fail(const struct rt_field_scope *s, const char *key, const char *what);

/* Whether the scope's object is one. */
enum rt_result rt_params_field_check_object(const struct rt_field_scope *s);

enum rt_result rt_params_field_string(const struct rt_field_scope *s, const char *key, enum rt_need need,
									  size_t max_bytes, json_t *copy);
enum rt_result rt_params_field_integer(const struct rt_field_scope *s, const char *key, enum rt_need need,
									   int64_t min, int64_t max, json_t *copy);
enum rt_result rt_params_field_bitrate(const struct rt_field_scope *s, const char *key, json_t *copy);
enum rt_result rt_params_field_bool(const struct rt_field_scope *s, const char *key, bool otherwise, json_t *copy);

/* Checks each element of an array of objects and appends its copy to copy[key], which is [] if there is none. */
typedef enum rt_result (*rt_field_item_cb)(const struct rt_field_scope *item, json_t *copy);
enum rt_result rt_params_field_list(const struct rt_field_scope *s, const char *key, enum rt_need need,
									size_t max_items, rt_field_item_cb check, json_t *copy);

/* An object whose values are strings or numbers, as `parameters` is; {} if there is none. */
enum rt_result rt_params_field_values(const struct rt_field_scope *s, const char *key, json_t *copy);

#endif
