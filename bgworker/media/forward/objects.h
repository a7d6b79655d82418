/* objects.h: the objects of the packet path and how they hang together.
 *
 *   engine ── routers (one a meeting) ── transports (one a peer and direction) ── producers, consumers
 *
 * The engine owns routers, a router its transports, a transport its producers and consumers.  Closing an object
 * closes what hangs on it; a consumer also ends with its producer.  Bodies are here, and not in the modules, because
 * a packet passes through all of them; each field is written by the module that its block names. */
#ifndef RT_OBJECTS_H
#define RT_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/media/rtp/bwe.h"
#include "bgworker/media/secure/dtls.h"
#include "bgworker/media/secure/ice.h"
#include "bgworker/media/params/params_consumer.h"
#include "bgworker/media/params/params_producer.h"
#include "bgworker/media/net/port.h"
#include "bgworker/media/rtp/recv.h"
#include "bgworker/media/rtp/seq.h"
#include "speaker.h"
#include "bgworker/media/secure/srtp.h"
#include "bgworker/media/rtp/store.h"
#include "bgworker/media/rtp/twcc.h"

#define RT_OBJECT_ID 40
#define RT_OUR_SSRC 1 /* of what we say as a receiver */
#define RT_MAX_TUPLES 8
#define RT_MAX_STREAMS 64   /* incoming SSRCs a transport */
#define RT_MAX_PRODUCERS 32 /* a transport */
#define RT_MAX_CONSUMERS 256
#define RT_HISTORY 512 /* packets a consumer can be asked for again */

struct rt_engine;
struct rt_router;
struct rt_transport;
struct rt_producer;
struct rt_consumer;

/* What the engine tells its owner of, unasked; json is one EVENT of rt_api.media_event. */
typedef void (*rt_engine_event_cb)(void *arg, const char *json);

struct rt_engine
{
	struct rt_loop *loop;
	struct rt_port *port;
	struct rt_ice *ice;
	struct rt_dtls_context *dtls;
	struct rt_timer *tick;
	uint64_t now_us; /* of the packet or tick at hand */
	uint64_t ticks;
	uint64_t idle_timeout_us;
	struct rt_map *routers, *transports, *producers, *consumers; /* by id */
	struct rt_map *ufrags;                                       /* struct rt_ufrag */
	struct rt_map *tuples;                                       /* struct rt_peer_tuple, by its key */
	rt_engine_event_cb on_event;
	void *arg;
	/* refused packets, for the metrics */
	uint64_t bad_stun, bad_srtp, bad_rtp, bad_rtcp, stray, unknown_ssrc;
	/* of all that ever were, for the metrics */
	uint64_t nacks_sent, nacks_received, retransmitted, keyframes_asked, layer_changes;
};

struct rt_router
{
	char id[RT_OBJECT_ID];
	struct rt_engine *engine;
	struct rt_transport *transports;
	struct rt_speaker *speaker;
};

/* A local ufrag and its password; two while an ICE restart is under way. */
struct rt_ufrag
{
	char ufrag[RT_ICE_UFRAG_LEN + 1];
	char pwd[RT_ICE_PWD_LEN + 1];
	struct rt_transport *transport;
};

/* An address that STUN has validated. */
struct rt_tuple_key
{
	uint8_t addr[16];
	uint32_t tcp_id;
	uint16_t port;
	uint8_t family;
	uint8_t socket;
};
struct rt_peer_tuple
{
	struct rt_tuple_key key;
	struct rt_tuple tuple;
	struct rt_transport *transport;
	uint64_t seen_us;
	bool used;
};

/* Where an incoming SSRC belongs. */
struct rt_stream_ref
{
	uint32_t ssrc;
	struct rt_producer *producer;
	uint8_t layer;
	bool rtx;
};

struct rt_transport
{
	char id[RT_OBJECT_ID];
	char participant_id[RT_OBJECT_ID];
	bool sends; /* the client sends on it */
	struct rt_router *router;
	struct rt_engine *engine;
	struct rt_transport *next;
	bool closing;

	/* transport.c: ICE */
	struct rt_ufrag *ufrag, *old_ufrag;
	struct rt_peer_tuple tuples[RT_MAX_TUPLES];
	bool selected; /* the outlet's tuple is valid */
	struct rt_outlet outlet;
	uint32_t nomination;
	uint64_t created_us, reached_us, stun_us, packet_us; /* reached: the first check came */

	/* transport.c: DTLS and SRTP */
	struct rt_dtls *dtls;
	struct rt_timer *dtls_timer;
	struct rt_srtp *srtp; /* NULL until connected */
	bool connect_told;

