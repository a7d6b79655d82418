/* codec.h: what a forwarder must know of a payload: where key frames and layers begin.
 * VP8 RFC 7741, VP9 RFC 9628, H264 RFC 6184, AV1 the AOMedia payload specification, section 4.4.  Never looks at
 * pictures. */
#ifndef RT_CODEC_H
#define RT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/media/params/params.h"

struct rt_codec_info
{
	bool begin;    /* first packet of a frame, as far as the payload tells */
	bool keyframe; /* a decoder can begin with this packet */
	uint8_t sid;   /* spatial layer */
	uint8_t tid;   /* temporal layer */
	bool sync;     /* going up to this temporal layer is possible from here on */

	/* VP8: what a consumer rewrites */
	uint8_t descriptor_len; /* 0: nothing to rewrite */
	bool has_picture_id;
	bool short_picture_id; /* 7 bits */
	bool has_tl0;
	bool has_tid;
	uint16_t picture_id; /* 7 or 15 bits */
	uint8_t tl0;
	uint8_t tid_byte; /* TID, Y and KEYIDX as they came */

	/* VP9 */
	bool end;              /* last packet of this layer's frame */
	bool inter_layer_only; /* needs nothing but the layer below of the same picture */
	bool key_picture;      /* not predicted from another picture */
};

/* False for a descriptor that overruns the payload: such a packet is not forwarded. */
bool rt_codec_read(enum rt_codec codec, const uint8_t *payload, size_t len, struct rt_codec_info *info);

/* Writes a VP8 descriptor with 15 bits of picture id in place of the one in payload; returns its length (<= 6). */
size_t rt_codec_write_vp8(uint8_t out[6], const uint8_t *payload, const struct rt_codec_info *info,
						  uint16_t picture_id, uint8_t tl0);

#endif
