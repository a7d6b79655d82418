/* endpoint.h: what the wire calls a transport: one peer's WebRTC transport, one way, with all that flows over it:
 * producers where the peer sends, consumers where it receives. */
#ifndef RT_ENDPOINT_H
#define RT_ENDPOINT_H

#include "allot.h"
#include "consumer.h"
#include "producer.h"

#define RT_ENDPOINT_MAX_PRODUCERS 32
#define RT_ENDPOINT_MAX_CONSUMERS RT_ALLOT_MAX

struct rt_endpoint;

/* Where an endpoint lives; all of it outlives the endpoint. */
struct rt_endpoint_home
{
	struct rt_hub *hub;
	struct rt_webrtc_transport_table *table;
	struct rt_speaker *speaker; /* of its meeting */
	struct rt_fanout *fanout;
	struct rt_endpoint **list; /* the first of the meeting; the endpoint links itself in, and out again */
};

/* user: whose it is; sends: the peer does. */
struct rt_endpoint *rt_endpoint_new(const struct rt_endpoint_home *home, const char *id, const char *user,
									bool sends);
/* Closes what is on it, without a word: who asked knows.  Freed at the end of the turn. */
void rt_endpoint_close(struct rt_endpoint *e);
/* Tells why, and closes it. */
void rt_endpoint_end(struct rt_endpoint *e, const char *reason);

const char *rt_endpoint_id(const struct rt_endpoint *e);
bool rt_endpoint_sends(const struct rt_endpoint *e);
struct rt_endpoint *rt_endpoint_next(const struct rt_endpoint *e); /* of its meeting */
struct rt_webrtc_transport *rt_endpoint_transport(const struct rt_endpoint *e);
struct rt_egress *rt_endpoint_egress(const struct rt_endpoint *e);      /* NULL: the peer sends */
struct rt_producer *rt_endpoint_producers(const struct rt_endpoint *e); /* the first; NULL */
struct rt_consumer *rt_endpoint_consumers(const struct rt_endpoint *e); /* likewise */
/* The CNAME of its first producer, which all of them have; NULL: it has had none. */
const char *rt_endpoint_cname(const struct rt_endpoint *e);

/* Takes the parameters over, if RT_OK.  RT_LIMIT: too many; RT_BAD_INPUT: an SSRC or MID is in use on it. */
enum rt_result rt_endpoint_produce(struct rt_producer **pp, struct rt_endpoint *e, const char *id,
								   struct rt_producer_params *params);

/* Its settings are made: packets of it that came before it was announced are taken now. */
void rt_endpoint_announced(struct rt_endpoint *e);

/* What names the next consumer: a MID, an SSRC and the one behind it for RTX.  None is used twice under one SRTP key.
 */
#define RT_ENDPOINT_MID 16
void rt_endpoint_name_next(const struct rt_endpoint *e, char mid[RT_ENDPOINT_MID], uint32_t *ssrc);
/* Takes the parameters over, if RT_OK.  RT_LIMIT: too many; RT_BAD_INPUT: the producer is of another meeting. */
enum rt_result rt_endpoint_consume(struct rt_consumer **cp, struct rt_endpoint *e, struct rt_producer *p,
								   const char *id, struct rt_consumer_params *params);

/* Datagrams from a validated address. */
void rt_endpoint_rtp(struct rt_endpoint *e, uint8_t *data, size_t len);
void rt_endpoint_rtcp(struct rt_endpoint *e, uint8_t *data, size_t len);
/* 20 ms have passed; tick counts them.  It may be closed then. */
#define RT_ENDPOINT_TICK_MS 20
void rt_endpoint_tick(struct rt_endpoint *e, uint64_t tick);

#endif
