/* rtcp.h: RTCP compounds, read and written (RFC 3550 section 6, RFC 4585, RFC 5104, REMB draft, transport-cc draft).
 * A reader walks a compound packet by packet; a writer appends to a bounded buffer. */
#ifndef RT_RTCP_H
#define RT_RTCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"

enum rt_rtcp_type
{
	RT_RTCP_SR = 200,
	RT_RTCP_RR = 201,
	RT_RTCP_SDES = 202,
	RT_RTCP_BYE = 203,
	RT_RTCP_RTPFB = 205,
	RT_RTCP_PSFB = 206,
	RT_RTCP_XR = 207
};
#define RT_RTCP_OUR_SSRC 1 /* of what we say as a receiver */
#define RT_RTPFB_NACK 1
#define RT_RTPFB_TWCC 15
#define RT_PSFB_PLI 1
#define RT_PSFB_FIR 4
#define RT_PSFB_AFB 15 /* REMB */

/* One packet of a compound; body is what follows the 4-byte header, without padding. */
struct rt_rtcp
{
	uint8_t type;
	uint8_t count; /* RC, SC or FMT */
	const uint8_t *body;
	size_t len;
};

/* Takes the next packet at *off.  RT_OK; RT_AGAIN at the end; RT_BAD_INPUT for a header that overruns. */
enum rt_result rt_rtcp_next(const uint8_t *data, size_t len, size_t *off, struct rt_rtcp *p);

/* Wall clock, 32.32 fixed point, seconds since 1900. */
uint64_t rt_rtcp_ntp_now(void);

struct rt_rtcp_sr
{
	uint32_t ssrc;
	uint64_t ntp; /* 32.32 fixed point, seconds since 1900 */
	uint32_t rtp_ts;
	uint32_t packets;
	uint32_t octets;
};
struct rt_rtcp_report
{
	uint32_t ssrc;
	uint8_t fraction_lost; /* of 256 */
	int32_t lost;          /* cumulative, 24 bits signed */
	uint32_t highest_seq;  /* extended */
	uint32_t jitter;       /* in timestamp units */
	uint32_t lsr;          /* middle 32 bits of the last SR's NTP time */
	uint32_t dlsr;         /* delay since, in 1/65536 s */
};

bool rt_rtcp_read_sr(const struct rt_rtcp *p, struct rt_rtcp_sr *sr);
/* The i-th report block of an SR or RR; false past the last. */
bool rt_rtcp_read_report(const struct rt_rtcp *p, int i, struct rt_rtcp_report *r);
/* Feedback's two SSRCs; false if it is too short. */
bool rt_rtcp_read_feedback(const struct rt_rtcp *p, uint32_t *sender, uint32_t *media);
/* The i-th lost-packet pair of a NACK (RFC 4585 section 6.2.1); false past the last. */
bool rt_rtcp_read_nack(const struct rt_rtcp *p, int i, uint16_t *pid, uint16_t *blp);
/* The i-th entry of a FIR (RFC 5104 section 4.3.1). */
bool rt_rtcp_read_fir(const struct rt_rtcp *p, int i, uint32_t *ssrc, uint8_t *seq);
/* The i-th answer to receiver reference times in an extended report (DLRR, RFC 3611 section 4.5); false past the
 * last. lrr: the middle 32 bits of the time that is answered; dlrr: the delay since, in 1/65536 s. */
bool rt_rtcp_read_dlrr(const struct rt_rtcp *p, int i, uint32_t *ssrc, uint32_t *lrr, uint32_t *dlrr);
/* Bits per second of a REMB; false if the feedback is none. */
bool rt_rtcp_read_remb(const struct rt_rtcp *p, uint64_t *bps);

/* What a transport-cc feedback says of packets from seq on: that one has arrived (n is 1), or that n have not.  A
 * feedback has at most seven calls for each of its bytes, though a few bytes can claim 2^16 losses. */
typedef void (*rt_rtcp_twcc_cb)(void *arg, uint16_t seq, int n, bool received, int32_t delta_250us);
/* Calls cb in order; false when it is malformed.  *reference_64ms is the base time. */
bool rt_rtcp_read_twcc(const struct rt_rtcp *p, uint32_t *reference_64ms, rt_rtcp_twcc_cb cb, void *arg);

/* Writers: bytes written at out, 0 when cap is too small.  `ssrc` is the sender of the packet. */
size_t rt_rtcp_write_sr(uint8_t *out, size_t cap, const struct rt_rtcp_sr *sr);
size_t rt_rtcp_write_rr(uint8_t *out, size_t cap, uint32_t ssrc, const struct rt_rtcp_report *r, int n); /* n <= 31 */
size_t rt_rtcp_write_sdes(uint8_t *out, size_t cap, uint32_t ssrc, const char *cname); /* cname <= 255 bytes */
size_t rt_rtcp_write_bye(uint8_t *out, size_t cap, uint32_t ssrc);
size_t rt_rtcp_write_pli(uint8_t *out, size_t cap, uint32_t ssrc, uint32_t media);
size_t rt_rtcp_write_fir(uint8_t *out, size_t cap, uint32_t ssrc, uint32_t media, uint8_t seq);
/* seqs in rising order (mod 2^16), n >= 1. */
size_t rt_rtcp_write_nack(uint8_t *out, size_t cap, uint32_t ssrc, uint32_t media, const uint16_t *seqs, int n);
/* An extended report with a receiver reference time (RRTR, RFC 3611 section 4.4): a sender answers it. */
size_t rt_rtcp_write_rrtr(uint8_t *out, size_t cap, uint32_t ssrc, uint64_t ntp);
size_t rt_rtcp_write_remb(uint8_t *out, size_t cap, uint32_t ssrc, uint64_t bps, const uint32_t *media, int n);

/* Transport-cc feedback: the packets base .. base + n - 1; arrival_us[i] is monotonic time or 0 for not received.
 * *written is how many of them went in (deltas too large end one feedback early; call again with the rest). */
size_t rt_rtcp_write_twcc(uint8_t *out, size_t cap, uint32_t ssrc, uint32_t media, uint8_t fb_count, uint16_t base,
						  const uint64_t *arrival_us, int n, int *written);

#endif
