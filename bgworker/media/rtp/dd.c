/* dd.c: see dd.h.  producer.c reads descriptors, consumer.c writes them anew for whoever gets less than all.
 *
 *   | start, end (2 bits) | template id (6) | frame number (16) |                        mandatory: 3 bytes
 *   | structure?, active?, dtis?, fdiffs?, chains? | structure | active mask | dtis | fdiffs | chains |  if longer
 *
 * The parts are bit fields without alignment; bits that are read behind the end count as an overrun and are 0, so the
 * readers need not check each of them: whoever reads a part asks once, at its end.  Section numbers are those of
 * appendix A of the specification. */
#include "dd.h"

#include <string.h>

#include "rtp.h"

#define MANDATORY_BITS 24
#define FLAGS_BITS 5
#define FLAG_ACTIVE 0x08 /* of those: structure, active, dtis, fdiffs, chains */

/* ---- bits ---- */

struct bits
{
	const uint8_t *p;
	size_t at, end;
	bool overrun;
};

/* f(n): n <= 32.  0 behind the end. */
static uint32_t
take(struct bits *b, unsigned n)
{
	uint32_t x = 0;

	if (b->end - b->at < n)
	{
		b->overrun = true;
		b->at = b->end;
		return 0;
	}
	for (; n > 0; n--, b->at++)
		x = x << 1 | (b->p[b->at / 8] >> (7 - b->at % 8) & 1);
	return x;
}

/* ns(n): a number below n, of one bit less where that is enough. */
static uint32_t
take_below(struct bits *b, uint32_t n)
{
	unsigned w = 0;
	uint32_t m, v;

	while (n >> w)
		w++;
	m = (1u << w) - n;
	v = take(b, w - 1);
	return v < m ? v : (v << 1) - m + take(b, 1);
}

static void
skip(struct bits *b, size_t n)
{
	for (; n > 32; n -= 32)
		take(b, 32);
	take(b, (unsigned) n);
}

static uint64_t
take_dtis(struct bits *b, int ntargets)
{
	uint64_t dtis = 0;

	for (int i = 0; i < ntargets; i++)
		dtis |= (uint64_t) take(b, 2) << 2 * i;
	return dtis;
}

/* ---- the structure: section A.4.1 ---- */

static bool
take_layers(struct bits *b, struct rt_dd_structure *s)
{
	uint8_t spatial = 0, temporal = 0;

	for (;;)
	{
		uint32_t next = take(b, 2);

		if (s->ntemplates == RT_DD_TEMPLATES || spatial >= RT_DD_SPATIAL || temporal >= RT_DD_TEMPORAL || b->overrun)
			return false;
		s->templates[s->ntemplates].spatial = spatial;
		s->templates[s->ntemplates++].temporal = temporal;
		if (next == 3)
			return true;
		if (next == 1)
			temporal++;
		if (next == 2)
		{
			temporal = 0;
			spatial++;
		}
	}
}

static void
take_fdiffs(struct bits *b, struct rt_dd_template *t)
{
	while (take(b, 1))
		t->refs |= (uint16_t) (1u << take(b, 4));
}

static void
take_chains(struct bits *b, struct rt_dd_structure *s)
{
	s->nchains = (uint8_t) take_below(b, s->ntargets + 1u);
	if (s->nchains == 0)
		return;
	for (int i = 0; i < s->ntargets; i++)
		take_below(b, s->nchains);
	skip(b, 4u * s->nchains * s->ntemplates);
}

/* A target has the layers of the frames that are present in it. */
static void
find_target_layers(struct rt_dd_structure *s)
{
	for (int i = 0; i < s->ntargets; i++)
		for (const struct rt_dd_template *t = s->templates; t < s->templates + s->ntemplates; t++)
		{
			if ((t->dtis >> 2 * i & 3) == RT_DTI_NOT_PRESENT)
				continue;
			if (t->spatial > s->target_spatial[i])
				s->target_spatial[i] = t->spatial;
			if (t->temporal > s->target_temporal[i])
				s->target_temporal[i] = t->temporal;
		}
}

static bool
take_structure(struct bits *b, struct rt_dd_structure *s)
{
	memset(s, 0, sizeof(*s));
	s->id_offset = (uint8_t) take(b, 6);
	s->ntargets = (uint8_t) (take(b, 5) + 1);
	if (!take_layers(b, s))
		return false;
	for (int i = 0; i < s->ntemplates; i++)
		s->templates[i].dtis = take_dtis(b, s->ntargets);
	for (int i = 0; i < s->ntemplates; i++)
		take_fdiffs(b, &s->templates[i]);
	take_chains(b, s);
	if (take(b, 1)) /* resolutions, up to the highest spatial layer, which the last template has */
		skip(b, 32u * (s->templates[s->ntemplates - 1].spatial + 1u));
	find_target_layers(s);
	return !b->overrun;
}

/* ---- a frame ---- */

