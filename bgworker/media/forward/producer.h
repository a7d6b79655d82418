/* producer.h: one incoming track: its streams (one, or one for each simulcast layer), their losses and key frames,
 * and the way to its consumers. */
#ifndef RT_PRODUCER_H
#define RT_PRODUCER_H

#include "bgworker/media/params/params_producer.h"
#include "bgworker/media/rtp/packet.h"
#include "bgworker/media/rtp/rtcp.h"
#include "bgworker/media/rtp/rtp.h"
#include "fanout.h"
#include "hub.h"
#include "speaker.h"
#include "ssrc_table.h"
#include "webrtc_transport.h"

struct rt_consumer;
struct rt_producer;

/* Where a producer lives; all of it outlives the producer. */
struct rt_producer_home
{
	struct rt_hub *hub;
	struct rt_webrtc_transport *transport;
	struct rt_ssrc_table *ssrcs;
	struct rt_speaker *speaker; /* of its meeting */
	struct rt_fanout_user *user;
	struct rt_producer **list; /* the first of its transport; the producer links itself in, and out again */
};

struct rt_producer_layer_stats
{
	uint32_t ssrc; /* 0: nothing has come yet */
	uint64_t packets, bytes, bitrate_bps;
	int64_t lost;
	uint8_t fraction_lost; /* of 256 */
	double jitter_ms;
	uint64_t nacks, nacked_packets, repaired, discarded, plis;
	uint32_t rtt_ms; /* to the sender; 0: not known */
};

/* Takes the parameters over.  RT_BAD_INPUT: an SSRC or MID is in use on the transport. */
enum rt_result rt_producer_new(struct rt_producer **pp, const struct rt_producer_home *home, const char *id,
							   struct rt_producer_params *params);
/* Ends its consumers too, without a word: who asked knows. */
void rt_producer_close(struct rt_producer *p);

const char *rt_producer_id(const struct rt_producer *p);
struct rt_producer *rt_producer_next(const struct rt_producer *p); /* of its transport */
const struct rt_producer_params *rt_producer_parameters(const struct rt_producer *p);
bool rt_producer_is_heard_by(const struct rt_producer *p, const struct rt_speaker *s); /* is of that meeting */

bool rt_producer_flows(const struct rt_producer *p);        /* neither paused nor muted */
void rt_producer_pause(struct rt_producer *p, bool paused); /* by the client */
void rt_producer_mute(struct rt_producer *p, bool muted);   /* by the host */

/* Its user takes more than a share of the worker. */
enum rt_fanout_limit rt_producer_limit(const struct rt_producer *p);
uint64_t rt_producer_copies(const struct rt_producer *p); /* packets a second, to all receivers */

/* Where a receiver has not room for all, a screen comes before other pictures, and then whoever speaks. */
void rt_producer_set_screen(struct rt_producer *p, bool screen);
bool rt_producer_is_screen(const struct rt_producer *p);
bool rt_producer_speaks(const struct rt_producer *p); /* its participant is the active speaker */

/* One decrypted media packet of a layer; repair: it came by RTX. */
void rt_producer_packet(struct rt_producer *p, int layer, struct rt_rtp *rtp, bool repair);
/* The same, of opus in RED (RFC 2198): what of it is missing comes first, then the packet itself. */
void rt_producer_redundant(struct rt_producer *p, int layer, struct rt_rtp *rtp);
void rt_producer_sender_report(struct rt_producer *p, int layer, const struct rt_rtcp_sr *sr);
/* What a receiver report says of a layer since the last call.  False: nothing has come of it. */
bool rt_producer_report(struct rt_producer *p, int layer, struct rt_rtcp_report *out);

/* A consumer needs a key frame of this layer; fresh: it has no picture of it yet.  Merged: one request until it
 * comes, and one a second for all of them together, since each key frame costs everybody quality.  For a fresh one
 * ten a second, and again after half a second. */
void rt_producer_want_keyframe(struct rt_producer *p, int layer, bool fresh);
/* Each tick: NACKs, and key frames that did not come. */
void rt_producer_tick(struct rt_producer *p);

/* Bits a second of a layer now; 0: it does not flow. */
uint64_t rt_producer_bitrate(const struct rt_producer *p, int layer);
/* Packets a second of a layer now. */
uint64_t rt_producer_packet_rate(const struct rt_producer *p, int layer);
/* Bits a second of a stream up to these layers; alone: of the spatial layer without those below.  0: not known yet.
 */
uint64_t rt_producer_cost(const struct rt_producer *p, int layer, int spatial, int temporal, bool alone);
/* SVC: the stream really has this spatial layer by now. */
bool rt_producer_spatial_live(const struct rt_producer *p, int spatial);
/* Its packets come as those of the other layers do: a still picture may send few, of all of them. */
bool rt_producer_layer_live(const struct rt_producer *p, int layer);
uint8_t rt_producer_score(const struct rt_producer *p); /* 0 to 10, by what is lost on the way here */
void rt_producer_read_stats(const struct rt_producer *p, int layer, struct rt_producer_layer_stats *out);

/* ---- for consumer.c alone ----
 * Producer and consumer know one another, and that is the one circle of calls in the forwarder: a producer hands each
 * packet to its consumers; a consumer asks its producer for key frames and for packets that were kept.  A consumer
 * attaches itself when it begins and detaches when it ends, and it ends before its producer: neither is ever without
 * the other. */

void rt_producer_attach(struct rt_producer *p, struct rt_consumer *c);
void rt_producer_detach(struct rt_producer *p, struct rt_consumer *c);
/* To one that gets nothing yet: the last key frame, and what came since.  False: that is too long ago. */
bool rt_producer_replay(struct rt_producer *p, struct rt_consumer *c);
/* A packet that was kept, lent until the next one comes.  NULL: too old, or the stream keeps none (audio). */
const struct rt_packet *rt_producer_stored(const struct rt_producer *p, int layer, uint16_t seq);
/* Opus: the packet of that number, if it is one of the last few.  0: it is not. */
size_t rt_producer_recent(const struct rt_producer *p, uint16_t seq, uint32_t *ts, const uint8_t **data);
/* The RTP time of a stream and our time, both of its last sender report.  False: none has come. */
bool rt_producer_clock(const struct rt_producer *p, int layer, uint32_t *rtp_ts, uint64_t *at_us);
const struct rt_dd_state *rt_producer_dd_state(const struct rt_producer *p); /* NULL: it sends no descriptors */

#endif
