/* gcm.h: SRTP and SRTCP with AEAD_AES_128_GCM (RFC 7714) on OpenSSL, keys set up once.
 *
 * libsrtp2 costs several times as much a packet, encrypts in place only, and keeps 18 kB for each peer.  test/unit
 * compares the two, packet for packet, both ways. */
#ifndef RT_GCM_H
#define RT_GCM_H

#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "srtp_roc.h"

/* Streams of a peer whose numbers are followed; beyond it packets of new ones are refused. */
#define RT_GCM_MAX_STREAMS 1024

struct rt_gcm;

/* Master keys with their salts: ours to send with, the peer's.  NULL if OpenSSL fails. */
struct rt_gcm *rt_gcm_new(const uint8_t *local, const uint8_t *remote);
void rt_gcm_free(struct rt_gcm *g); /* NULL is fine */

/* As their namesakes of srtp.h. */
enum rt_result rt_gcm_unprotect(struct rt_gcm *g, uint8_t *data, size_t *len);
enum rt_result rt_gcm_unprotect_rtcp(struct rt_gcm *g, uint8_t *data, size_t *len);
enum rt_result rt_gcm_protect_rtcp(struct rt_gcm *g, uint8_t *data, size_t *len);
size_t rt_gcm_protect(struct rt_gcm *g, struct rt_srtp_roc *roc, uint8_t *out, size_t header_len,
					  const uint8_t *prefix, size_t prefix_len, const uint8_t *payload, size_t payload_len);

#endif
