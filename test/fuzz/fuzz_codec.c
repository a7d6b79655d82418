/* fuzz_codec.c: a payload descriptor; the first byte tells of which codec. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/media/rtp/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rt_codec_info info, again;
	enum rt_codec codec;
	uint8_t *payload, *rewritten, out[6];
	size_t n;

	if (size < 1)
		return 0;
	codec = data[0] % (RT_CODEC_AV1 + 1);
	size--;
	payload = malloc(size ? size : 1);
	memcpy(payload, data + 1, size);
	if (rt_codec_read(codec, payload, size, &info) && codec == RT_CODEC_VP8)
	{
		assert(info.descriptor_len > 0 && info.descriptor_len < size);
		n = rt_codec_write_vp8(out, payload, &info, 0x1234, 56);
		assert(n <= sizeof(out));
		rewritten = malloc(n + size);
		memcpy(rewritten, out, n);
		memcpy(rewritten + n, payload + info.descriptor_len, size - info.descriptor_len);
		assert(rt_codec_read(codec, rewritten, n + size - info.descriptor_len, &again));
		assert(again.has_picture_id && again.picture_id == 0x1234 && again.descriptor_len == n);
		assert(again.has_tl0 == info.has_tl0 && (!again.has_tl0 || again.tl0 == 56));
		assert(again.tid == info.tid && again.keyframe == info.keyframe && again.begin == info.begin);
		free(rewritten);
	}
	free(payload);
	return 0;
}
