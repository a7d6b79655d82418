/* json.h: checked getters over jansson.  A key that is missing and one of the wrong type look the same. */
#ifndef RT_JSON_H
#define RT_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RT_ID_LEN 20 /* digits of a decimal id, at most */

json_t *rt_json_parse(const char *text, size_t len);        /* NULL if it is no JSON; json_decref() it */
json_t *rt_json_parse_object(const char *text, size_t len); /* NULL if it is no object either */

const char *rt_json_str(const json_t *object, const char *key); /* lent; NULL */
int64_t rt_json_int(const json_t *object, const char *key, int64_t otherwise);
bool rt_json_bool(const json_t *object, const char *key, bool otherwise);
json_t *rt_json_array(const json_t *object, const char *key);  /* borrowed; NULL */
json_t *rt_json_object(const json_t *object, const char *key); /* borrowed; NULL */

/* A decimal id, given as a string or as a number: positive, canonical digits in id.  False if it is none. */
bool rt_json_id(const json_t *value, char id[RT_ID_LEN + 1]);
bool rt_json_get_id(const json_t *object, const char *key, char id[RT_ID_LEN + 1]);

/* A position: decimal digits as a string, or a number.  False if it is none. */
bool rt_json_pos(const json_t *object, const char *key, uint64_t *pos);
bool rt_json_pos_text(const char *text, size_t len, uint64_t *pos);

#endif
