/* codec.c: see codec.h.  producer.c reads each packet once; consumer.c writes VP8's descriptor for each receiver.
 *
 *   VP8 (RFC 7741 section 4.2)            VP9 (RFC 9628 section 4.2)       AV1 (aggregation header)
 *   |X|R|N|S|R| PID |                     |I|P|L|F|B|E|V|Z|                |Z|Y| W |N|-|-|-|
 *   |I|L|T|K| RSV   |  if X               |M| PICTURE ID  |  if I
 *   |M| PictureID   |  if I               |  T  |U|  S  |D|  if L          H.264 (RFC 6184 section 5.3)
 *   |   TL0PICIDX   |  if L               |   TL0PICIDX   |  if L, not F   |F|NRI|  Type   |
 *   |TID|Y| KEYIDX  |  if T or K
 *
 * Every length is checked before its byte is read: the payload is the sender's. */
#include "codec.h"

#include <string.h>

/* RFC 7741 section 4.2:  X R N S R PID | I L T K RSV | M PictureID | TL0PICIDX | TID Y KEYIDX */
static bool
read_vp8(const uint8_t *p, size_t len, struct rt_codec_info *info)
{
	size_t at = 1;
	uint8_t x;

	if (len < 2)
		return false;
	info->begin = (p[0] & 0x10) && (p[0] & 0x07) == 0;
	if (p[0] & 0x80)
	{
		x = p[at++];
		if (x & 0x80)
		{
			size_t n = at < len && p[at] & 0x80 ? 2 : 1;

			if (at + n > len)
				return false;
			info->has_picture_id = true;
			info->short_picture_id = n == 1;
			info->picture_id = n == 2 ? (uint16_t) ((p[at] & 0x7f) << 8 | p[at + 1]) : p[at];
			at += n;
		}
		if (x & 0x40)
		{
			if (at >= len)
				return false;
			info->has_tl0 = true;
			info->tl0 = p[at++];
		}
		if (x & 0x30)
		{
			if (at >= len)
				return false;
			info->has_tid = true;
			info->tid_byte = p[at++];
			info->tid = x & 0x20 ? info->tid_byte >> 6 : 0;
			info->sync = x & 0x20 && info->tid_byte & 0x20;
		}
	}
	if (at >= len)
		return false;
	info->descriptor_len = (uint8_t) at;
	info->keyframe = info->begin && !(p[at] & 0x01); /* RFC 6386 section 9.1: P bit of the frame tag */
	return true;
}

/* RFC 9628 section 4.2:  I P L F B E V Z | M PictureID | T U S D | TL0PICIDX (F = 0) */
static bool
read_vp9(const uint8_t *p, size_t len, struct rt_codec_info *info)
{
	size_t at = 1;
	bool depends_below = false;

	if (len < 2)
		return false;
	info->begin = p[0] & 0x08;
	info->end = p[0] & 0x04;
	info->key_picture = !(p[0] & 0x40);
	if (p[0] & 0x80)
		at += p[at] & 0x80 ? 2 : 1;
	if (p[0] & 0x20)
	{
		if (at >= len)
			return false;
		info->tid = p[at] >> 5;
		info->sync = p[at] & 0x10;
		info->sid = p[at] >> 1 & 7;
		depends_below = p[at] & 1;
	}
	if (at >= len)
		return false;
	info->inter_layer_only = info->key_picture && depends_below;
	info->keyframe = info->begin && info->key_picture && info->sid == 0 && !depends_below;
	return true;
}

static bool
is_h264_key(uint8_t nal)
{
	return (nal & 0x1f) == 5 || (nal & 0x1f) == 7; /* IDR slice, or the parameter set before it */
}

/* RFC 6184 section 5.4 */
static bool
read_h264(const uint8_t *p, size_t len, struct rt_codec_info *info)
{
	if (len < 1)
		return false;
	info->begin = true;
	switch (p[0] & 0x1f)
	{
		case 24: /* STAP-A: 16-bit sizes, each with a NAL unit */
			for (size_t at = 1; at + 2 < len;)
			{
				size_t size = (size_t) p[at] << 8 | p[at + 1];

				if (size == 0 || at + 2 + size > len)
					return false;
				info->keyframe |= is_h264_key(p[at + 2]);
				at += 2 + size;
			}
			return true;
		case 28: /* FU-A */
			if (len < 2)
				return false;
			info->begin = p[1] & 0x80;
			info->keyframe = info->begin && is_h264_key(p[1]);
			return true;
		default:
			info->keyframe = is_h264_key(p[0]);
			return true;
	}
}

/* Aggregation header  Z Y W W N - - -: N begins a coded video sequence. */
static bool
read_av1(const uint8_t *p, size_t len, struct rt_codec_info *info)
{
	if (len < 1)
		return false;
	info->begin = !(p[0] & 0x80);
	info->keyframe = p[0] & 0x08;
	return true;
}

bool
rt_codec_read(enum rt_codec codec, const uint8_t *payload, size_t len, struct rt_codec_info *info)
{
	memset(info, 0, sizeof(*info));
	switch (codec)
	{
		case RT_CODEC_VP8:
			return read_vp8(payload, len, info);
		case RT_CODEC_VP9:
			return read_vp9(payload, len, info);
		case RT_CODEC_H264:
			return read_h264(payload, len, info);
		case RT_CODEC_AV1:
			return read_av1(payload, len, info);
		case RT_CODEC_OPUS:
			break;
	}
	info->begin = info->keyframe = true;
	return true;
}

size_t
rt_codec_write_vp8(uint8_t out[6], const uint8_t *payload, const struct rt_codec_info *info, uint16_t picture_id,
				   uint8_t tl0)
{
	size_t n = 2;

	out[0] = payload[0] | 0x80;
	out[1] = (payload[0] & 0x80 ? payload[1] & 0x3f : 0) | 0x80;
	out[n++] = (uint8_t) (0x80 | picture_id >> 8);
	out[n++] = (uint8_t) picture_id;
	if (info->has_tl0)
	{
		out[1] |= 0x40;
		out[n++] = tl0;
	}
	if (info->has_tid)
		out[n++] = info->tid_byte;
	return n;
}
