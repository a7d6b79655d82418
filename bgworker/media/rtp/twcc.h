/* twcc.h: transport-wide feedback to a sender: when each packet of its transport arrived
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01). */
#ifndef RT_TWCC_H
#define RT_TWCC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RT_TWCC_WINDOW 1024 /* packets between two feedbacks; older ones are told as lost */

/* Zeroed at first. */
struct rt_twcc
{
	bool started;
	uint8_t count; /* of feedbacks */
	uint16_t base; /* first number of the next feedback */
	uint16_t highest;
	uint32_t media_ssrc;
	uint64_t arrival_us[RT_TWCC_WINDOW]; /* 0: not received */
};

void rt_twcc_received(struct rt_twcc *t, uint16_t seq, uint32_t ssrc, uint64_t now_us);
/* Appends feedback for what came since the last one; 0 when there is nothing.  Call until it returns 0. */
size_t rt_twcc_feedback(struct rt_twcc *t, uint8_t *out, size_t cap, uint32_t ssrc);

#endif
