/* store.h: the last packets of one incoming video stream, decrypted, for retransmission to any consumer.
 * A ring by sequence number; the newest packet overwrites the one RT_STORE_PACKETS before it. */
#ifndef RT_STORE_H
#define RT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

#define RT_STORE_PACKETS 1024
#define RT_STORE_PAYLOAD 1400

struct rt_store;

struct rt_store *rt_store_new(void);
void rt_store_free(struct rt_store *s);                           /* NULL is fine */
void rt_store_clear(struct rt_store *s);                          /* another stream begins */
void rt_store_put(struct rt_store *s, const struct rt_packet *p); /* copies the payload; too long ones are left out */
const struct rt_packet *rt_store_find(const struct rt_store *s, uint16_t seq); /* lent until the next put; NULL */

#endif
