/* params_producer.h: what a client sends, and the numbers under which the router knows it. */
#ifndef RT_PARAMS_PRODUCER_H
#define RT_PARAMS_PRODUCER_H

#include <jansson.h>

#include "params.h"

/* One stream of a producer. */
struct rt_encoding
{
	uint32_t ssrc;                   /* 0: not told, to be learnt from the packets */
	uint32_t rtx_ssrc;               /* 0 likewise */
	char rid[RT_PARAMS_MAX_RID + 1]; /* "": none */
	uint32_t mapped_ssrc;            /* ours */
	struct rt_scalability layers;
	bool dtx;
	uint64_t max_bitrate_bps; /* 0: not told */
};

struct rt_producer_params
{
	enum rt_kind kind;
	enum rt_codec codec;
	enum rt_producer_type type;
	uint32_t clock_rate;
	uint8_t pt; /* the client's */
	uint8_t rtx_pt;
	uint8_t red_pt;    /* opus comes in RED as well (RFC 2198) */
	uint8_t mapped_pt; /* the router's */
	uint8_t mapped_rtx_pt;
	struct rt_feedback feedback; /* what the client understands from us */
	struct rt_ext_ids ext;       /* the client's ids */
	char mid[RT_PARAMS_MAX_MID + 1];
	char cname[RT_PARAMS_MAX_CNAME + 1];
	int n_encodings; /* at least one; simulcast: from the lowest quality to the highest */
	struct rt_encoding encodings[RT_PARAMS_MAX_ENCODINGS];
	json_t *consumable; /* owned: the router's view of it, from which consumers are made */
};

/* What the owner of the transport adds. */
struct rt_producer_context
{
	const json_t *caps;        /* the router's capabilities */
	const char *cname;         /* of the transport's first producer; NULL if this is it */
	const char *default_cname; /* random, for a client that tells none */
	uint32_t first_ssrc; /* random; encodings are numbered from it.  At most 2^32 - 1 - RT_PARAMS_MAX_ENCODINGS */
};

/* rtp_parameters: as the client sent it.  That SSRCs, MIDs and RIDs are unique on the transport is for the caller
 * to check.  On RT_OK, rt_params_producer_fini() is due. */
enum rt_result rt_params_producer_init(struct rt_producer_params *p, const char *kind, const json_t *rtp_parameters,
									   const struct rt_producer_context *ctx, struct rt_params_error *e);
void rt_params_producer_fini(struct rt_producer_params *p);

#endif
