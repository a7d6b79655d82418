/* store.c: see store.h.  producer.c owns one for each incoming video stream; an audio stream has none.
 *
 * A slot is valid if it was filled for the present stream: clearing counts the streams instead of touching 1.6 MB. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"

struct slot
{
	uint32_t stream; /* the store's when it was put; 0: empty */
	struct rt_packet packet;
	uint8_t payload[RT_STORE_PAYLOAD];
};

struct rt_store
{
	uint32_t stream; /* counts them from 1 on */
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

	slot->stream = p->payload_len + p->descriptor_len <= RT_STORE_PAYLOAD ? s->stream : 0;
	if (!slot->stream)
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
	const struct slot *slot = &s->slots[seq % RT_STORE_PACKETS];

	return slot->stream == s->stream && slot->packet.seq == seq ? &slot->packet : NULL;
}
