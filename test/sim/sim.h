/* sim.h: calls in virtual time.  The engine, its codecs, RTCP, ICE and params are the program's own objects; what
 * they stand on is replaced at link level: the loop and the clock (clock.c), the port, DTLS and SRTP (stub.c).  Peers
 * send through modelled links.  Everything random comes from one seed, so a case gives the same figures each time. */
#ifndef RT_SIM_H
#define RT_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/media/forward/engine.h"
#include "bgworker/media/net/port.h"
#include "bgworker/media/params/params_producer.h"
#include "bgworker/media/rtp/rtcp.h"
#include "bgworker/media/rtp/rtp.h"

#define SIM_SECOND 1000000u
#define SIM_MS 1000u
#define SIM_MAX_SECONDS 300

/* ---- clock.c ---- */

typedef void (*sim_event_cb)(void *arg, uint8_t *data, size_t len);

extern uint64_t sim_now_us;
void sim_begin(unsigned seed);                                                         /* forgets all events */
void sim_at(uint64_t at_us, sim_event_cb fn, void *arg, const void *data, size_t len); /* copies the data */
void sim_run_until(uint64_t at_us);
double sim_random(void); /* 0 to 1, without 1 */

/* ---- link.c ---- */

/* One direction of a path.  Zero is a link without limits; a change holds for what is sent from then on. */
struct sim_link
{
	double rate_bps;    /* 0: unlimited */
	uint64_t queue_us;  /* the longest wait that a packet is queued for; 0: unlimited, as with a reliable transport */
	uint64_t delay_us;  /* propagation */
	uint64_t jitter_us; /* and as much more, evenly */
	bool reorders;      /* packets may overtake one another in the jitter */
	double loss;        /* of each packet */
	double burst;       /* chance that a burst of loss begins with this packet, */
	double burst_len;   /* which is so many packets long on the average */
	bool down;
	/* state */
	uint64_t busy_until_us, last_us;
	bool in_burst;
	uint64_t packets, bytes, lost;
};

/* When a packet that is sent now arrives; 0: never. */
uint64_t sim_link_send(struct sim_link *l, size_t bytes);

/* ---- stub.c ---- */

/* What a stub of SRTP adds. */
#define SIM_RTP_TAG 16
#define SIM_RTCP_TAG 20

struct sim_peer;
typedef void (*sim_packet_cb)(struct sim_peer *p, uint8_t *data, size_t len);

/* A client's side of one transport. */
struct sim_peer
{
	char id[16];
	bool sends, tcp;
	const char *router, *user; /* NULL: the one that all have, and one of its own */
	struct rt_tuple tuple;
	struct sim_link up, down;
	sim_packet_cb on_packet; /* in the clear */
	/* what the engine sent to it, by tenths of a second, with 28 bytes of IP and UDP for each packet */
	uint32_t offered[SIM_MAX_SECONDS * 10];
	uint64_t packets;
	void *owner;
};

extern struct rt_engine *sim_engine;
extern uint64_t sim_reused_numbers;     /* a number went out twice under AES-GCM, with another packet */
extern uint64_t sim_nulls;              /* layers-changed events that told of a paused consumer */
extern uint64_t sim_speakers;           /* active-speaker events */
extern double sim_worker_packets_per_s; /* in and out, that the worker's CPU can do; 0: all */
extern uint64_t sim_worker_missed;      /* packets that were beyond that, and came to nothing */

void sim_engine_begin(void);
void sim_engine_end(void);
void sim_peer_join(struct sim_peer *p);                            /* transport, ICE, DTLS: ready on return */
void sim_peer_send(struct sim_peer *p, uint8_t *data, size_t len); /* RTP or RTCP in the clear, with room for a tag */
void sim_peer_move(struct sim_peer *p); /* another address, with a check that nominates it */
double sim_estimate_bps(const struct sim_peer *p);
double sim_offered_bps(const struct sim_peer *p, uint64_t from_us, uint64_t to_us);

/* ---- sender.c ---- */

#define SIM_STREAMS 3

