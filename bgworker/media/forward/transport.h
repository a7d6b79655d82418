/* transport.h: one peer's way: ICE-lite, DTLS, SRTP.  Packets of other kinds are taken only from tuples that STUN
 * has validated. */
#ifndef RT_TRANSPORT_H
#define RT_TRANSPORT_H

#include "objects.h"
#include "bgworker/media/params/params_dtls.h"

struct rt_transport *rt_transport_new(struct rt_router *r, const char *id, const char *participant_id, bool sends);
/* Closes what is on it and frees it at the end of the turn. */
void rt_transport_close(struct rt_transport *t);

/* Credentials that the client has been given already.  RT_BAD_INPUT: too long, or the ufrag is another one's. */
enum rt_result rt_transport_set_ice(struct rt_transport *t, const char *ufrag, const char *pwd);
/* New credentials; the old ones hold until a check with the new ones comes. */
void rt_transport_restart_ice(struct rt_transport *t);
/* RT_BAD_INPUT: connected already. */
enum rt_result rt_transport_connect(struct rt_transport *t, const struct rt_dtls_params *p);

bool rt_transport_ready(const struct rt_transport *t); /* packets can be sent */
/* "new", "connected", …: the states of WebRTC's dictionaries. */
const char *rt_transport_ice_state(const struct rt_transport *t);
const char *rt_transport_dtls_state(const struct rt_transport *t);

/* Each tick: idle and half-open transports end.  True: it was closed. */
bool rt_transport_expire(struct rt_transport *t);

/* At once, protected. */
void rt_transport_send_rtcp(struct rt_transport *t, uint8_t *data, size_t len, size_t cap);

/* The password lookup for rt_ice_new(); arg is the engine. */
const char *rt_transport_password(void *arg, const char *ufrag, size_t len);

/* The ways in from the port. */
void rt_transport_stun(struct rt_engine *e, const struct rt_tuple *from, uint8_t *data, size_t len);
struct rt_transport *rt_transport_find(struct rt_engine *e, const struct rt_tuple *from);
void rt_transport_dtls(struct rt_transport *t, const uint8_t *data, size_t len);
void rt_transport_tcp_closed(struct rt_engine *e, const struct rt_tuple *from);

#endif
