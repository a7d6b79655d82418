/* layers.h: which layer of a producer a consumer gets, and how it changes.
 *
 * Wanted is the client's preference; target is what the receiver's bandwidth allows of it; current is what goes
 * out.  Current follows target at a key frame (simulcast, spatial SVC) or at a switching point (temporal).  The
 * lowest layer always flows, whatever the estimate says. */
#ifndef RT_LAYERS_H
#define RT_LAYERS_H

#include "objects.h"

enum rt_layers_verdict
{
	RT_LAYERS_FORWARD,
	RT_LAYERS_BEGIN, /* forward, and it begins a stream of its own numbers */
	RT_LAYERS_DROP,  /* of the stream that goes out, but not wanted: close the gap */
	RT_LAYERS_IGNORE /* of another stream, or before the key frame */
};

void rt_layers_init(struct rt_consumer *c);
void rt_layers_restart(struct rt_consumer *c); /* the next packet must be a key frame */
enum rt_layers_verdict rt_layers_judge(struct rt_consumer *c, const struct rt_packet *p);
/* The decode targets of which it gets all frames, as a mask. */
uint32_t rt_layers_targets(const struct rt_consumer *c);
bool rt_layers_marker(const struct rt_consumer *c, const struct rt_packet *p);
int rt_layers_encoding(const struct rt_consumer *c); /* index of the incoming stream that is wanted */
int rt_layers_outgoing(const struct rt_consumer *c); /* of the one that goes out, until a key frame of that comes */
int rt_layers_spatial_count(const struct rt_consumer *c);
int rt_layers_temporal_count(const struct rt_consumer *c);

/* Clamped; temporal < 0: the highest. */
void rt_layers_prefer(struct rt_consumer *c, int spatial, int temporal);
#endif
