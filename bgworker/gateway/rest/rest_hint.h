/* rest_hint.h: what was wrong with a request that no function of the database saw, and what to do instead. */
#ifndef RT_REST_HINT_H
#define RT_REST_HINT_H

#include <stddef.h>

#define RT_REST_HINT_BYTES 320

/* For a path that does not exist. */
void rt_rest_hint_path(char out[RT_REST_HINT_BYTES], const char *path);

/* Why there is no token to check, or NULL if there is one.  `authorization` may be NULL. */
const char *rt_rest_hint_token(const char *authorization, const char *query);

/* For a body, path or query that cannot be read.  `content_type` may be NULL. */
const char *rt_rest_hint_form(const char *content_type, const char *body, size_t len);

#endif
