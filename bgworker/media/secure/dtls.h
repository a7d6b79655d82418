/* dtls.h: one DTLS 1.2 endpoint over memory BIOs (RFC 6347), for the keys of SRTP (RFC 5764).
 *
 * Datagrams go in by rt_dtls_receive() and leave by the callback, each at most RT_DTLS_MTU bytes.  The peer's
 * certificate must match the fingerprint that signalling gave; without one the handshake waits at its end. */
#ifndef RT_DTLS_H
#define RT_DTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"

#define RT_DTLS_MTU 1200
#define RT_SRTP_KEY_LEN 30 /* longest of the profiles: key and salt */

enum rt_srtp_profile
{
	RT_SRTP_NONE,
	RT_SRTP_AEAD_AES_128_GCM,
	RT_SRTP_AES128_CM_SHA1_80
};

enum rt_dtls_state
{
	RT_DTLS_NEW,
	RT_DTLS_CONNECTING,
	RT_DTLS_CONNECTED,
	RT_DTLS_FAILED,
	RT_DTLS_CLOSED
};

struct rt_dtls_context; /* certificate and SSL_CTX, one a program */
struct rt_dtls;

struct rt_dtls_keys
{
	enum rt_srtp_profile profile;
	uint8_t local[RT_SRTP_KEY_LEN]; /* key, then salt */
	uint8_t remote[RT_SRTP_KEY_LEN];
};

typedef void (*rt_dtls_send_cb)(void *arg, const uint8_t *data, size_t len);

/* Makes libcrypto ask us for memory, so that an association takes less after its handshake: before anything else uses
 * libcrypto, or it has no effect and returns false. */
bool rt_dtls_save_memory(void);

/* A self-signed ECDSA P-256 certificate, made now; NULL is logged. */
struct rt_dtls_context *rt_dtls_context_new(void);
void rt_dtls_context_free(struct rt_dtls_context *c);
const char *rt_dtls_context_fingerprint(const struct rt_dtls_context *c); /* sha-256, "AB:CD:…" */

/* Server side, or client when the peer insists on being the server. */
struct rt_dtls *rt_dtls_new(struct rt_dtls_context *c, rt_dtls_send_cb send, void *arg);
void rt_dtls_free(struct rt_dtls *d);

/* algorithm "sha-1" … "sha-512".  RT_BAD_INPUT: unknown, or a digest of another length. */
enum rt_result rt_dtls_set_fingerprint(struct rt_dtls *d, const char *algorithm, const uint8_t *digest, size_t len);
/* Begins a handshake as client (signalling said role "server").  Else the first datagram begins one. */
void rt_dtls_connect(struct rt_dtls *d);

/* Takes one datagram; the state may change.  RT_BAD_INPUT for what is no DTLS or ended the handshake. */
enum rt_result rt_dtls_receive(struct rt_dtls *d, const uint8_t *data, size_t len);
enum rt_dtls_state rt_dtls_get_state(const struct rt_dtls *d);
/* Milliseconds until rt_dtls_timeout() is due; -1: no timer runs. */
int rt_dtls_timeout_ms(struct rt_dtls *d);
void rt_dtls_timeout(struct rt_dtls *d);
/* Only when connected. */
bool rt_dtls_export_keys(struct rt_dtls *d, struct rt_dtls_keys *keys);
void rt_dtls_close(struct rt_dtls *d); /* close_notify */

#endif
