/* consumer.h: one outgoing track: what a receiver gets of a producer, under numbers of its own, and once more where
 * it was lost. */
#ifndef RT_CONSUMER_H
#define RT_CONSUMER_H

#include "bgworker/media/params/params_consumer.h"
#include "bgworker/media/rtp/rtcp.h"
#include "egress.h"
#include "layers.h"

struct rt_consumer;
struct rt_producer;

struct rt_consumer_stats
{
	uint32_t ssrc;
	uint64_t packets, bytes, bitrate_bps, retransmitted, nacks, plis, firs;
	/* by the receiver's last report */
	int32_t lost;
	uint8_t fraction_lost; /* of 256 */
	double jitter_ms;
	uint8_t score;   /* 0 to 10 */
	uint32_t rtt_ms; /* 0: not known */
};

/* Takes the parameters over; starts paused.  egress outlives it; list is the first of its transport, where the
 * consumer links itself in, and out again. */
struct rt_consumer *rt_consumer_new(struct rt_egress *egress, struct rt_consumer **list, struct rt_producer *p,
									const char *id, struct rt_consumer_params *params);
void rt_consumer_close(struct rt_consumer *c);

const char *rt_consumer_id(const struct rt_consumer *c);
struct rt_consumer *rt_consumer_next(const struct rt_consumer *c); /* of its transport */
struct rt_producer *rt_consumer_producer(const struct rt_consumer *c);
const struct rt_consumer_params *rt_consumer_parameters(const struct rt_consumer *c);
/* What the client is to be told of it, once: the caller's from then on. */
json_t *rt_consumer_take_rtp_parameters(struct rt_consumer *c);

void rt_consumer_pause(struct rt_consumer *c, bool paused);
bool rt_consumer_is_paused(const struct rt_consumer *c);
/* It may flow now, for the first time or after a pause. */
void rt_consumer_begin(struct rt_consumer *c);
bool rt_consumer_flows(const struct rt_consumer *c);

/* ---- layers ---- */

const struct rt_layers *rt_consumer_layers(const struct rt_consumer *c);
void rt_consumer_prefer(struct rt_consumer *c, int spatial, int temporal); /* see rt_layers_prefer() */
/* 1 to 255, 1 at first: of the pictures that a receiver gets, those with more come first. */
void rt_consumer_set_priority(struct rt_consumer *c, int priority);
int rt_consumer_priority(const struct rt_consumer *c);
/* What its bandwidth allows, {-1, -1} for nothing; asks for the key frame that another spatial layer begins with.
 * reason is static. */
void rt_consumer_aim(struct rt_consumer *c, struct rt_level target, const char *reason);

/* ---- what the receiver says ---- */

/* It lost a packet; sent again by RTX where that was agreed. */
void rt_consumer_resend(struct rt_consumer *c, uint16_t seq);
void rt_consumer_note_nack(struct rt_consumer *c); /* one RTCP packet, of however many numbers */
/* It cannot decode. */
void rt_consumer_want_keyframe(struct rt_consumer *c);
void rt_consumer_on_pli(struct rt_consumer *c);
void rt_consumer_on_fir(struct rt_consumer *c);
void rt_consumer_on_report(struct rt_consumer *c, const struct rt_rtcp_report *r);

/* ---- what is due by time ---- */

/* A sender report is due each second; its length, 0: none is due, or it has no room. */
size_t rt_consumer_sender_report(struct rt_consumer *c, uint8_t *out, size_t cap);
/* Each second: tells its score where that has changed. */
void rt_consumer_tell_score(struct rt_consumer *c);

/* Video that is held back until its receiver's path carries it. */
bool rt_consumer_is_suspended(const struct rt_consumer *c);
/* Whether it can send padding, and how (see egress.h). */
bool rt_consumer_can_pad(const struct rt_consumer *c);
extern const struct rt_egress_source rt_consumer_source;

/* Bits a second now; one that is silent for a second has none. */
uint64_t rt_consumer_bitrate(const struct rt_consumer *c);
uint64_t rt_consumer_packet_rate(const struct rt_consumer *c); /* a second */
void rt_consumer_read_stats(const struct rt_consumer *c, struct rt_consumer_stats *out);

/* ---- for producer.c alone: see the end of producer.h ---- */

enum rt_forwarded
{
	RT_FORWARDED_NOT,
	RT_FORWARDED,
	RT_FORWARDED_BEGAN /* and it began a stream */
};

enum rt_forwarded rt_consumer_forward(struct rt_consumer *c, const struct rt_packet *p);
/* The next packet begins the stream anew, with a key frame if it is video. */
void rt_consumer_resync(struct rt_consumer *c);
void rt_consumer_want_allotment(struct rt_consumer *c); /* its producer is limited, or no more */
int rt_consumer_outgoing(const struct rt_consumer *c);  /* index of the stream that goes out; -1: none does */
int rt_consumer_wanted(const struct rt_consumer *c);    /* of the one that is wanted */

#endif
