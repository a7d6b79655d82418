/* fuzz_rtp.c: one RTP packet with its extensions, and its payload as each codec; what is rewritten stays in bounds.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/media/rtp/codec.h"
#include "bgworker/media/rtp/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_extensions(const struct rt_rtp *rtp)
{
	struct rt_rtp_exts all;

	rt_rtp_exts_read(&all, rtp);
	for (int id = 0; id < 256; id++)
	{
		size_t len, same;
		const uint8_t *v = rt_rtp_ext(rtp, (uint8_t) id, &len);

		assert(v || len == 0);
		assert(rt_rtp_exts_find(&all, (uint8_t) id, &same) == v && same == len);
		assert(!v || (v >= rtp->data + rtp->ext_off && v + len <= rtp->data + rtp->ext_off + rtp->ext_len));
	}
}

static void
read_payload(const uint8_t *payload, size_t len)
{
	struct rt_codec_info info;
	uint8_t out[6];

	for (enum rt_codec c = RT_CODEC_OPUS; c <= RT_CODEC_AV1; c++)
		if (rt_codec_read(c, payload, len, &info) && c == RT_CODEC_VP8)
		{
			assert(info.descriptor_len > 0 && info.descriptor_len < len);
			assert(rt_codec_write_vp8(out, payload, &info, 0x7fff, 255) <= sizeof(out));
		}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1), *payload;
	struct rt_rtp rtp;

	if (size)
		memcpy(copy, data, size);
	rt_rtp_classify(copy, size);
	if (rt_rtp_parse(copy, size, &rtp) == RT_OK)
	{
		assert((size_t) rtp.payload_off + rtp.payload_len + rtp.padding == size);
		read_extensions(&rtp);
		payload = malloc(rtp.payload_len ? rtp.payload_len : 1u); /* of its own size: no byte behind it may be read */
		memcpy(payload, copy + rtp.payload_off, rtp.payload_len);
		read_payload(payload, rtp.payload_len);
		free(payload);
	}
	free(copy);
	return 0;
}
