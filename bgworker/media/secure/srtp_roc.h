/* srtp_roc.h: what an outgoing stream keeps to count sequence numbers beyond 16 bits. */
#ifndef RT_SRTP_ROC_H
#define RT_SRTP_ROC_H

#include <stdbool.h>
#include <stdint.h>

/* RFC 3711 section 3.3.1.  One for each SSRC, zeroed at first, never zeroed again: the rollover counter and the
 * number together are the packet's index, and under AES-GCM its nonce. */
struct rt_srtp_roc
{
	uint32_t roc;
	uint16_t highest;
	bool started;
};

#endif
