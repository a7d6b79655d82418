/* rtp.h: RTP packets where they lie: header, extensions (RFC 3550 section 5.1, RFC 8285), and the header
 * that goes out instead.  Nothing is copied or allocated; every offset is checked against the length. */
#ifndef RT_RTP_H
#define RT_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "bytes.h"

#define RT_RTP_HEADER 12
#define RT_RTP_MAX_PACKET 1500

/* A view of one packet.  Offsets are from data. */
struct rt_rtp
{
	uint8_t *data;
	size_t len;
	uint8_t pt;
	bool marker;
	uint16_t seq;
	uint32_t ts;
	uint32_t ssrc;
	uint16_t ext_profile; /* 0xBEDE, 0x1000..0x100F, else: no extensions that we read */
	uint16_t ext_off;     /* of the first element */
	uint16_t ext_len;
	uint16_t payload_off;
	uint16_t payload_len; /* without padding */
	uint8_t padding;
};

/* RT_BAD_INPUT for what is not RTP version 2 or whose parts overrun it. */
enum rt_result rt_rtp_parse(uint8_t *data, size_t len, struct rt_rtp *p);

/* The value of extension `id` (1 to 255), one-byte or two-byte form; NULL if absent.  Stops at malformed ones. */
const uint8_t *rt_rtp_ext(const struct rt_rtp *p, uint8_t id, size_t *len);

/* Where each value is, for who asks for many: one pass over the block, however large.  Same answers as rt_rtp_ext().
 */
struct rt_rtp_exts
{
	const struct rt_rtp *of;
	uint16_t at[256]; /* by id, from the packet's begin; 0: absent */
	uint8_t len[256];
};
void rt_rtp_exts_read(struct rt_rtp_exts *x, const struct rt_rtp *p);
const uint8_t *rt_rtp_exts_find(const struct rt_rtp_exts *x, uint8_t id, size_t *len);

/* What goes into an outgoing header's extension block; a zero id leaves the value out. */
struct rt_rtp_ext_out
{
	uint8_t id;
	uint8_t len; /* at least 1; one above 16 makes all of them two-byte ones */
	const uint8_t *value;
};

/* Writes header and extension block; out has room for RT_RTP_HEADER + 4 + 3, and 2 bytes and the value of each.
 * Returns its length. */
size_t rt_rtp_write_header(uint8_t *out, uint8_t pt, bool marker, uint16_t seq, uint32_t ts, uint32_t ssrc,
						   const struct rt_rtp_ext_out *ext, int n);

/* STUN 0..3, DTLS 20..63, RTCP 192..223 in the second byte, else RTP (RFC 7983 and RFC 5761 section 4). */
enum rt_rtp_class
{
	RT_PACKET_UNKNOWN,
	RT_PACKET_STUN,
	RT_PACKET_DTLS,
	RT_PACKET_RTP,
	RT_PACKET_RTCP
};
enum rt_rtp_class rt_rtp_classify(const uint8_t *data, size_t len);

#endif
