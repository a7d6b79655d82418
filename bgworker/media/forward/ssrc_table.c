/* ssrc_table.c: see ssrc_table.h.  A handful of entries: they are looked through in their order.
 *
 * Invariant: of one stream (producer, layer, repairs or not) there is one entry.  demux.c adds what it has learnt; a
 * producer that ends takes its entries out. */
#include "ssrc_table.h"

#include <stddef.h>
#include <stdlib.h>

#include "bgworker/common/alloc.h"

#define FIRST_ROOM 4 /* a power of two, as RT_SSRC_TABLE_SIZE is */
#define FORMER 16    /* SSRCs of producers that have ended; beyond that the oldest is forgotten */

struct rt_ssrc_table
{
	int n;
	int room;
	struct rt_ssrc *entries; /* room, up to RT_SSRC_TABLE_SIZE; a peer that only receives has none */
	uint32_t former[FORMER];
	unsigned nformer; /* all there were */
};

struct rt_ssrc_table *
rt_ssrc_table_new(void)
{
	return rt_alloc(sizeof(struct rt_ssrc_table));
}

void
rt_ssrc_table_free(struct rt_ssrc_table *t)
{
	if (t == NULL)
		return;
	free(t->entries);
	free(t);
}

const struct rt_ssrc *
rt_ssrc_table_find(const struct rt_ssrc_table *t, uint32_t ssrc)
{
	for (int i = 0; i < t->n; i++)
		if (t->entries[i].ssrc == ssrc)
			return &t->entries[i];
	return NULL;
}

/* A second SSRC for a stream takes the place of the first: browsers change it when a track is replaced. */
const struct rt_ssrc *
rt_ssrc_table_add(struct rt_ssrc_table *t, const struct rt_ssrc *entry)
{
	for (int i = 0; i < t->n; i++)
	{
		struct rt_ssrc *e = &t->entries[i];

		if (e->producer == entry->producer && e->layer == entry->layer && e->rtx == entry->rtx)
		{
			e->ssrc = entry->ssrc;
			return e;
		}
	}
	if (t->n == RT_SSRC_TABLE_SIZE)
		return NULL;
	if (t->n == t->room)
	{
		t->room = t->room ? 2 * t->room : FIRST_ROOM;
		t->entries = rt_realloc(t->entries, (size_t) t->room * sizeof(*t->entries));
	}
	t->entries[t->n] = *entry;
	return &t->entries[t->n++];
}

void
rt_ssrc_table_forget(struct rt_ssrc_table *t, const struct rt_producer *p)
{
	int kept = 0;

	for (int i = 0; i < t->n; i++)
	{
		if (t->entries[i].producer != p)
			t->entries[kept++] = t->entries[i];
		else
			t->former[t->nformer++ % FORMER] = t->entries[i].ssrc;
	}
	t->n = kept;
}

bool
rt_ssrc_table_had(const struct rt_ssrc_table *t, uint32_t ssrc)
{
	for (unsigned i = 0; i < FORMER && i < t->nformer; i++)
		if (t->former[i] == ssrc)
			return true;
	return false;
}
