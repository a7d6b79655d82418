/* rtcp.c: see rtcp.h.  Pure functions: readers check each length against the packet's, writers against the room.
 *
 *   0                   1                   2                   3
 *   |V=2|P| RC/FMT  |      PT       |            length             |  in words, without this one
 *
 *   SR  200  SSRC | NTP (8) | RTP time | packets | octets | report blocks       RFC 3550 section 6.4.1
 *   RR  201  SSRC | report blocks                                                section 6.4.2
 *   report block: SSRC | fraction lost (1), lost (3) | highest | jitter | LSR | DLSR
 *   RTPFB 205  FMT 1  sender | media | PID, BLP ...                              RFC 4585 section 6.2.1: NACK
 *              FMT 15 sender | media | base, count | reference (3), number | chunks | deltas     transport-wide
 *   PSFB 206   FMT 1  sender | media                                             section 6.3.1: PLI
 *              FMT 4  sender | 0 | SSRC, number ...                              RFC 5104 section 4.3.1: FIR
 *              FMT 15 sender | 0 | "REMB" | n, exponent (6 bits), mantissa (18) | SSRCs
 *   XR  207    RRTR (4), DLRR (5)                                                RFC 3611 sections 4.4 and 4.5
 *
 * Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1): chunks of 16 bits say of
 * each packet whether it came, as runs |0| S | length (13) | or vectors |1|0| 14 x 1 bit |, |1|1| 7 x 2 bits |; then
 * a delta for each that came, of 250 us, in one byte (symbol 1) or two, signed (symbol 2). */
#include "rtcp.h"

#include <string.h>

#include "bgworker/common/clock.h"
#include "rtp.h"

#define NTP_EPOCH 2208988800u /* seconds from 1900 to 1970 */

uint64_t
rt_rtcp_ntp_now(void)
{
	uint64_t now_us = rt_clock_of_day_us();

	return (now_us / 1000000 + NTP_EPOCH) << 32 | ((now_us % 1000000) << 32) / 1000000;
}

enum rt_result
rt_rtcp_next(const uint8_t *data, size_t len, size_t *off, struct rt_rtcp *p)
{
	const uint8_t *d = data + *off;
	size_t left = len - *off, size;

	if (left == 0)
		return RT_AGAIN;
	if (left < 4 || d[0] >> 6 != 2)
		return RT_BAD_INPUT;
	size = 4 * ((size_t) rt_bytes_get16(d + 2) + 1);
	if (size > left)
		return RT_BAD_INPUT;
	p->type = d[1];
	p->count = d[0] & 0x1f;
	p->body = d + 4;
	p->len = size - 4;
	if (d[0] & 0x20)
	{
		uint8_t pad = size > 4 ? d[size - 1] : 0;

		if (pad == 0 || pad > p->len)
			return RT_BAD_INPUT;
		p->len -= pad;
	}
	*off += size;
	return RT_OK;
}

bool
rt_rtcp_read_sr(const struct rt_rtcp *p, struct rt_rtcp_sr *sr)
{
	if (p->type != RT_RTCP_SR || p->len < 24)
		return false;
	sr->ssrc = rt_bytes_get32(p->body);
	sr->ntp = (uint64_t) rt_bytes_get32(p->body + 4) << 32 | rt_bytes_get32(p->body + 8);
	sr->rtp_ts = rt_bytes_get32(p->body + 12);
	sr->packets = rt_bytes_get32(p->body + 16);
	sr->octets = rt_bytes_get32(p->body + 20);
	return true;
}

bool
rt_rtcp_read_report(const struct rt_rtcp *p, int i, struct rt_rtcp_report *r)
{
	size_t off = (p->type == RT_RTCP_SR ? 24 : 4) + 24 * (size_t) i;
	const uint8_t *b = p->body + off;

	if ((p->type != RT_RTCP_SR && p->type != RT_RTCP_RR) || i >= p->count || off + 24 > p->len)
		return false;
	r->ssrc = rt_bytes_get32(b);
	r->fraction_lost = b[4];
	r->lost = (int32_t) (rt_bytes_get24(b + 5) << 8) >> 8;
	r->highest_seq = rt_bytes_get32(b + 8);
	r->jitter = rt_bytes_get32(b + 12);
	r->lsr = rt_bytes_get32(b + 16);
	r->dlsr = rt_bytes_get32(b + 20);
	return true;
}

bool
rt_rtcp_read_feedback(const struct rt_rtcp *p, uint32_t *sender, uint32_t *media)
{
	if ((p->type != RT_RTCP_RTPFB && p->type != RT_RTCP_PSFB) || p->len < 8)
		return false;
	*sender = rt_bytes_get32(p->body);
	*media = rt_bytes_get32(p->body + 4);
	return true;
}

