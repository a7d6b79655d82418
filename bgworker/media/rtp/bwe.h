/* bwe.h: how much a receiver's way can carry, from its transport-wide feedback: the delay gradient with a
 * trend line and an adaptive threshold, additive and multiplicative increase, and loss
 * (draft-ietf-rmcat-gcc-02 sections 4 to 6).  REMB for those without. */
#ifndef RT_BWE_H
#define RT_BWE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rtcp.h"

#define RT_BWE_START_BPS 1000000
#define RT_BWE_MIN_BPS 30000

struct rt_bwe;

struct rt_bwe *rt_bwe_new(void);
void rt_bwe_free(struct rt_bwe *b); /* NULL is fine */

/* A packet with this transport-wide number left. */
void rt_bwe_sent(struct rt_bwe *b, uint16_t seq, size_t bytes, uint64_t now_us);
/* A transport-wide feedback came.  False if it is malformed. */
bool rt_bwe_feedback(struct rt_bwe *b, const struct rt_rtcp *p, uint64_t now_us);
void rt_bwe_remb(struct rt_bwe *b, uint64_t bps);

uint64_t rt_bwe_estimate(const struct rt_bwe *b); /* bits a second */
bool rt_bwe_known(const struct rt_bwe *b);        /* some feedback has come */
bool rt_bwe_congested(const struct rt_bwe *b);    /* the last word was overuse, or loss above a tenth */
double rt_bwe_loss(const struct rt_bwe *b);       /* of the last second, 0 to 1 */

#endif
