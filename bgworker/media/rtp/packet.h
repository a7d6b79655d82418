/* packet.h: one incoming packet, parsed once for all of its consumers. */
#ifndef RT_PACKET_H
#define RT_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "codec.h"
#include "dd.h"

/* Values of header extensions that are copied through; len 0: absent. */
struct rt_ext_value
{
	uint8_t len;
	uint8_t value[16];
};

/* One incoming packet, parsed once for all of its consumers.  ext is by enum rt_ext; only those that are copied
 * through are filled in. */
struct rt_packet
{
	uint16_t seq;
	bool marker;
	uint8_t layer; /* index of the encoding */
	uint32_t ts;
	uint64_t arrival_us;
	const uint8_t *payload;
	uint16_t payload_len;
	struct rt_codec_info info;
	bool has_dd; /* AV1: dd is what descriptor says */
	uint8_t descriptor_len;
	struct rt_dd dd;
	const uint8_t *descriptor;
	struct rt_ext_value orientation, audio_level, playout_delay, capture_time;
};

#endif
