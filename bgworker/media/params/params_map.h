/* params_map.h: a producer's parameters in the router's terms, as JSON.  All arguments have been checked, by
 * rt_params_rtp_check() or rt_params_caps_check(). */
#ifndef RT_PARAMS_MAP_H
#define RT_PARAMS_MAP_H

#include <jansson.h>

#include "params.h"

/* *mapping: {codecs: [{payloadType, mappedPayloadType}], encodings: [{ssrc?, rid?, mappedSsrc}]}, a new reference.
 * Writes the profile-level-id that was agreed into the codecs of params.  Encodings are numbered from first_ssrc. */
enum rt_result rt_params_map_make(json_t **mapping, json_t *params, const json_t *caps, uint32_t first_ssrc,
								  struct rt_params_error *e);

/* The router's view, from which consumers are made: the router's payload types and extension ids, our SSRCs, and of
 * the client what a receiver must know (format parameters, layers, bitrates, CNAME).  A new reference. */
json_t *rt_params_map_consumable(enum rt_kind kind, const json_t *params, const json_t *caps, const json_t *mapping);

#endif
