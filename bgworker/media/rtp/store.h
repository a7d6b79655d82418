/* store.h: the last packets of one incoming video stream, decrypted, for retransmission to any consumer.
 * A ring by sequence number; the newest packet overwrites the one RT_STORE_PACKETS before it. */
#ifndef RT_STORE_H
#define RT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "codec.h"
#include "dd.h"
#include "rtp.h"

#define RT_STORE_PACKETS 1024
#define RT_STORE_PAYLOAD 1400

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

struct rt_store;

struct rt_store *rt_store_new(void);
void rt_store_free(struct rt_store *s);                           /* NULL is fine */
void rt_store_clear(struct rt_store *s);                          /* another stream begins */
void rt_store_put(struct rt_store *s, const struct rt_packet *p); /* copies the payload; too long ones are left out */
const struct rt_packet *rt_store_find(const struct rt_store *s, uint16_t seq); /* lent until the next put; NULL */

#endif
