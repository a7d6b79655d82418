/* consumer.h: one outgoing track: rewriting and sending, and sending again. */
#ifndef RT_CONSUMER_H
#define RT_CONSUMER_H

#include "objects.h"

/* Takes the parameters over; starts paused.  RT_LIMIT: too many on the transport. */
enum rt_result rt_consumer_new(struct rt_consumer **cp, struct rt_transport *t, struct rt_producer *p, const char *id,
							   struct rt_consumer_params *params);
void rt_consumer_close(struct rt_consumer *c);

void rt_consumer_pause(struct rt_consumer *c, bool paused);
/* It may flow now, for the first time or after a pause. */
void rt_consumer_begin(struct rt_consumer *c);
/* The next packet begins the stream anew, with a key frame if it is video. */
void rt_consumer_resync(struct rt_consumer *c);
bool rt_consumer_flows(const struct rt_consumer *c);

/* Bits a second now; one that is silent for a second has none. */
uint64_t rt_consumer_bitrate(const struct rt_consumer *c);

/* True: it began a stream. */
bool rt_consumer_forward(struct rt_consumer *c, const struct rt_packet *p);
/* The receiver lost it; by RTX where that was agreed. */
void rt_consumer_resend(struct rt_consumer *c, uint16_t seq);
/* The receiver cannot decode. */
void rt_consumer_want_keyframe(struct rt_consumer *c);
/* A sender report is due each second; returns its length. */
size_t rt_consumer_sender_report(struct rt_consumer *c, uint8_t *out, size_t cap);

#endif
