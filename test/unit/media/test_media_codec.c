/* test_media_codec.c: payload descriptors: VP8 (RFC 7741), VP9 (RFC 9628), H264 (RFC 6184), AV1. */
#include <stdlib.h>

#include "bgworker/media/rtp/codec.h"
#include "tap.h"

/* From memory of exactly that size, so that the sanitizer sees what is read beyond it. */
static bool
read_info(enum rt_codec codec, const uint8_t *p, size_t len, struct rt_codec_info *info)
{
	uint8_t *heap = malloc(len ? len : 1);
	bool read;

	if (len)
		memcpy(heap, p, len);
	read = rt_codec_read(codec, heap, len, info);
	free(heap);
	return read;
}

/* The shortest beginning of p that is accepted; -1: none. */
static int
shortest(enum rt_codec codec, const uint8_t *p, size_t len)
{
	struct rt_codec_info info;

	for (size_t n = 0; n <= len; n++)
		if (read_info(codec, p, n, &info))
			return (int) n;
	return -1;
}

static void
test_vp8(void)
{
	const uint8_t key[] = {0x90, 0xf0, 0x81, 0x02, 0x05, 0x60, 0x10, 0, 0}, inter[] = {0x10, 0x01},
				  second[] = {0x80, 0x80, 0x33, 0x00, 0x00}, t2[] = {0x90, 0xe0, 0x80, 0x07, 0x09, 0xa0, 0x01};
	struct rt_codec_info i;
	uint8_t out[6];

	ok(read_info(RT_CODEC_VP8, key, sizeof(key), &i) && i.begin && i.keyframe && i.picture_id == 0x0102 &&
		   i.tl0 == 5 && i.tid == 1 && i.sync && i.descriptor_len == 6,
	   "VP8: a key frame with all fields");
	ok(shortest(RT_CODEC_VP8, key, sizeof(key)) == 7, "VP8: nothing shorter than descriptor and frame tag");
	ok(read_info(RT_CODEC_VP8, inter, sizeof(inter), &i) && i.begin && !i.keyframe && !i.has_picture_id,
	   "VP8: the shortest");
	ok(read_info(RT_CODEC_VP8, second, sizeof(second), &i) && !i.begin && !i.keyframe && i.picture_id == 0x33,
	   "VP8: a later packet of a frame is no key frame; 7 bits of picture id");
	ok(read_info(RT_CODEC_VP8, t2, sizeof(t2), &i) && i.tid == 2 && i.sync && !i.keyframe,
	   "VP8: the third temporal layer");
	ok(rt_codec_write_vp8(out, t2, &i, 0x7fff, 200) == 6 &&
		   memcmp(out, (uint8_t[]){0x90, 0xe0, 0xff, 0xff, 200, 0xa0}, 6) == 0,
	   "VP8: written with other numbers");
	read_info(RT_CODEC_VP8, second, sizeof(second), &i);
	ok(rt_codec_write_vp8(out, second, &i, 5, 0) == 4 && memcmp(out, (uint8_t[]){0x80, 0x80, 0x80, 5}, 4) == 0,
	   "VP8: 7 bits become 15");
}

static void
test_vp9(void)
{
	const uint8_t key[] = {0xac, 0x81, 0x02, 0x00, 0x01, 0xff}, upper[] = {0xac, 0x81, 0x02, 0x33, 0x01, 0xff},
				  inter[] = {0xe8, 0x05, 0x50, 0x01, 0xff}, plain[] = {0x08, 0x00};
	struct rt_codec_info i;

	ok(read_info(RT_CODEC_VP9, key, sizeof(key), &i) && i.begin && i.end && i.keyframe && i.key_picture &&
		   i.sid == 0 && i.tid == 0,
	   "VP9: a key frame");
	ok(read_info(RT_CODEC_VP9, upper, sizeof(upper), &i) && !i.keyframe && i.key_picture && i.inter_layer_only &&
		   i.sid == 1 && i.tid == 1 && i.sync,
	   "VP9: an upper layer of a key picture: a decoder cannot begin there");
	ok(read_info(RT_CODEC_VP9, inter, sizeof(inter), &i) && !i.keyframe && !i.key_picture && i.tid == 2 && i.sync &&
		   !i.end,
	   "VP9: an inter picture");
	ok(read_info(RT_CODEC_VP9, plain, sizeof(plain), &i) && i.keyframe, "VP9: without layers");
	ok(shortest(RT_CODEC_VP9, key, sizeof(key)) == 4 && shortest(RT_CODEC_VP9, plain, 2) == 2, "VP9: cut off");
}

