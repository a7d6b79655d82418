/* layers.h: which layer of a producer a consumer gets, and how it changes.
 *
 * Preferred is what the client wants; target is what the receiver's bandwidth allows of it; current is what goes out.
 * Current follows target at a key frame (simulcast, spatial SVC) or at a switching point (temporal).
 *
 * It looks at packets and decides; it sends nothing, asks for nothing and knows neither producer nor consumer. */
#ifndef RT_LAYERS_H
#define RT_LAYERS_H

#include "bgworker/media/params/params_producer.h"
#include "bgworker/media/rtp/packet.h"

/* A spatial layer, and which of its temporal ones.  Of simulcast, spatial is the index of the encoding. */
struct rt_level
{
	int8_t spatial, temporal; /* -1: nothing */
};

/* Lies in the consumer, so that a packet touches one object; written by layers.c alone. */
struct rt_layers
{
	bool video, simulcast;
	bool key; /* K-SVC: spatial prediction on key pictures alone */
	enum rt_codec codec;
	uint8_t encodings;            /* simulcast */
	uint8_t spatial, temporal;    /* that one stream has, by what was announced */
	const struct rt_dd_state *dd; /* AV1 with dependency descriptors; lent by the producer */
	struct rt_level preferred, target, current, told;
	int8_t decode_target; /* dd: the one that goes out */
	bool restricted;      /* dd: not all decode targets were sent, at some time */
	uint16_t frame;       /* dd: the newest that was sent, and of those before it: bit i: frame - i was sent */
	uint64_t frames;
	const char *reason; /* why this target: static text for the statistics */
};

enum rt_layers_verdict
{
	RT_LAYERS_FORWARD,
	RT_LAYERS_BEGIN, /* forward, and it begins a stream of its own numbers */
	RT_LAYERS_DROP,  /* of the stream that goes out, but not wanted: close the gap */
	RT_LAYERS_IGNORE /* of another stream, or before the key frame */
};

void rt_layers_init(struct rt_layers *l, const struct rt_producer_params *p, const struct rt_dd_state *dd);
void rt_layers_restart(struct rt_layers *l); /* the next packet must be a key frame */
/* fresh: nothing has gone out since the start or a restart.  highest_in: the newest number that was judged. */
enum rt_layers_verdict rt_layers_judge(struct rt_layers *l, const struct rt_packet *p, bool fresh,
									   uint16_t highest_in);
/* The current level is another one than was told last; then it counts as told. */
bool rt_layers_take_change(struct rt_layers *l);

/* Nothing goes out, and that was told: whatever goes out next is a change. */
void rt_layers_forget_told(struct rt_layers *l);

/* The decode targets of which it gets all frames, as a mask. */
uint32_t rt_layers_targets(const struct rt_layers *l);
bool rt_layers_marker(const struct rt_layers *l, const struct rt_packet *p);
int rt_layers_encoding(const struct rt_layers *l); /* index of the incoming stream that is wanted */
int rt_layers_outgoing(const struct rt_layers *l); /* of the one that goes out, until a key frame of that comes */
int rt_layers_spatial_count(const struct rt_layers *l);
int rt_layers_temporal_count(const struct rt_layers *l);

/* Clamped; temporal < 0: the highest. */
void rt_layers_prefer(struct rt_layers *l, int spatial, int temporal);
/* True: another spatial layer is wanted from here on: it begins with a key frame. */
bool rt_layers_aim(struct rt_layers *l, struct rt_level target, const char *reason);

#endif
