/* seq.h: maps a producer's sequence numbers to a consumer's, without gaps where we dropped packets and with the
 * gaps where the network did.  out - in is constant between two drops.  Input may be late, and wraps at 2^16
 * (RFC 3550, section 5.1): the last RT_SEQ_CHANGES changes of the offset are remembered for late packets.
 *
 * With each change goes a tag of the caller's: what else holds for the packets from there on. */
#ifndef RT_SEQ_H
#define RT_SEQ_H

#include <stdbool.h>
#include <stdint.h>

#define RT_SEQ_CHANGES 32

struct rt_seq
{
	uint16_t highest_in;
	uint16_t highest_out;
	uint8_t nchanges, newest;
	struct
	{
		uint16_t from; /* in: the offset holds from this number on; the first one's: nothing older is forwarded */
		uint16_t offset;
		uint16_t tag;
	} changes[RT_SEQ_CHANGES];
};

/* The next packet in is `in`, and goes out as `out`: the start, or another layer's stream. */
void rt_seq_sync(struct rt_seq *s, uint16_t in, uint16_t out, uint16_t tag);
/* False: too old to be mapped. */
bool rt_seq_map(struct rt_seq *s, uint16_t in, uint16_t *out, uint16_t *tag);
/* `in`, newer than all before, will not be forwarded; tag holds for what follows it. */
void rt_seq_drop(struct rt_seq *s, uint16_t in, uint16_t tag);

static inline bool
rt_seq_newer(uint16_t a, uint16_t b)
{
	return (int16_t) (a - b) > 0;
}

#endif
