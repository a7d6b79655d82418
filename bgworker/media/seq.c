#include "seq.h"

static void
change(struct rt_seq *s, uint16_t from, uint16_t offset)
{
	s->newest = (uint8_t) ((s->newest + 1) % RT_SEQ_CHANGES);
	s->changes[s->newest].from = from;
	s->changes[s->newest].offset = offset;
	if (s->nchanges < RT_SEQ_CHANGES)
		s->nchanges++;
}

void
rt_seq_sync(struct rt_seq *s, uint16_t in, uint16_t out)
{
	s->started = true;
	s->nchanges = 0;
	s->first_in = in;
	s->highest_in = (uint16_t) (in - 1);
	s->highest_out = (uint16_t) (out - 1);
	change(s, in, (uint16_t) (out - in));
}

bool
rt_seq_map(struct rt_seq *s, uint16_t in, uint16_t *out)
{
	for (int i = 0; i < s->nchanges; i++)
	{
		int at = (s->newest + RT_SEQ_CHANGES - i) % RT_SEQ_CHANGES;

		if (rt_seq_newer(s->changes[at].from, in))
			continue;
		*out = (uint16_t) (in + s->changes[at].offset);
		if (rt_seq_newer(in, s->highest_in))
		{
			s->highest_in = in;
			s->highest_out = *out;
		}
		return true;
	}
	return false;
}

void
rt_seq_drop(struct rt_seq *s, uint16_t in)
{
	if (!rt_seq_newer(in, s->highest_in))
		return; /* late: its number was passed over as a loss already */
	s->highest_in = in;
	change(s, (uint16_t) (in + 1), (uint16_t) (s->changes[s->newest].offset - 1));
}