static void
take_custom_fdiffs(struct bits *b, struct rt_dd *d)
{
	uint32_t size;

	d->refs = 0;
	while ((size = take(b, 2)))
	{
		uint32_t before = take(b, 4 * size);

		if (before < 64)
			d->refs |= (uint64_t) 1 << before;
		else
			d->far_refs = true;
	}
}

static void
take_definition(struct bits *b, struct rt_dd *d, const struct rt_dd_structure *s, const struct rt_dd_template *t,
				uint32_t flags)
{
	d->spatial = t->spatial;
	d->temporal = t->temporal;
	d->dtis = flags & 0x04 ? take_dtis(b, s->ntargets) : t->dtis;
	d->refs = t->refs;
	if (flags & 0x02)
		take_custom_fdiffs(b, d);
	if (flags & 0x01)
		skip(b, 8u * s->nchains);
}

enum rt_result
rt_dd_read(struct rt_dd *d, struct rt_dd_structure *s, const uint8_t *p, size_t len)
{
	struct rt_dd_structure attached;
	const struct rt_dd_structure *used = s;
	struct bits b = {p, 0, 8 * len, false};
	uint32_t id, flags = 0;

	memset(d, 0, sizeof(*d));
	if (len < 3 || len > RT_DD_MAX_LEN)
		return RT_BAD_INPUT;
	d->start = take(&b, 1);
	d->end = take(&b, 1);
	id = take(&b, 6);
	d->frame = (uint16_t) take(&b, 16);
	if (len > 3)
		flags = take(&b, FLAGS_BITS);
	d->has_structure = flags & 0x10;
	if (d->has_structure)
	{
		if (!take_structure(&b, &attached))
			return RT_BAD_INPUT;
		used = &attached;
	}
	d->mask = (uint16_t) b.at;
	d->ntargets = used->ntargets;
	d->has_active = flags & FLAG_ACTIVE;
	if (d->has_active)
		d->active = take(&b, used->ntargets);
	d->custom = (uint16_t) b.at;
	id = (id + 64 - used->id_offset) % 64;
	if (id >= used->ntemplates)
		return d->has_structure ? RT_BAD_INPUT : RT_AGAIN;
	take_definition(&b, d, used, &used->templates[id], flags);
	if (b.overrun)
		return RT_BAD_INPUT;
	d->bits = (uint16_t) b.at;
	if (d->has_structure)
		*s = attached;
	return RT_OK;
}

/* ---- targets ---- */

uint32_t
rt_dd_within(const struct rt_dd_structure *s, int spatial, int temporal)
{
	uint32_t mask = 0;

	for (int i = 0; i < s->ntargets; i++)
		if (s->target_spatial[i] <= spatial && s->target_temporal[i] <= temporal)
			mask |= 1u << i;
	return mask;
}

static int
rank(const struct rt_dd_structure *s, int target)
{
	return s->target_spatial[target] * RT_DD_TEMPORAL + s->target_temporal[target];
}

int
rt_dd_best(const struct rt_dd_structure *s, uint32_t active, int spatial, int temporal)
{
	uint32_t within = rt_dd_within(s, spatial, temporal) & active;
	int best = -1;

	for (int i = 0; i < s->ntargets; i++)
	{
		if (within >> i & 1 && (best < 0 || rank(s, i) > rank(s, best)))
			best = i;
		if (!within && active >> i & 1 && (best < 0 || rank(s, i) < rank(s, best)))
			best = i;
	}
	return best < 0 ? 0 : best;
}

/* ---- writing ---- */

static void
put(uint8_t *out, size_t *at, uint32_t value, unsigned n)
{
	while (n-- > 0)
	{
		if (value >> n & 1)
			out[*at / 8] |= (uint8_t) (0x80 >> *at % 8);
		(*at)++;
	}
}

static void
copy(uint8_t *out, size_t *at, const uint8_t *p, size_t from, size_t to)
{
	struct bits b = {p, from, to, false};

	while (b.at < b.end)
		put(out, at, take(&b, 1), 1);
}

size_t
rt_dd_write(uint8_t *out, const uint8_t *p, size_t len, const struct rt_dd *d, uint32_t active)
{
	uint32_t flags = len > 3 ? p[3] >> 3 : 0;
	size_t begin = len > 3 ? MANDATORY_BITS + FLAGS_BITS : MANDATORY_BITS, at = 0;
	size_t bits = MANDATORY_BITS + FLAGS_BITS + (d->mask - begin) + d->ntargets + (size_t) (d->bits - d->custom);

	if (bits > 8 * RT_DD_MAX_LEN)
		return 0;
	memset(out, 0, (bits + 7) / 8);
	copy(out, &at, p, 0, MANDATORY_BITS);
	put(out, &at, flags | FLAG_ACTIVE, FLAGS_BITS);
	copy(out, &at, p, begin, d->mask);
	put(out, &at, active, d->ntargets);
	copy(out, &at, p, d->custom, d->bits);
	return (bits + 7) / 8;
}