static void
test_h264(void)
{
	const uint8_t idr[] = {0x65, 0x88}, slice[] = {0x41, 0x9a}, sps[] = {0x67, 0x42},
				  stap[] = {0x78, 0, 2, 0x67, 1, 0, 3, 0x68, 1, 2}, fu[] = {0x7c, 0x85, 1},
				  fu_more[] = {0x7c, 0x05, 1}, fu_inter[] = {0x5c, 0x81, 1};
	struct rt_codec_info i;

	ok(read_info(RT_CODEC_H264, idr, 2, &i) && i.keyframe, "H264: IDR");
	ok(read_info(RT_CODEC_H264, sps, 2, &i) && i.keyframe, "H264: a parameter set begins a key frame");
	ok(read_info(RT_CODEC_H264, slice, 2, &i) && !i.keyframe, "H264: another slice");
	ok(read_info(RT_CODEC_H264, stap, sizeof(stap), &i) && i.keyframe, "H264: STAP-A with a parameter set");
	ok(!read_info(RT_CODEC_H264, stap, sizeof(stap) - 1, &i), "H264: STAP-A that is cut off");
	ok(read_info(RT_CODEC_H264, fu, 3, &i) && i.keyframe && i.begin, "H264: FU-A, its beginning");
	ok(read_info(RT_CODEC_H264, fu_more, 3, &i) && !i.keyframe && !i.begin, "H264: FU-A, its middle");
	ok(read_info(RT_CODEC_H264, fu_inter, 3, &i) && !i.keyframe, "H264: FU-A of another slice");
	ok(shortest(RT_CODEC_H264, fu, 3) == 2 && shortest(RT_CODEC_H264, idr, 2) == 1, "H264: cut off");
}

static void
test_others(void)
{
	struct rt_codec_info i;

	ok(read_info(RT_CODEC_AV1, (const uint8_t[]){0x18, 1}, 2, &i) && i.keyframe && i.begin,
	   "AV1: N begins a sequence");
	ok(read_info(RT_CODEC_AV1, (const uint8_t[]){0x90, 1}, 2, &i) && !i.keyframe && !i.begin, "AV1: Z continues");
	ok(!read_info(RT_CODEC_AV1, NULL, 0, &i), "AV1: nothing");
	ok(read_info(RT_CODEC_OPUS, (const uint8_t[]){1}, 1, &i) && i.keyframe, "Opus: any packet begins");
}

static void
test_random(void)
{
	uint8_t p[12], out[6];
	struct rt_codec_info i;
	int wrong = 0;

	srandom(2);
	for (int n = 0; n < 400000; n++)
	{
		size_t len = (size_t) random() % sizeof(p);

		for (size_t k = 0; k < len; k++)
			p[k] = (uint8_t) random();
		for (enum rt_codec c = RT_CODEC_OPUS; c <= RT_CODEC_AV1; c++)
			if (read_info(c, p, len, &i) && c == RT_CODEC_VP8)
				wrong += i.descriptor_len >= len || rt_codec_write_vp8(out, p, &i, 1, 1) > 6;
	}
	ok(wrong == 0, "random payloads: a VP8 descriptor never takes the whole of it");
}

int
main(void)
{
	test_vp8();
	test_vp9();
	test_h264();
	test_others();
	test_random();
	return tap_done();
}
