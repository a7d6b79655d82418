/* dd.h: the dependency descriptor, an RTP header extension that tells which frames of a scalable stream need which
 * (AV1 RTP payload specification, appendix A).
 *
 * A structure of templates comes with a key frame; each packet then names a template.  A decode target is a subset
 * of the stream; of each frame the descriptor tells what it is to each target.  Nothing is allocated. */
#ifndef RT_DD_H
#define RT_DD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"

#define RT_DD_MAX_LEN 255 /* bytes of a header extension */
#define RT_DD_TARGETS 32
#define RT_DD_TEMPLATES 64
#define RT_DD_SPATIAL 4
#define RT_DD_TEMPORAL 8

enum rt_dti
{
	RT_DTI_NOT_PRESENT,
	RT_DTI_DISCARDABLE,
	RT_DTI_SWITCH, /* from here on all of the target can be decoded, if this frame can */
	RT_DTI_REQUIRED
};

struct rt_dd_template
{
	uint8_t spatial, temporal;
	uint16_t refs; /* bit i: needs the frame i + 1 before it */
	uint64_t dtis; /* two bits a target, from the lowest bits on */
};

struct rt_dd_structure
{
	uint8_t id_offset, ntemplates, ntargets, nchains;
	struct rt_dd_template templates[RT_DD_TEMPLATES];
	uint8_t target_spatial[RT_DD_TARGETS], target_temporal[RT_DD_TARGETS];
};

/* What a receiver keeps of a stream: the structure that came last, and which of its targets the sender produces. */
struct rt_dd_state
{
	struct rt_dd_structure structure;
	uint32_t active; /* bit i: target i */
};

/* What one packet's descriptor says. */
struct rt_dd
{
	bool start, end; /* of its frame */
	bool has_structure;
	bool has_active;
	bool far_refs; /* needs a frame more than 64 before it */
	uint8_t spatial, temporal, ntargets;
	uint16_t frame;
	uint32_t active; /* has_active: bit i: the sender produces target i */
	uint64_t refs;   /* as in a template */
	uint64_t dtis;
	/* where its parts begin, in bits: the structure is before `mask`, what differs from the template behind `custom`
	 */
	uint16_t mask, custom, bits;
};

/* RT_AGAIN: its template is not known: the structure was lost, or is late.  A structure that comes with it takes the
 * place of *s, which is zeroed at first.  RT_BAD_INPUT: malformed; *s stays. */
enum rt_result rt_dd_read(struct rt_dd *d, struct rt_dd_structure *s, const uint8_t *p, size_t len);

static inline enum rt_dti
rt_dd_dti(const struct rt_dd *d, int target)
{
	return (enum rt_dti)(d->dtis >> 2 * target & 3);
}

/* The targets of at most these layers, as a mask. */
uint32_t rt_dd_within(const struct rt_dd_structure *s, int spatial, int temporal);
/* The best of them that is active: the higher spatial layer counts first.  Where none is, the least active one. */
int rt_dd_best(const struct rt_dd_structure *s, uint32_t active, int spatial, int temporal);

/* Writes the descriptor that was read from p with another active_decode_targets_bitmask; its length, or 0 if that
 * would be above RT_DD_MAX_LEN, which is the room that out has. */
size_t rt_dd_write(uint8_t *out, const uint8_t *p, size_t len, const struct rt_dd *d, uint32_t active);

#endif
