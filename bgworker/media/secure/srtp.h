/* srtp.h: one peer's SRTP and SRTCP (RFC 3711): AES-128-GCM by gcm.h, AES-CM by libsrtp2. */
#ifndef RT_SRTP_H
#define RT_SRTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "dtls.h"
#include "srtp_roc.h"

#define RT_SRTP_OVERHEAD 24 /* most that protecting adds, RTP or RTCP */

struct rt_srtp;

enum rt_result rt_srtp_startup(void); /* once a program */

enum rt_result rt_srtp_new(struct rt_srtp **sp, const struct rt_dtls_keys *keys);
void rt_srtp_free(struct rt_srtp *s);

/* Whether what goes out is under AES-GCM, where a sequence number must never be used twice. */
bool rt_srtp_is_aead(const struct rt_srtp *s);

/* In place; *len becomes the clear packet's.  RT_BAD_INPUT: not authentic, or a replay. */
enum rt_result rt_srtp_unprotect(struct rt_srtp *s, uint8_t *data, size_t *len);
enum rt_result rt_srtp_unprotect_rtcp(struct rt_srtp *s, uint8_t *data, size_t *len);

/* In place; data has RT_SRTP_OVERHEAD bytes of room behind *len. */
enum rt_result rt_srtp_protect_rtcp(struct rt_srtp *s, uint8_t *data, size_t *len);

/* out holds the header already; prefix and payload are encrypted behind it.  Returns the packet's length, 0 on error.
 * out has room for all and RT_SRTP_OVERHEAD. */
size_t rt_srtp_protect(struct rt_srtp *s, struct rt_srtp_roc *roc, uint8_t *out, size_t header_len,
					   const uint8_t *prefix, size_t prefix_len, const uint8_t *payload, size_t payload_len);

#endif