bool
rt_rtcp_read_nack(const struct rt_rtcp *p, int i, uint16_t *pid, uint16_t *blp)
{
	size_t off = 8 + 4 * (size_t) i;

	if (off + 4 > p->len)
		return false;
	*pid = rt_bytes_get16(p->body + off);
	*blp = rt_bytes_get16(p->body + off + 2);
	return true;
}

bool
rt_rtcp_read_fir(const struct rt_rtcp *p, int i, uint32_t *ssrc, uint8_t *seq)
{
	size_t off = 8 + 8 * (size_t) i;

	if (off + 8 > p->len)
		return false;
	*ssrc = rt_bytes_get32(p->body + off);
	*seq = p->body[off + 4];
	return true;
}

#define XR_RRTR 4
#define XR_DLRR 5

bool
rt_rtcp_read_dlrr(const struct rt_rtcp *p, int i, uint32_t *ssrc, uint32_t *lrr, uint32_t *dlrr)
{
	for (size_t at = 4, end; p->type == RT_RTCP_XR && at + 4 <= p->len; at = end)
	{
		const uint8_t *item = p->body + at + 4 + 12 * (size_t) i;
		int n;

		end = at + 4 + 4 * (size_t) rt_bytes_get16(p->body + at + 2);
		if (end > p->len)
			return false;
		if (p->body[at] != XR_DLRR)
			continue;
		n = (int) (end - at - 4) / 12;
		if (i >= n)
		{
			i -= n;
			continue;
		}
		*ssrc = rt_bytes_get32(item);
		*lrr = rt_bytes_get32(item + 4);
		*dlrr = rt_bytes_get32(item + 8);
		return true;
	}
	return false;
}

bool
rt_rtcp_read_remb(const struct rt_rtcp *p, uint64_t *bps)
{
	const uint8_t *b = p->body;

	if (p->type != RT_RTCP_PSFB || p->count != RT_PSFB_AFB || p->len < 16 || memcmp(b + 8, "REMB", 4) != 0)
		return false;
	/* 6 bits of exponent, 18 of mantissa */
	*bps = (uint64_t) (rt_bytes_get24(b + 13) & 0x3ffff) << (b[13] >> 2 > 40 ? 40 : b[13] >> 2);
	return true;
}

/* The status of packet i, from the chunks; see draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1. */
struct twcc_chunks
{
	const uint8_t *at, *end;
	uint16_t chunk;
	int left; /* packets that the current chunk still describes */
	int used; /* of a vector */
};

static int
next_status(struct twcc_chunks *c)
{
	if (c->left == 0)
	{
		if (c->at + 2 > c->end)
			return -1;
		c->chunk = rt_bytes_get16(c->at);
		c->at += 2;
		c->used = 0;
		c->left = !(c->chunk & 0x8000) ? c->chunk & 0x1fff : c->chunk & 0x4000 ? 7 : 14;
		if (c->left == 0)
			return -1;
	}
	c->left--;
	if (!(c->chunk & 0x8000))
		return c->chunk >> 13 & 3;
	c->used++;
	if (c->chunk & 0x4000)
		return c->chunk >> (14 - 2 * c->used) & 3;
	return c->chunk >> (14 - c->used) & 1;
}

/* Where the deltas begin: behind the chunks that are needed for n packets.  NULL when they overrun. */
static const uint8_t *
find_deltas(const uint8_t *at, const uint8_t *end, int n)
{
	struct twcc_chunks c = {at, end, 0, 0, 0};

	for (int i = 0; i < n;)
	{
		if (next_status(&c) < 0)
			return NULL;
		i += 1 + c.left;
		c.left = 0;
	}
	return c.at;
}

bool
rt_rtcp_read_twcc(const struct rt_rtcp *p, uint32_t *reference_64ms, rt_rtcp_twcc_cb cb, void *arg)
{
	const uint8_t *end = p->body + p->len, *delta;
	struct twcc_chunks c = {p->body + 16, end, 0, 0, 0};
	uint16_t base, n;

	if (p->type != RT_RTCP_RTPFB || p->count != RT_RTPFB_TWCC || p->len < 16)
		return false;
	base = rt_bytes_get16(p->body + 8);
	n = rt_bytes_get16(p->body + 10);
	*reference_64ms = rt_bytes_get24(p->body + 12);
	delta = find_deltas(c.at, end, n);
	if (delta == NULL)
		return false;
	for (int i = 0, run; i < n; i += run)
	{
		int status = next_status(&c), size = status == 1 ? 1 : status == 2 ? 2 : 0;

		run = 1;
		if (status < 0 || delta + size > end)
			return false;
		if (size == 0 && !(c.chunk & 0x8000)) /* a run-length chunk of losses, all at once */
		{
			run += c.left < n - i - 1 ? c.left : n - i - 1;
			c.left = 0;
		}
		cb(arg, (uint16_t) (base + i), run, size > 0,
		   size == 1   ? delta[0]
		   : size == 2 ? (int16_t) rt_bytes_get16(delta)
					   : 0);
		delta += size;
	}
	return true;
}

