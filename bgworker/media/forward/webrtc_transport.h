/* webrtc_transport.h: one peer's way: ICE-lite (RFC 8445 section 2.5), DTLS, SRTP.  It knows neither producers nor
 * consumers: what is decrypted it hands back to its owner.
 *
 * Packets of other kinds than STUN are taken only from addresses that a check with the right password has validated.
 */
#ifndef RT_WEBRTC_TRANSPORT_H
#define RT_WEBRTC_TRANSPORT_H

#include "bgworker/media/params/params_dtls.h"
#include "bgworker/media/secure/ice.h"
#include "bgworker/media/secure/srtp.h"
#include "hub.h"

struct rt_webrtc_transport;
struct rt_webrtc_transport_table;

/* What the owner hears, from within calls into the transport: it may close it then. */
struct rt_webrtc_transport_handler
{
	void (*on_connected)(void *arg);                 /* there are keys: packets may go out */
	void (*on_ended)(void *arg, const char *reason); /* DTLS failed, or the peer said goodbye; reason is static */
	void *arg;
};

struct rt_webrtc_transport_stats
{
	bool selected;
	struct rt_tuple tuple; /* of the peer, if selected */
	int tuples;            /* that are validated */
	uint64_t packets_in, bytes_in, packets_out, bytes_out, srtp_failures;
	uint32_t rtt_ms; /* 0: not known */
};

/* All transports of a worker, by ufrag and by address. */
struct rt_webrtc_transport_table *rt_webrtc_transport_table_new(struct rt_hub *h);
void rt_webrtc_transport_table_free(struct rt_webrtc_transport_table *table); /* NULL is fine; transports are gone */

/* ---- the ways in from the port ---- */

void rt_webrtc_transport_stun(struct rt_webrtc_transport_table *table, const struct rt_tuple *from, uint8_t *data,
							  size_t len);
struct rt_webrtc_transport *rt_webrtc_transport_find(struct rt_webrtc_transport_table *table,
													 const struct rt_tuple *from); /* NULL: not validated */
void rt_webrtc_transport_tcp_closed(struct rt_webrtc_transport_table *table, const struct rt_tuple *from);
void rt_webrtc_transport_dtls(struct rt_webrtc_transport *t, const uint8_t *data, size_t len);
/* In place.  False, and counted: there are no keys, or it is not authentic, or came already. */
bool rt_webrtc_transport_open_rtp(struct rt_webrtc_transport *t, uint8_t *data, size_t *len);
bool rt_webrtc_transport_open_rtcp(struct rt_webrtc_transport *t, uint8_t *data, size_t *len);

/* ---- life ---- */

struct rt_webrtc_transport *rt_webrtc_transport_new(struct rt_webrtc_transport_table *table,
													const struct rt_webrtc_transport_handler *handler);
void rt_webrtc_transport_close(struct rt_webrtc_transport *t);        /* freed at the end of the turn */
void *rt_webrtc_transport_owner(const struct rt_webrtc_transport *t); /* the handler's arg */

/* Credentials that the client has been given already.  RT_BAD_INPUT: too long, or the ufrag is another one's. */
enum rt_result rt_webrtc_transport_set_ice(struct rt_webrtc_transport *t, const char *ufrag, const char *pwd);
/* New credentials; the old ones hold until a check with the new ones comes. */
void rt_webrtc_transport_restart_ice(struct rt_webrtc_transport *t);
const char *rt_webrtc_transport_ufrag(const struct rt_webrtc_transport *t); /* ours, the newest */
const char *rt_webrtc_transport_pwd(const struct rt_webrtc_transport *t);
/* RT_BAD_INPUT: it was told already, or the digest is of no known kind. */
enum rt_result rt_webrtc_transport_connect(struct rt_webrtc_transport *t, const struct rt_dtls_params *p);

/* Why it must be closed now: the peer never came, or is silent.  NULL: it stays.  Static. */
const char *rt_webrtc_transport_overdue(const struct rt_webrtc_transport *t);

bool rt_webrtc_transport_ready(const struct rt_webrtc_transport *t); /* packets can be sent */
/* "new", "connected", …: the states of WebRTC's dictionaries. */
const char *rt_webrtc_transport_ice_state(const struct rt_webrtc_transport *t);
const char *rt_webrtc_transport_dtls_state(const struct rt_webrtc_transport *t);
void rt_webrtc_transport_read_stats(const struct rt_webrtc_transport *t, struct rt_webrtc_transport_stats *out);

void rt_webrtc_transport_note_rtt(struct rt_webrtc_transport *t, uint32_t ms);
uint32_t rt_webrtc_transport_rtt_ms(const struct rt_webrtc_transport *t); /* 0: not known */

/* ---- out; only when ready ---- */

/* At once, protected.  data has room for cap bytes; len of 0 is nothing to send. */
void rt_webrtc_transport_send_rtcp(struct rt_webrtc_transport *t, uint8_t *data, size_t len, size_t cap);
/* Protects what lies in a buffer of rt_port_buffer(), header first, and queues it; see rt_srtp_protect().  Its
 * length, 0: it could not be protected. */
size_t rt_webrtc_transport_queue_rtp(struct rt_webrtc_transport *t, struct rt_srtp_roc *roc, uint8_t *out,
									 size_t header_len, const uint8_t *prefix, size_t prefix_len,
									 const uint8_t *payload, size_t payload_len);
/* Queues what lies in that buffer, and went out before, as it is. */
void rt_webrtc_transport_queue_again(struct rt_webrtc_transport *t, size_t len);
/* How many times what goes out has taken another address. */
uint32_t rt_webrtc_transport_paths(const struct rt_webrtc_transport *t);
/* Whether what goes out is under AES-GCM, where no sequence number may go out twice. */
bool rt_webrtc_transport_is_aead(const struct rt_webrtc_transport *t);

#endif
