/* params_consumer.h: what one client receives of another one's producer. */
#ifndef RT_PARAMS_CONSUMER_H
#define RT_PARAMS_CONSUMER_H

#include <jansson.h>

#include "params.h"

struct rt_consumer_params
{
	enum rt_kind kind;
	enum rt_codec codec;
	uint32_t clock_rate;
	uint8_t pt; /* the router's, in both */
	uint8_t rtx_pt;
	uint8_t red_pt; /* the client takes opus in RED as well (RFC 2198) */
	uint32_t ssrc;
	uint32_t rtx_ssrc;           /* 0: no retransmission */
	struct rt_feedback feedback; /* what the client may send us */
	struct rt_ext_ids ext;       /* the router's ids of those that the client understands */
	char mid[RT_PARAMS_MAX_MID + 1];
	char cname[RT_PARAMS_MAX_CNAME + 1];
	struct rt_scalability layers; /* layers of all streams of the producer together */
	uint64_t max_bitrate_bps;     /* 0: not told */
	json_t *rtp_parameters;       /* owned: what the client is told; NULL when it was */
};

/* rtp_capabilities: as the client sent it.  mid is unique on the transport and neither reused nor "probator";
 * ssrc is random, and ssrc + 1 is taken for retransmissions.  On RT_OK, rt_params_consumer_fini() is due. */
enum rt_result rt_params_consumer_init(struct rt_consumer_params *c, enum rt_kind kind, const json_t *consumable,
									   const json_t *rtp_capabilities, const char *mid, uint32_t ssrc,
									   struct rt_params_error *e);
void rt_params_consumer_fini(struct rt_consumer_params *c);

/* The parts of it, on capabilities that rt_params_caps_check() has passed.  *rtp_parameters is a new reference, and
 * has no mid yet. */
bool rt_params_consumer_can(const json_t *consumable, const json_t *caps);
enum rt_result rt_params_consumer_write(json_t **rtp_parameters, const json_t *consumable, const json_t *caps,
										bool enable_rtx, uint32_t ssrc, struct rt_params_error *e);

#endif