/* ---- writers ---- */

static uint8_t *
begin(uint8_t *out, uint8_t count, uint8_t type, size_t size)
{
	out[0] = (uint8_t) (0x80 | count);
	out[1] = type;
	rt_bytes_put16(out + 2, (uint16_t) (size / 4 - 1));
	return out + 4;
}

size_t
rt_rtcp_write_sr(uint8_t *out, size_t cap, const struct rt_rtcp_sr *sr)
{
	uint8_t *b;

	if (cap < 28)
		return 0;
	b = begin(out, 0, RT_RTCP_SR, 28);
	rt_bytes_put32(b, sr->ssrc);
	rt_bytes_put32(b + 4, (uint32_t) (sr->ntp >> 32));
	rt_bytes_put32(b + 8, (uint32_t) sr->ntp);
	rt_bytes_put32(b + 12, sr->rtp_ts);
	rt_bytes_put32(b + 16, sr->packets);
	rt_bytes_put32(b + 20, sr->octets);
	return 28;
}

size_t
rt_rtcp_write_rr(uint8_t *out, size_t cap, uint32_t ssrc, const struct rt_rtcp_report *r, int n)
{
	size_t size = 8 + 24 * (size_t) n;
	uint8_t *b;

	if (cap < size || n > 31)
		return 0;
	b = begin(out, (uint8_t) n, RT_RTCP_RR, size);
	rt_bytes_put32(b, ssrc);
	b += 4;
	for (int i = 0; i < n; i++, b += 24)
	{
		rt_bytes_put32(b, r[i].ssrc);
		b[4] = r[i].fraction_lost;
		rt_bytes_put24(b + 5, (uint32_t) r[i].lost & 0xffffff);
		rt_bytes_put32(b + 8, r[i].highest_seq);
		rt_bytes_put32(b + 12, r[i].jitter);
		rt_bytes_put32(b + 16, r[i].lsr);
		rt_bytes_put32(b + 20, r[i].dlsr);
	}
	return size;
}

size_t
rt_rtcp_write_sdes(uint8_t *out, size_t cap, uint32_t ssrc, const char *cname)
{
	size_t n = strlen(cname), size = (8 + 2 + n + 1 + 3) & ~(size_t) 3; /* at least one zero ends the chunk */
	uint8_t *b;

	if (n > 255 || cap < size)
		return 0;
	b = begin(out, 1, RT_RTCP_SDES, size);
	memset(b, 0, size - 4);
	rt_bytes_put32(b, ssrc);
	b[4] = 1; /* CNAME */
	b[5] = (uint8_t) n;
	memcpy(b + 6, cname, n);
	return size;
}

size_t
rt_rtcp_write_bye(uint8_t *out, size_t cap, uint32_t ssrc)
{
	if (cap < 8)
		return 0;
	rt_bytes_put32(begin(out, 1, RT_RTCP_BYE, 8), ssrc);
	return 8;
}

size_t
rt_rtcp_write_pli(uint8_t *out, size_t cap, uint32_t ssrc, uint32_t media)
{
	uint8_t *b;

	if (cap < 12)
		return 0;
	b = begin(out, RT_PSFB_PLI, RT_RTCP_PSFB, 12);
	rt_bytes_put32(b, ssrc);
	rt_bytes_put32(b + 4, media);
	return 12;
}

size_t
rt_rtcp_write_fir(uint8_t *out, size_t cap, uint32_t ssrc, uint32_t media, uint8_t seq)
{
	uint8_t *b;

	if (cap < 20)
		return 0;
	b = begin(out, RT_PSFB_FIR, RT_RTCP_PSFB, 20);
	rt_bytes_put32(b, ssrc);
	rt_bytes_put32(b + 4, 0);
	rt_bytes_put32(b + 8, media);
	rt_bytes_put32(b + 12, (uint32_t) seq << 24);
	return 20;
}

size_t
rt_rtcp_write_rrtr(uint8_t *out, size_t cap, uint32_t ssrc, uint64_t ntp)
{
	uint8_t *b;

	if (cap < 20)
		return 0;
	b = begin(out, 0, RT_RTCP_XR, 20);
	rt_bytes_put32(b, ssrc);
	rt_bytes_put32(b + 4, (uint32_t) XR_RRTR << 24 | 2);
	rt_bytes_put32(b + 8, (uint32_t) (ntp >> 32));
	rt_bytes_put32(b + 12, (uint32_t) ntp);
	return 20;
}