/* What a video track sends. */
struct sim_video
{
	enum rt_codec codec;
	int nstreams; /* simulcast */
	double rate_bps[SIM_STREAMS];
	double fps;
	int spatial, temporal; /* announced layers of each stream */
	bool key;              /* K-SVC */
	int sends_spatial;     /* layers that it really sends, if not 0 */
	int sends_streams;     /* streams that it really sends, if not 0 */
	bool still;            /* one key frame and a few after it, then nothing, whatever is asked */
};

struct sim_sender
{
	struct sim_peer peer;
	struct sim_video video;
	bool has_video, has_audio, screen;
	int red; /* opus goes out in RED, with so many packets before */
	struct rt_producer *producer, *audio_producer;
	int plis, keyframes;
	struct sim_encoder *encoders[SIM_STREAMS];
	uint16_t audio_seq;
	uint32_t audio_frame;
	uint64_t audio_from_us;
	uint64_t audio_us;                 /* of sound in a packet; 0: 20 ms */
	uint8_t *audio_sent;               /* for what is asked for again */
	uint8_t (*level)(uint64_t now_us); /* of the sound, in -dBov; NULL: 30 always */
};

void sim_sender_begin(struct sim_sender *s);
void sim_sender_end(struct sim_sender *s);

/* The end of each payload: what a receiver needs to know that a forwarder must not. */
struct sim_trailer
{
	uint32_t magic;
	uint32_t frame; /* a number of its own for each frame of a track: stream << 24 | count */
	uint16_t index, count;
	uint8_t stream, spatial, nrefs, key;
	uint32_t refs[3];
	uint64_t capture_us;
};
#define SIM_MAGIC 0x73696d21

/* ---- viewer.c ---- */

#define SIM_TRACKS 8

struct sim_viewer
{
	struct sim_peer peer;
	uint64_t rtt_us; /* as it believes */
	bool nack_audio;
	bool red; /* takes opus in RED as well */
	bool no_rtx;
	struct sim_receiver *videos[SIM_TRACKS], *audios[SIM_TRACKS]; /* of each sender, in the order of consuming */
	struct rt_consumer *consumers[SIM_TRACKS];
	int ntracks;
	struct sim_receiver *video, *audio; /* of the one that is looked at: see sim_viewer_look() */
	struct rt_consumer *consumer;
	struct sim_twcc *twcc;
};

void sim_viewer_begin(struct sim_viewer *v);
void sim_viewer_consume(struct sim_viewer *v, struct sim_sender *s);
void sim_viewer_look(struct sim_viewer *v,
					 int track); /* the figures below are of that sender: at first the first one */
void sim_viewer_end(struct sim_viewer *v);

/* What it saw.  Frozen: the sum of gaps between pictures longer than three times the usual one and than that and
 * 150 ms, as in WebRTC's statistics (totalFreezesDuration). */
double sim_frozen_s(const struct sim_viewer *v, uint64_t from_us, uint64_t to_us);
double sim_fps(const struct sim_viewer *v, uint64_t from_us, uint64_t to_us);
double sim_age_s(const struct sim_viewer *v, uint64_t from_us,
				 uint64_t to_us);                                         /* the oldest picture that was shown */
double sim_first_picture_s(const struct sim_viewer *v, uint64_t from_us); /* after that time; 1e9: none */
/* When a picture of this stream or spatial layer, or a higher one, was shown first after that time; 1e9: never. */
double sim_layer_s(const struct sim_viewer *v, int layer, uint64_t from_us);
double sim_layer_share(const struct sim_viewer *v, int layer, uint64_t from_us, uint64_t to_us);
/* Parts of audio that were not there when they were to be played, and how late it was at most. */
double sim_concealed(const struct sim_viewer *v, uint64_t from_us, uint64_t to_us);
double sim_audio_age_s(const struct sim_viewer *v, uint64_t from_us, uint64_t to_us);
/* ---- svg.c ---- */

/* Half a second of a call. */
struct sim_sample
{
	double link_bps; /* first; 0: unlimited */
	double estimate_bps, offered_bps, at_s;
	double frozen, concealed; /* the part of it */
};

void sim_svg_write(const char *path, const char *title, const struct sim_sample *samples, int n);

int sim_viewer_plis(const struct sim_viewer *v);
double sim_resent_per_s(const struct sim_viewer *v, uint64_t from_us, uint64_t to_us);

#endif
