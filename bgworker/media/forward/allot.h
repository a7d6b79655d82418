/* allot.h: what of its layers each consumer of one receiver may have, by the estimate of the receiver's bandwidth.
 *
 * A level is a spatial and a temporal layer.  From one level up: first all temporal layers, then the next spatial
 * one, of which the lowest temporal layer may have to do.  Video whose lowest level does not fit is paused; its
 * client is told. */
#ifndef RT_ALLOT_H
#define RT_ALLOT_H

#include "consumer.h"

#define RT_ALLOT_MAX 2000 /* consumers of one receiver: as many as SQL allows, three for each of 666 participants */

struct rt_allot;

struct rt_allot *rt_allot_new(struct rt_egress *e); /* e outlives it */
void rt_allot_free(struct rt_allot *a);             /* NULL is fine */

/* Shares the estimate fairly among the video consumers, first to last by rt_consumer_next().  Each tick; does
 * something five times a second, and at once when a client has said what it prefers. */
void rt_allot_layers(struct rt_allot *a, struct rt_consumer *first);

#endif