size_t
rt_rtcp_write_nack(uint8_t *out, size_t cap, uint32_t ssrc, uint32_t media, const uint16_t *seqs, int n)
{
	size_t size = 12;
	uint8_t *b;

	for (int i = 0; i < n; size += 4)
	{
		uint16_t pid = seqs[i++], blp = 0;

		while (i < n && (uint16_t) (seqs[i] - pid - 1) < 16)
			blp |= (uint16_t) (1u << (uint16_t) (seqs[i++] - pid - 1));
		if (size + 4 > cap)
			return 0;
		rt_bytes_put16(out + size, pid);
		rt_bytes_put16(out + size + 2, blp);
	}
	if (size == 12)
		return 0;
	b = begin(out, RT_RTPFB_NACK, RT_RTCP_RTPFB, size);
	rt_bytes_put32(b, ssrc);
	rt_bytes_put32(b + 4, media);
	return size;
}

size_t
rt_rtcp_write_remb(uint8_t *out, size_t cap, uint32_t ssrc, uint64_t bps, const uint32_t *media, int n)
{
	size_t size = 20 + 4 * (size_t) n;
	uint8_t exp = 0, *b;

	if (cap < size || n > 255)
		return 0;
	while (bps > 0x3ffff)
	{
		bps >>= 1;
		exp++;
	}
	b = begin(out, RT_PSFB_AFB, RT_RTCP_PSFB, size);
	rt_bytes_put32(b, ssrc);
	rt_bytes_put32(b + 4, 0);
	memcpy(b + 8, "REMB", 4);
	b[12] = (uint8_t) n;
	rt_bytes_put24(b + 13, (uint32_t) exp << 18 | (uint32_t) bps);
	for (int i = 0; i < n; i++)
		rt_bytes_put32(b + 16 + 4 * i, media[i]);
	return size;
}

/* Status symbol of a packet, given the time of the one before; *delta in 250 us.  -1: does not fit in 16 bits. */
static int
twcc_symbol(uint64_t arrival_us, int64_t *clock_250us, int32_t *delta)
{
	int64_t d;

	if (arrival_us == 0)
		return 0;
	d = (int64_t) (arrival_us / 250) - *clock_250us;
	if (d < INT16_MIN || d > INT16_MAX)
		return -1;
	*clock_250us += d;
	*delta = (int32_t) d;
	return d >= 0 && d <= 255 ? 1 : 2;
}

size_t
rt_rtcp_write_twcc(uint8_t *out, size_t cap, uint32_t ssrc, uint32_t media, uint8_t fb_count, uint16_t base,
				   const uint64_t *arrival_us, int n, int *written)
{
	/* Two-bit vector chunks throughout: 7 packets each, 2 bytes; deltas follow. */
	uint8_t deltas[1200], *b;
	size_t dlen = 0, chunks, size, pad;
	int64_t clock;
	uint32_t reference = 0;
	uint8_t symbols[700];
	int i;

	*written = 0;
	for (i = 0; i < n && arrival_us[i] == 0; i++)
		;
	if (i == n || cap < 64)
		return 0;
	reference = (uint32_t) (arrival_us[i] / 64000);
	clock = (int64_t) reference * 256;
	for (i = 0; i < n && i < (int) sizeof(symbols); i++)
	{
		int32_t delta = 0;
		int s = twcc_symbol(arrival_us[i], &clock, &delta);
		size_t need = 20 + 2 * (size_t) (i / 7 + 1) + dlen + 2 + 3;

		if (s < 0 || need > cap || dlen + 2 > sizeof(deltas))
			break;
		symbols[i] = (uint8_t) s;
		if (s == 1)
			deltas[dlen++] = (uint8_t) delta;
		else if (s == 2)
		{
			rt_bytes_put16(deltas + dlen, (uint16_t) delta);
			dlen += 2;
		}
	}
	*written = i;
	chunks = (size_t) (i + 6) / 7;
	size = 20 + 2 * chunks + dlen;
	pad = (4 - size % 4) % 4;
	b = begin(out, RT_RTPFB_TWCC, RT_RTCP_RTPFB, size + pad);
	rt_bytes_put32(b, ssrc);
	rt_bytes_put32(b + 4, media);
	rt_bytes_put16(b + 8, base);
	rt_bytes_put16(b + 10, (uint16_t) i);
	rt_bytes_put24(b + 12, reference & 0xffffff);
	b[15] = fb_count;
	for (size_t c = 0; c < chunks; c++)
	{
		uint16_t chunk = 0xc000;

		for (int k = 0; k < 7 && (int) c * 7 + k < i; k++)
			chunk |= (uint16_t) (symbols[c * 7 + (size_t) k] << (12 - 2 * k));
		rt_bytes_put16(b + 16 + 2 * c, chunk);
	}
	memcpy(b + 16 + 2 * chunks, deltas, dlen);
	if (pad)
	{
		memset(out + size, 0, pad);
		out[size + pad - 1] = (uint8_t) pad;
		out[0] |= 0x20;
	}
	return size + pad;
}
