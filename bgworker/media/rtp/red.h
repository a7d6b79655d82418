/* red.h: redundant audio data (RFC 2198): a packet of opus with the one or two before it, so that a loss is repaired
 * without a round trip.  Nothing is allocated; every length is checked against the packet. */
#ifndef RT_RED_H
#define RT_RED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RT_RED_BLOCKS 8     /* of one packet that are read; browsers send up to three */
#define RT_RED_MAX_LEN 1023 /* bytes of a redundant block: 10 bits */
#define RT_RED_MAX_OFFSET 16383

struct rt_red_block
{
	uint8_t pt;
	uint16_t ts_offset; /* before the packet's own time; 0 for the primary block */
	uint16_t len;
	const uint8_t *data;
};

/* The blocks of a packet, oldest first, the primary one last; their number, 0 if it is malformed. */
int rt_red_read(struct rt_red_block blocks[RT_RED_BLOCKS], const uint8_t *payload, size_t len);
/* Writes blocks, oldest first, the primary one last.  A redundant one that does not fit its fields or the room is
 * left out.  The length, 0 when the primary one does not fit. */
size_t rt_red_write(uint8_t *out, size_t cap, const struct rt_red_block *blocks, int n);

#endif
