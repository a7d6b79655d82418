/* store.c: see store.h.  producer.c owns one for each incoming video stream; an audio stream has none.
 *
 * A slot is valid if it was filled for the present stream: clearing counts the streams instead of touching 1.6 MB.
 * What is in a slot is said beside them, so that looking for many that are not there touches 8 kB. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"

struct label
{
	uint32_t stream; /* the store's when it was put; 0: empty */
	uint16_t seq;
};

struct slot
{
	struct rt_packet packet;
	uint8_t payload[RT_STORE_PAYLOAD];
};

struct rt_store
{
	uint32_t stream; /* counts them from 1 on */
	struct label labels[RT_STORE_PACKETS];
	struct slot slots[RT_STORE_PACKETS];
};

struct rt_store *
rt_store_new(void)
{
	struct rt_store *s = rt_alloc_resident(sizeof(struct rt_store));

	s->stream = 1;
	return s;
}

void
rt_store_free(struct rt_store *s)
{
	free(s);
}

void
rt_store_clear(struct rt_store *s)
{
	if (++s->stream == 0)
		s->stream = 1;
}

void
rt_store_put(struct rt_store *s, const struct rt_packet *p)
{
	struct slot *slot = &s->slots[p->seq % RT_STORE_PACKETS];
	bool fits = p->payload_len + p->descriptor_len <= RT_STORE_PAYLOAD;

	s->labels[p->seq % RT_STORE_PACKETS] = (struct label){fits ? s->stream : 0, p->seq};
	if (!fits)
		return;
	slot->packet = *p;
	slot->packet.payload = slot->payload;
	memcpy(slot->payload, p->payload, p->payload_len);
	slot->packet.descriptor = slot->payload + p->payload_len;
	if (p->descriptor_len)
		memcpy(slot->payload + p->payload_len, p->descriptor, p->descriptor_len);
}

const struct rt_packet *
rt_store_find(const struct rt_store *s, uint16_t seq)
{
	const struct label *label = &s->labels[seq % RT_STORE_PACKETS];

	return label->stream == s->stream && label->seq == seq ? &s->slots[seq % RT_STORE_PACKETS].packet : NULL;
}
