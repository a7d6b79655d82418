/* pacer.h: when what goes to one receiver may leave.
 *
 * Sound is never held back; it only takes from the budget.  Retransmissions go before video.  What waits here is a
 * reference to a packet in its sender's store, 16 bytes, not the packet.  The budget grows with the rate and holds at
 * most 20 ms of it.  Bounds: RT_PACER_RESENDS and RT_PACER_VIDEO references; more are refused, as is what has waited
 * longer than its caller allows.  With the rate 0 (no limit is known) nothing ever waits. */
#ifndef RT_PACER_H
#define RT_PACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RT_PACER_RESENDS 128
#define RT_PACER_VIDEO 512
#define RT_PACER_PERIOD_MS 5 /* how often what waits is looked at */

enum rt_pacer_class
{
	RT_PACER_RESEND,
	RT_PACER_MEDIA,
	RT_PACER_CLASSES
};

struct rt_paced
{
	void *stream; /* whose; NULL: taken back */
	uint32_t at_ms;
	uint16_t seq; /* as it goes out */
	uint16_t bytes;
};

struct rt_pacer;

struct rt_pacer *rt_pacer_new(void);
void rt_pacer_free(struct rt_pacer *p); /* NULL is fine */

/* Bits a second from now on; 0: as much as comes. */
void rt_pacer_set_rate(struct rt_pacer *p, uint64_t bps, uint64_t now_us);
/* So many bytes have left. */
void rt_pacer_spend(struct rt_pacer *p, size_t bytes, uint64_t now_us);
/* Nothing waits that goes before this class, and the budget allows it: send it at once, then spend. */
bool rt_pacer_may_pass(struct rt_pacer *p, enum rt_pacer_class class, uint64_t now_us);
/* False: full. */
bool rt_pacer_push(struct rt_pacer *p, enum rt_pacer_class class, void *stream, uint16_t seq, size_t bytes,
				   uint64_t now_us);
/* The next one that may leave now; spend its bytes when it did.  False: none. */
bool rt_pacer_pop(struct rt_pacer *p, struct rt_paced *out, enum rt_pacer_class *class, uint64_t now_us);
/* Takes back all that waits of a stream.  The number of media packets, and of the first of them in *first. */
int rt_pacer_take_back(struct rt_pacer *p, const void *stream, uint16_t *first);

bool rt_pacer_is_empty(const struct rt_pacer *p);
uint64_t rt_pacer_queued_bytes(const struct rt_pacer *p);
/* How long the oldest media packet has waited, and whose it is (stream may be NULL). */
uint32_t rt_pacer_age_ms(const struct rt_pacer *p, uint64_t now_us, void **stream);

#endif
