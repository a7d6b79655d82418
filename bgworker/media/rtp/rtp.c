/* rtp.c: see rtp.h.  Pure functions, called for each packet.
 *
 *   RFC 3550 section 5.1                                            RFC 8285
 *   |V=2|P|X|  CC   |M|     PT      |       sequence number     |   |    0xBEDE     |    words      |
 *   |                        timestamp                          |   |  ID   |len - 1| value ...         one byte
 *   |                          SSRC                             |   |    0x100x     |    words      |
 *   | CSRC (CC) | extension (X) | payload | padding (P), count  |   |      ID       |      len      | value ...
 */
#include "rtp.h"

#include <string.h>

enum rt_rtp_class
rt_rtp_classify(const uint8_t *data, size_t len)
{
	if (len < 2)
		return RT_PACKET_UNKNOWN;
	if (data[0] <= 3)
		return len >= 20 ? RT_PACKET_STUN : RT_PACKET_UNKNOWN;
	if (data[0] >= 20 && data[0] <= 63)
		return len >= 13 ? RT_PACKET_DTLS : RT_PACKET_UNKNOWN;
	if (data[0] < 128 || data[0] > 191)
		return RT_PACKET_UNKNOWN;
	if (data[1] >= 192 && data[1] <= 223)
		return len >= 8 ? RT_PACKET_RTCP : RT_PACKET_UNKNOWN;
	return len >= RT_RTP_HEADER ? RT_PACKET_RTP : RT_PACKET_UNKNOWN;
}

enum rt_result
rt_rtp_parse(uint8_t *data, size_t len, struct rt_rtp *p)
{
	size_t off = RT_RTP_HEADER;

	if (len < RT_RTP_HEADER || len > UINT16_MAX || data[0] >> 6 != 2)
		return RT_BAD_INPUT;
	memset(p, 0, sizeof(*p));
	p->data = data;
	p->len = len;
	p->marker = data[1] >> 7;
	p->pt = data[1] & 0x7f;
	p->seq = rt_bytes_get16(data + 2);
	p->ts = rt_bytes_get32(data + 4);
	p->ssrc = rt_bytes_get32(data + 8);
	off += 4 * (size_t) (data[0] & 0x0f); /* contributing sources */
	if (off > len)
		return RT_BAD_INPUT;
	if (data[0] & 0x10)
	{
		size_t ext_len;

		if (off + 4 > len)
			return RT_BAD_INPUT;
		ext_len = 4 * (size_t) rt_bytes_get16(data + off + 2);
		p->ext_profile = rt_bytes_get16(data + off);
		off += 4;
		if (off + ext_len > len)
			return RT_BAD_INPUT;
		p->ext_off = (uint16_t) off;
		p->ext_len = (uint16_t) ext_len;
		off += ext_len;
	}
	if (data[0] & 0x20)
	{
		p->padding = data[len - 1];
		if (p->padding == 0 || off + p->padding > len)
			return RT_BAD_INPUT;
	}
	p->payload_off = (uint16_t) off;
	p->payload_len = (uint16_t) (len - off - p->padding);
	return RT_OK;
}

/* One-byte elements: id in the high nibble, length - 1 in the low one; 0 is padding, id 15 ends the block. */
static const uint8_t *
find_one_byte(const uint8_t *e, size_t n, uint8_t id, size_t *len)
{
	size_t i = 0;

	while (i < n)
	{
		size_t l = (size_t) (e[i] & 0x0f) + 1;

		if (e[i] == 0)
		{
			i++;
			continue;
		}
		if (e[i] >> 4 == 15 || i + 1 + l > n)
			return NULL;
		if (e[i] >> 4 == id)
		{
			*len = l;
			return e + i + 1;
		}
		i += 1 + l;
	}
	return NULL;
}

