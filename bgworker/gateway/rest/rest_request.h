/* rest_request.h: a REST request as one JSON object: the body's keys, the query's, the path's parameters; of a
 * key that comes twice the database takes the last, so a path cannot be overridden. */
#ifndef RT_REST_REQUEST_H
#define RT_REST_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "bgworker/common/text.h"

#define RT_REST_PARAMS_MAX 6
#define RT_REST_SEGMENTS_MAX 12

struct rt_rest_param
{
	const char *name; /* lent from the pattern */
	size_t name_len;
	const char *value; /* lent from the path, still percent-encoded; or a text as it is */
	size_t value_len;
	bool is_text;
};

/* Matches "/api/chat/rooms/:roomId/msgs|messages"; how many parameters there are, or -1. */
int rt_rest_request_match(const char *pattern, const char *path, struct rt_rest_param params[RT_REST_PARAMS_MAX]);

/* False if the body is no JSON object (an empty one is fine), or an encoding is wrong. */
bool rt_rest_request_write(struct rt_text *t, const char *body, size_t body_len, const char *query,
						   const struct rt_rest_param *params, int nparams);

/* Whether a body is a JSON object within the limits of an event's argument. */
bool rt_rest_request_is_object(const char *body, size_t len);

/* Percent-decoding; false if it is wrong or yields a NUL. */
bool rt_rest_request_decode(struct rt_text *t, const char *text, size_t len, bool plus_is_space);

#endif