	/* demux.c */
	struct rt_stream_ref streams[RT_MAX_STREAMS];
	int nstreams;
	struct rt_twcc *twcc; /* NULL: the client does not send on it */
	uint64_t srtp_failures;

	/* producer.c, consumer.c */
	struct rt_producer *producers;
	struct rt_consumer *consumers;
	int nproducers, nconsumers;
	char cname[RT_PARAMS_MAX_CNAME + 1];
	uint32_t next_mid;
	uint32_t next_ssrc; /* of a consumer, and the next one for its RTX: none is used twice under one SRTP key */

	/* consumer.c, layers.c */
	uint16_t twcc_seq;
	struct rt_bwe *bwe;
	uint64_t layers_us;       /* when the layers were last allotted */
	uint64_t upgrade_us;      /* when a layer was last tried upwards */
	uint64_t upgrade_wait_us; /* how long to wait until the next try; doubles when one fails */
	uint32_t rtt_ms;

	uint64_t packets_in, bytes_in, packets_out, bytes_out;
};

/* One incoming stream of a producer. */
struct rt_layer
{
	struct rt_recv recv;
	struct rt_store *store; /* video */
	uint64_t keyframe_asked_us;
	uint64_t keyframe_wait_us; /* after keyframe_asked_us, until it may be asked for again */
	bool keyframe_wanted;      /* asked for, and not seen yet */
	uint64_t keyframe_us;      /* when the last one came; 0: none has */
	uint32_t keyframe_ts;
	uint16_t keyframe_seq; /* its first packet */
	uint8_t fir_seq;
	uint16_t picture_id;        /* VP8: the newest */
	struct rt_dd_structure *dd; /* AV1 with dependency descriptors */
	uint32_t dd_active;         /* the decode targets that the sender produces */
	uint64_t plis;
};

struct rt_producer
{
	char id[RT_OBJECT_ID];
	struct rt_transport *transport;
	struct rt_producer *next; /* of the transport */
	struct rt_producer_params params;
	bool paused; /* by the client */
	bool muted;  /* by the host */
	struct rt_layer layers[RT_PARAMS_MAX_ENCODINGS];
	struct rt_consumer *consumers;
	uint64_t nack_us;
	uint8_t score;
};

/* What went out, to be able to send it again. */
struct rt_sent
{
	uint16_t seq; /* out */
	uint16_t in_seq;
	uint32_t ts; /* out */
	uint16_t picture_id;
	uint8_t tl0;
	uint8_t layer : 2;
	uint8_t used : 1;
	uint8_t marker : 1;
	uint8_t tries : 4; /* how often it was sent again */
	uint32_t again_ms; /* when it was sent last, wraps */
};

/* Of a stream: a spatial layer, and which of its temporal ones. */
struct rt_level
{
	int8_t spatial, temporal;
};

struct rt_consumer
{
	char id[RT_OBJECT_ID];
	struct rt_transport *transport;
	struct rt_producer *producer; /* NULL: it closed, and so does this */
	struct rt_consumer *next, *next_of_producer;
	struct rt_consumer_params params;
	bool paused;

	/* layers.c: indexes of encodings or of SVC layers; -1: nothing */
	int8_t preferred_spatial, preferred_temporal;
	int8_t target_spatial, target_temporal;
	struct rt_level allotted; /* what the estimate allows */
	int8_t current_spatial, current_temporal;
	int8_t told_spatial, told_temporal;
	int8_t decode_target; /* AV1 with dependency descriptors */
	bool restricted;      /* not all decode targets were sent, at some time */
	uint16_t frame;       /* the newest that was sent, and of those before it: bit i: frame - i was sent */
	uint64_t frames;
	const char *reason; /* why this layer: static text for get-stats */

	/* consumer.c */
	bool need_sync; /* the next packet begins a stream: a key frame, for video */
	struct rt_seq seq;
	uint32_t ts_offset, last_ts;
	uint64_t last_sent_us;
	uint16_t next_seq;
	uint16_t pid_offset, last_pid; /* VP8: out = in + offset, of the newest packet; older ones: the tag in seq */
	uint8_t tl0_offset, last_tl0;
	bool has_last_pid;
	uint16_t dropped_pid;
	bool has_dropped_pid;
	struct rt_srtp_roc roc, rtx_roc;
	uint16_t rtx_seq;
	struct rt_sent *history; /* video: RT_HISTORY */
	uint64_t packets, bytes, retransmitted, nacks, plis, firs, sr_us;
	uint64_t window_bytes, window_from_us, bitrate_bps;
	uint8_t fraction_lost;
	uint32_t jitter;
	int32_t lost;
	uint8_t score, told_score;
};

#endif
