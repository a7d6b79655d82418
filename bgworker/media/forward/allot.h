/* allot.h: what of its layers a consumer may have by the estimate of its transport's bandwidth.
 *
 * A level is a spatial and a temporal layer.  From one level up: first all temporal layers, then the next spatial
 * one, of which the lowest temporal layer may have to do.  The lowest level always flows, whatever the estimate says.
 */
#ifndef RT_ALLOT_H
#define RT_ALLOT_H

#include "objects.h"

/* Shares the transport's estimate fairly among its video consumers; each tick, does something five times a second. */
void rt_allot_layers(struct rt_transport *t);

#endif
