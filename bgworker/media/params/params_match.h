/* params_match.h: whether two codecs, of capabilities or parameters that were checked, are the same. */
#ifndef RT_PARAMS_MATCH_H
#define RT_PARAMS_MATCH_H

#include <jansson.h>
#include <stdbool.h>

bool rt_params_match_codec(const json_t *a, const json_t *b);

/* The first codec in a list that matches; NULL if none does.  Borrowed. */
json_t *rt_params_match_find(const json_t *list, const json_t *codec);

/* Of two H264 codecs that match: writes the profile-level-id that was agreed into a's parameters. */
void rt_params_match_agree(json_t *a, const json_t *b);

#endif
