/* params.h: RTP parameters, as the packet path needs them, and the names that the params_* modules share.
 *
 * A client describes itself in the JSON objects of ORTC, in the dialect of mediasoup-client 3.  The modules around
 * this one turn them into the structs below and back:
 *
 *   params_caps      what the router offers, and the check of what a client says that it can receive
 *   params_rtp       the check of what a client says that it sends
 *   params_match     which codecs are the same      params_h264   profile and level of H.264
 *   params_producer  produce: client's numbers to ours   params_consumer  consume: ours to another client's
 *   params_dtls      fingerprints
 *
 * All that a client sends is hostile: each check returns RT_BAD_INPUT and a message that names the field. */
#ifndef RT_PARAMS_H
#define RT_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "bgworker/common/result.h"

#define RT_PARAMS_MAX_ENCODINGS 4
#define RT_PARAMS_MAX_RID 16 /* bytes, as RTP header extensions carry it */
#define RT_PARAMS_MAX_MID 32
#define RT_PARAMS_MAX_CNAME 255 /* RFC 3550, section 6.5 */
#define RT_NO_PT 255            /* no such payload type was agreed */

struct rt_params_error
{
	char message[200];
};

enum rt_kind
{
	RT_KIND_AUDIO,
	RT_KIND_VIDEO
};

enum rt_codec
{
	RT_CODEC_OPUS,
	RT_CODEC_VP8,
	RT_CODEC_VP9,
	RT_CODEC_H264,
	RT_CODEC_AV1
};

enum rt_producer_type
{
	RT_PRODUCER_SIMPLE,    /* one stream, one layer */
	RT_PRODUCER_SIMULCAST, /* several streams */
	RT_PRODUCER_SVC        /* one stream, several layers */
};

/* RTP header extensions that the forwarder knows. */
enum rt_ext
{
	RT_EXT_MID,
	RT_EXT_RID,
	RT_EXT_REPAIRED_RID,
	RT_EXT_ABS_SEND_TIME,
	RT_EXT_TRANSPORT_CC,
	RT_EXT_AUDIO_LEVEL,
	RT_EXT_DEPENDENCY_DESCRIPTOR,
	RT_EXT_VIDEO_ORIENTATION,
	RT_EXT_TIME_OFFSET,
	RT_EXT_ABS_CAPTURE_TIME,
	RT_EXT_PLAYOUT_DELAY,
	RT_EXT_COUNT
};

struct rt_ext_ids
{
	uint8_t id[RT_EXT_COUNT]; /* 0: not agreed */
};

/* RTCP feedback that was agreed for a codec. */
struct rt_feedback
{
	bool nack;
	bool pli;
	bool fir;
	bool remb;
	bool transport_cc;
};

/* What a scalabilityMode says; 1, 1, false where there is none. */
struct rt_scalability
{
	uint8_t spatial;
	uint8_t temporal;
	bool key; /* K-SVC: spatial prediction on key pictures alone */
};

const char *rt_params_kind_name(enum rt_kind kind);
bool rt_params_find_kind(const char *name, enum rt_kind *kind);
const char *rt_params_type_name(enum rt_producer_type type);

bool rt_params_find_codec(const char *mime_type, enum rt_codec *codec); /* any case; false if we do not forward it */
bool rt_params_find_ext(const char *uri, enum rt_ext *ext);
const char *rt_params_ext_uri(enum rt_ext ext);

/* `L3T2`, `S2T1`, `L2T2_KEY`; anything else, and NULL, is one layer. */
struct rt_scalability rt_params_scalability(const char *mode);

#endif
