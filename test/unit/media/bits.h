/* bits.h: writes numbers bit by bit, the highest bit first, as the dependency descriptor of AV1 has them (AV1 RTP
 * payload specification, A.4.1). */
#ifndef TEST_BITS_H
#define TEST_BITS_H

#include <stddef.h>
#include <stdint.h>

#include "bgworker/media/rtp/dd.h"

struct writer
{
	uint8_t data[RT_DD_MAX_LEN]; /* zero at the start */
	size_t bits;
};

static inline void
put(struct writer *w, uint32_t value, int n)
{
	while (n-- > 0)
	{
		if (value >> n & 1)
			w->data[w->bits / 8] |= (uint8_t) (0x80 >> w->bits % 8);
		w->bits++;
	}
}

#endif
