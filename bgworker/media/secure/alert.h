/* alert.h: the alerts of a DTLS 1.2 association whose handshake is over (RFC 5246 section 7.2, RFC 6347 section 4.1).
 *
 * Beside them nothing is said over DTLS in a call, and libssl keeps 40 kB for each association to be able to say it;
 * so its object goes when the peer has shown that it needs no part of the handshake again, and this stays.  For the
 * suites with AES-GCM (RFC 5288), which is what browsers choose. */
#ifndef RT_ALERT_H
#define RT_ALERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/ssl.h>

#define RT_ALERT_MAX 64 /* bytes of a datagram of rt_alerts_write_close() */

struct rt_alerts;

enum rt_alert
{
	RT_ALERT_NONE,  /* nothing that matters, or not authentic */
	RT_ALERT_CLOSE, /* close_notify */
	RT_ALERT_FATAL
};

/* ssl: finished.  NULL: of another suite or version. */
struct rt_alerts *rt_alerts_new(SSL *ssl);
void rt_alerts_free(struct rt_alerts *a); /* NULL is fine */

/* What a datagram says. */
enum rt_alert rt_alerts_read(struct rt_alerts *a, const uint8_t *data, size_t len);
/* A close_notify; 0 if OpenSSL fails. */
size_t rt_alerts_write_close(struct rt_alerts *a, uint8_t out[RT_ALERT_MAX]);

#endif
