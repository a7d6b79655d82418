/* producer.h: one incoming track: its streams, their losses and key frames, and the way to its consumers. */
#ifndef RT_PRODUCER_H
#define RT_PRODUCER_H

#include "objects.h"

/* Takes the parameters over.  RT_BAD_INPUT: an SSRC or MID is in use on the transport; RT_LIMIT: too many. */
enum rt_result rt_producer_new(struct rt_producer **pp, struct rt_transport *t, const char *id,
							   struct rt_producer_params *params);
/* Ends its consumers too, without a word: who asked knows. */
void rt_producer_close(struct rt_producer *p);

bool rt_producer_flows(const struct rt_producer *p); /* neither paused nor muted */
void rt_producer_pause(struct rt_producer *p, bool paused);
void rt_producer_mute(struct rt_producer *p, bool muted);

/* One decrypted media packet of a layer; repair: it came by RTX. */
void rt_producer_packet(struct rt_producer *p, int layer, struct rt_rtp *rtp, bool repair);
/* A consumer needs a key frame of this layer.  Merged: one request until it comes, again after half a second,
 * and ten a second at most. */
void rt_producer_want_keyframe(struct rt_producer *p, int layer);
/* To one that gets nothing yet: the last key frame, and what came since.  False: that is too long ago. */
bool rt_producer_replay(struct rt_producer *p, struct rt_consumer *c);
/* Each tick: NACKs, and key frames that did not come. */
void rt_producer_tick(struct rt_producer *p);
/* Bits a second of a layer now; 0: it does not flow. */
uint64_t rt_producer_bitrate(const struct rt_producer *p, int layer);
/* Its packets come as those of the other layers do: a still picture may send few, of all of them. */
bool rt_producer_layer_live(const struct rt_producer *p, int layer);

#endif
