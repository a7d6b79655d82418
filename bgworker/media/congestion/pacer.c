/* pacer.c: see pacer.h.  The rings are allocated when something waits for the first time, and grow with
 * what waits: up to 10 kB. */
#include "pacer.h"

#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/media/rtp/seq.h"

#define BURST_US 20000
#define FIRST_ROOM 16
#define MIN_BURST 1500 /* bytes: a packet must fit */

struct ring
{
	struct rt_paced *items;
	unsigned most, room, from, n; /* room is that of items: 0, or a power of two up to most */
	unsigned live;                /* not taken back */
};

struct rt_pacer
{
	uint64_t rate_bps;
	double budget; /* bytes; below zero when more has left than was due */
	uint64_t updated_us, queued_bytes;
	struct ring rings[RT_PACER_CLASSES];
};

struct rt_pacer *
rt_pacer_new(void)
{
	struct rt_pacer *p = rt_alloc(sizeof(*p));

	p->rings[RT_PACER_RESEND].most = RT_PACER_RESENDS;
	p->rings[RT_PACER_MEDIA].most = RT_PACER_VIDEO;
	return p;
}

void
rt_pacer_free(struct rt_pacer *p)
{
	for (int i = 0; p != NULL && i < RT_PACER_CLASSES; i++)
		free(p->rings[i].items);
	free(p);
}

/* ---- budget ---- */

static void
refill(struct rt_pacer *p, uint64_t now_us)
{
	double most = (double) p->rate_bps * BURST_US / 8e6;

	if (now_us > p->updated_us)
		p->budget += (double) p->rate_bps * (double) (now_us - p->updated_us) / 8e6;
	p->updated_us = now_us;
	if (most < MIN_BURST)
		most = MIN_BURST;
	if (p->budget > most)
		p->budget = most;
	if (p->budget < -5 * most)
		p->budget = -5 * most; /* what was not paced is not paid back for ever */
}

void
rt_pacer_set_rate(struct rt_pacer *p, uint64_t bps, uint64_t now_us)
{
	if (p->rate_bps)
		refill(p, now_us);
	else
	{
		p->budget = 0;
		p->updated_us = now_us;
	}
	p->rate_bps = bps;
}

void
rt_pacer_spend(struct rt_pacer *p, size_t bytes, uint64_t now_us)
{
	if (!p->rate_bps)
		return;
	refill(p, now_us);
	p->budget -= (double) bytes;
}

bool
rt_pacer_may_pass(struct rt_pacer *p, enum rt_pacer_class class, uint64_t now_us)
{
	for (int i = 0; i <= (int) class; i++)
		if (p->rings[i].live)
			return false;
	if (!p->rate_bps)
		return true;
	refill(p, now_us);
	return p->budget > 0;
}

/* ---- what waits ---- */

static void
grow(struct ring *r)
{
	unsigned room = r->room ? 2 * r->room : FIRST_ROOM;
	struct rt_paced *items = rt_alloc(room * sizeof(*items));

	for (unsigned k = 0; k < r->n; k++)
		items[k] = r->items[(r->from + k) % r->room];
	free(r->items);
	r->items = items;
	r->room = room;
	r->from = 0;
}

bool
rt_pacer_push(struct rt_pacer *p, enum rt_pacer_class class, void *stream, uint16_t seq, size_t bytes,
			  uint64_t now_us)
{
	struct ring *r = &p->rings[class];

	if (r->n == r->most)
		return false;
	if (r->n == r->room)
		grow(r);
	r->items[(r->from + r->n++) % r->room] =
		(struct rt_paced){stream, (uint32_t) (now_us / 1000), seq, (uint16_t) bytes};
	r->live++;
	p->queued_bytes += bytes;
	return true;
}

bool
rt_pacer_pop(struct rt_pacer *p, struct rt_paced *out, enum rt_pacer_class *class, uint64_t now_us)
{
	if (p->rate_bps)
		refill(p, now_us);
	if (p->rate_bps && p->budget <= 0)
		return false;
	for (int i = 0; i < RT_PACER_CLASSES; i++)
	{
		struct ring *r = &p->rings[i];

		while (r->n)
		{
			*out = r->items[r->from];
			r->from = (r->from + 1) % r->room;
			r->n--;
			if (out->stream == NULL)
				continue;
			r->live--;
			p->queued_bytes -= out->bytes;
			*class = (enum rt_pacer_class) i;
			return true;
		}
	}
	return false;
}

int
rt_pacer_take_back(struct rt_pacer *p, const void *stream, uint16_t *first)
{
	int n = 0;

	for (int i = 0; i < RT_PACER_CLASSES; i++)
	{
		struct ring *r = &p->rings[i];

		for (unsigned k = 0; k < r->n && r->live; k++)
		{
			struct rt_paced *item = &r->items[(r->from + k) % r->room];

			if (item->stream != stream)
				continue;
			item->stream = NULL;
			r->live--;
			p->queued_bytes -= item->bytes;
			if (i == RT_PACER_MEDIA && (n++ == 0 || rt_seq_newer(*first, item->seq)))
				*first = item->seq;
		}
	}
	return n;
}

bool
rt_pacer_is_empty(const struct rt_pacer *p)
{
	return p->rings[RT_PACER_RESEND].live + p->rings[RT_PACER_MEDIA].live == 0;
}

uint64_t
rt_pacer_queued_bytes(const struct rt_pacer *p)
{
	return p->queued_bytes;
}

uint32_t
rt_pacer_age_ms(const struct rt_pacer *p, uint64_t now_us, void **stream)
{
	const struct ring *r = &p->rings[RT_PACER_MEDIA];

	for (unsigned k = 0; k < r->n && r->live; k++)
	{
		const struct rt_paced *item = &r->items[(r->from + k) % r->room];

		if (item->stream == NULL)
			continue;
		if (stream != NULL)
			*stream = item->stream;
		return (uint32_t) (now_us / 1000) - item->at_ms;
	}
	return 0;
}
