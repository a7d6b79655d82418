/* params_codec.h: codecs, as capabilities and parameters both have them. */
#ifndef RT_PARAMS_CODEC_H
#define RT_PARAMS_CODEC_H

#include "params_field.h"

/* pt_key: "payloadType" or "preferredPayloadType". */
enum rt_result rt_params_codec_check(const struct rt_field_scope *s, const char *pt_key, enum rt_need pt_need,
									 json_t *copy);

json_int_t rt_params_codec_int(const json_t *object, const char *key); /* 0 if it has none */

/* On codecs that were checked. */
enum rt_kind rt_params_codec_kind(const json_t *codec);
bool rt_params_codec_is_rtx(const json_t *codec);

/* Redundant audio (RFC 2198): beside opus, which is what its blocks hold. */
bool rt_params_codec_is_red(const json_t *codec);
json_t *rt_params_codec_find_red(const json_t *codecs); /* NULL: there is none */

/* The retransmission codec in codecs whose apt is pt; NULL if there is none. */
json_t *rt_params_codec_find_rtx(const json_t *codecs, json_int_t pt);
json_int_t rt_params_codec_apt(const json_t *codec); /* -1: none */

struct rt_feedback rt_params_codec_feedback(const json_t *codec);

#endif