static const uint8_t *
find_two_byte(const uint8_t *e, size_t n, uint8_t id, size_t *len)
{
	size_t i = 0;

	while (i < n)
	{
		if (e[i] == 0)
		{
			i++;
			continue;
		}
		if (i + 2 > n || i + 2 + e[i + 1] > n)
			return NULL;
		if (e[i] == id)
		{
			*len = e[i + 1];
			return e + i + 2;
		}
		i += 2 + (size_t) e[i + 1];
	}
	return NULL;
}

const uint8_t *
rt_rtp_ext(const struct rt_rtp *p, uint8_t id, size_t *len)
{
	const uint8_t *e = p->data + p->ext_off;

	*len = 0;
	if (id == 0 || p->ext_len == 0)
		return NULL;
	if (p->ext_profile == 0xBEDE)
		return id < 15 ? find_one_byte(e, p->ext_len, id, len) : NULL;
	if ((p->ext_profile & 0xfff0) == 0x1000)
		return find_two_byte(e, p->ext_len, id, len);
	return NULL;
}

/* The first one of an id counts.  Ids that rt_rtp_ext() never finds are noted too. */
static void
note_ext(struct rt_rtp_exts *x, uint8_t id, size_t at, size_t len)
{
	if (x->at[id])
		return;
	x->at[id] = (uint16_t) at;
	x->len[id] = (uint8_t) len;
}

void
rt_rtp_exts_read(struct rt_rtp_exts *x, const struct rt_rtp *p)
{
	const uint8_t *e = p->data + p->ext_off;
	bool two_byte = (p->ext_profile & 0xfff0) == 0x1000;
	size_t header = two_byte ? 2 : 1, len;

	x->of = p;
	memset(x->at, 0, sizeof(x->at));
	if (!two_byte && p->ext_profile != 0xBEDE)
		return;
	for (size_t i = 0; i < p->ext_len; i += header + len)
	{
		if (e[i] == 0)
		{
			len = 1 - header; /* one byte of padding */
			continue;
		}
		if ((!two_byte && e[i] >> 4 == 15) || i + header > p->ext_len)
			return;
		len = two_byte ? e[i + 1] : (size_t) (e[i] & 0x0f) + 1;
		if (i + header + len > p->ext_len)
			return;
		note_ext(x, two_byte ? e[i] : e[i] >> 4, p->ext_off + i + header, len);
	}
}

const uint8_t *
rt_rtp_exts_find(const struct rt_rtp_exts *x, uint8_t id, size_t *len)
{
	*len = 0;
	if (id == 0 || x->at[id] == 0)
		return NULL;
	*len = x->len[id];
	return x->of->data + x->at[id];
}

size_t
rt_rtp_write_header(uint8_t *out, uint8_t pt, bool marker, uint16_t seq, uint32_t ts, uint32_t ssrc,
					const struct rt_rtp_ext_out *ext, int n)
{
	uint8_t *start = out + RT_RTP_HEADER + 4, *e = start;
	bool two_byte = false;
	size_t words;

	out[0] = 0x80;
	out[1] = (uint8_t) (pt | (marker ? 0x80 : 0));
	rt_bytes_put16(out + 2, seq);
	rt_bytes_put32(out + 4, ts);
	rt_bytes_put32(out + 8, ssrc);
	for (int i = 0; i < n; i++)
		two_byte |= ext[i].id && ext[i].len > 16;
	for (int i = 0; i < n; i++)
	{
		if (ext[i].id == 0)
			continue;
		if (two_byte)
			*e++ = ext[i].id;
		*e++ = two_byte ? ext[i].len : (uint8_t) (ext[i].id << 4 | (ext[i].len - 1));
		memcpy(e, ext[i].value, ext[i].len);
		e += ext[i].len;
	}
	if (e == start)
		return RT_RTP_HEADER;
	out[0] |= 0x10;
	while ((e - start) % 4)
		*e++ = 0;
	words = (size_t) (e - start) / 4;
	rt_bytes_put16(out + RT_RTP_HEADER, two_byte ? 0x1000 : 0xBEDE);
	rt_bytes_put16(out + RT_RTP_HEADER + 2, (uint16_t) words);
	return RT_RTP_HEADER + 4 + 4 * words;
}
