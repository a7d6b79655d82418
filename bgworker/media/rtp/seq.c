/* seq.c: see seq.h.  consumer.c owns one for each outgoing track.
 *
 * Invariants: changes are in the order of `from`; each offset is one less than the one before it, but for the first;
 * so two numbers in never map to one number out.  Numbers compare within half of their circle (RFC 1982), which is
 * why no change may fall further behind than REACH. */
#include "seq.h"

#define REACH 0x4000 /* well within the half of the numbers across which two of them compare */

static void
change(struct rt_seq *s, uint16_t from, uint16_t offset, uint16_t tag)
{
	s->newest = (uint8_t) ((s->newest + 1) % RT_SEQ_CHANGES);
	s->changes[s->newest].from = from;
	s->changes[s->newest].offset = offset;
	s->changes[s->newest].tag = tag;
	if (s->nchanges < RT_SEQ_CHANGES)
		s->nchanges++;
}

void
rt_seq_sync(struct rt_seq *s, uint16_t in, uint16_t out, uint16_t tag)
{
	s->nchanges = 0;
	s->highest_in = (uint16_t) (in - 1);
	s->highest_out = (uint16_t) (out - 1);
	change(s, in, (uint16_t) (out - in), tag);
}

/* The i-th change, 0 being the newest. */
static int
nth_change(const struct rt_seq *s, int i)
{
	return (s->newest + RT_SEQ_CHANGES - i) % RT_SEQ_CHANGES;
}

static uint16_t
age(const struct rt_seq *s, int i)
{
	return (uint16_t) (s->highest_in - s->changes[nth_change(s, i)].from);
}

/* The oldest change must not fall so far behind that it would compare as newer: it is forgotten when a later one is
 * old enough to stand in for it, and moved along otherwise. */
static void
keep_in_reach(struct rt_seq *s)
{
	while (age(s, s->nchanges - 1) >= REACH)
	{
		if (s->nchanges == 1 || age(s, s->nchanges - 2) < REACH / 2)
		{
			s->changes[nth_change(s, s->nchanges - 1)].from = (uint16_t) (s->highest_in - REACH / 2);
			return;
		}
		s->nchanges--;
	}
}

bool
rt_seq_map(struct rt_seq *s, uint16_t in, uint16_t *out, uint16_t *tag)
{
	for (int i = 0; i < s->nchanges; i++)
	{
		int at = nth_change(s, i);

		if (rt_seq_newer(s->changes[at].from, in))
			continue;
		*out = (uint16_t) (in + s->changes[at].offset);
		*tag = s->changes[at].tag;
		if (rt_seq_newer(in, s->highest_in))
		{
			s->highest_in = in;
			s->highest_out = *out;
			keep_in_reach(s);
		}
		return true;
	}
	return false;
}

void
rt_seq_drop(struct rt_seq *s, uint16_t in, uint16_t tag)
{
	if (!rt_seq_newer(in, s->highest_in))
		return; /* late: its number was passed over as a loss already */
	s->highest_in = in;
	s->highest_out = (uint16_t) (in + s->changes[s->newest].offset - 1); /* holes before it keep their numbers */
	change(s, (uint16_t) (in + 1), (uint16_t) (s->changes[s->newest].offset - 1), tag);
	keep_in_reach(s);
}
