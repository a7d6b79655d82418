/* estimator.h: how much one receiver's path carries, from its transport-wide feedback.
 *
 * Delay: packets that left within 5 ms are a group; the delay's change from group to group goes through a smoothed
 * trend line with an adaptive threshold (draft-ietf-rmcat-gcc-02, section 5).  A rising trend is congestion only if a
 * queue has really grown: the least delay of the last packets is compared with the least of the last seconds. Packets
 * that overtake one another, as on radio links, change neither. Rate: increase, hold, decrease (section 5.5).  Loss:
 * above a tenth the rate falls, unless it falls in vain (section 6). Probes: clusters of packets that were sent
 * faster than the estimate raise it to the rate at which they arrived.  Without a probe it does not grow beyond what
 * the path carried when it was last full.
 *
 * Work for one feedback is bounded by its length and by what has been sent since the one before, whatever it claims.
 */
#ifndef RT_ESTIMATOR_H
#define RT_ESTIMATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/media/rtp/rtcp.h"

#define RT_ESTIMATOR_START_BPS 1000000
#define RT_ESTIMATOR_MIN_BPS 30000
#define RT_ESTIMATOR_CLUSTERS 4 /* probes that can be in flight */
#define RT_ESTIMATOR_CARRIED_US 10000000

struct rt_estimator;

struct rt_estimator *rt_estimator_new(void);
void rt_estimator_free(struct rt_estimator *e); /* NULL is fine */

/* A packet with this transport-wide number left; bytes: on the wire, with IP and UDP; cluster: the probe that it
 * belongs to, 0 for none. */
void rt_estimator_sent(struct rt_estimator *e, uint16_t seq, size_t bytes, uint8_t cluster, uint64_t now_us);
/* A probe begins; its number, from 1 on. */
uint8_t rt_estimator_probe(struct rt_estimator *e);
/* A transport-wide feedback came.  False if it is malformed. */
bool rt_estimator_feedback(struct rt_estimator *e, const struct rt_rtcp *p, uint64_t now_us);
/* A receiver's own estimate (REMB): an upper bound. */
/* A burst of our own making begins, a key frame: its queue drains, and says nothing of the path. */
void rt_estimator_burst(struct rt_estimator *e, uint64_t now_us);
void rt_estimator_remb(struct rt_estimator *e, uint64_t bps);
/* Now and then: feedback that does not come any more. */
void rt_estimator_tick(struct rt_estimator *e, uint64_t now_us);
/* Another path: what was learnt of the old one's delay holds no more. */
void rt_estimator_new_path(struct rt_estimator *e);

enum rt_estimator_state
{
	RT_ESTIMATOR_INCREASE,
	RT_ESTIMATOR_HOLD,
	RT_ESTIMATOR_DECREASE
};

uint64_t rt_estimator_bps(const struct rt_estimator *e);
uint64_t rt_estimator_acked_bps(const struct rt_estimator *e); /* what arrived in the last half second */
enum rt_estimator_state rt_estimator_state(const struct rt_estimator *e);
bool rt_estimator_known(const struct rt_estimator *e); /* some feedback has come */
bool
rt_estimator_congested(const struct rt_estimator *e); /* a queue grows, or more than a tenth is lost, or silence */
uint32_t rt_estimator_queue_ms(const struct rt_estimator *e); /* how long packets wait on the path, at least */
double rt_estimator_loss(const struct rt_estimator *e);       /* of the last window, 0 to 1 */
/* What the path carried when it was full, the last time within RT_ESTIMATOR_CARRIED_US; 0: not known. */
uint64_t rt_estimator_carried_bps(const struct rt_estimator *e, uint64_t now_us);
/* A probe has just come through at its full rate: the estimate is no guess. */
bool rt_estimator_proven(const struct rt_estimator *e, uint64_t now_us);
uint64_t rt_estimator_decreased_us(const struct rt_estimator *e); /* when it fell last; 0: never */

#endif
