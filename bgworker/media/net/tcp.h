/* tcp.h: one TCP connection that carries packets framed by RFC 4571 (two bytes of length, then the packet).
 * Bounded both ways: a frame longer than a packet closes the connection, an empty one is passed over; what a slow
 * peer does not take beyond RT_TCP_MAX_WAITING is dropped, packet by packet, and packets that are not small (video)
 * as soon as what waits is older than RT_TCP_MAX_WAIT_MS: a picture that comes too late only delays the next. */
#ifndef RT_TCP_H
#define RT_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/loop.h"
#include "tuple.h"

#define RT_TCP_BUFFER 1600 /* bytes of room where a packet is handed up */
#define RT_TCP_MAX_WAITING (256 * 1024)
#define RT_TCP_MAX_WAIT_MS 400
#define RT_TCP_SMALL 400           /* bytes: sound, RTCP, STUN */
#define RT_TCP_KERNEL_UNSENT 16384 /* bytes that the kernel may hold back: TCP_NOTSENT_LOWAT */

typedef void (*rt_tcp_packet_cb)(void *arg, struct rt_tcp *t, uint8_t *data, size_t len);
typedef void (*rt_tcp_closed_cb)(void *arg, struct rt_tcp *t);

/* Owns fd.  on_closed comes once, from the loop; the owner then calls rt_tcp_free(). */
struct rt_tcp *rt_tcp_new(struct rt_loop *l, int fd, const struct rt_tuple *peer, rt_tcp_packet_cb on_packet,
						  rt_tcp_closed_cb on_closed, void *arg);
void rt_tcp_free(struct rt_tcp *t);
void rt_tcp_close(struct rt_tcp *t); /* on_closed comes at the end of the turn */
const struct rt_tuple *rt_tcp_tuple(const struct rt_tcp *t);
/* False: dropped. */
bool rt_tcp_send(struct rt_tcp *t, const uint8_t *data, size_t len);

struct rt_tcp *rt_tcp_next(const struct rt_tcp *t); /* the owner's list */
void rt_tcp_link(struct rt_tcp **head, struct rt_tcp *t);
void rt_tcp_unlink(struct rt_tcp **head, struct rt_tcp *t);
/* Monotonic time of the last packet that the owner took note of; at first, of the connection's begin. */
uint64_t rt_tcp_heard_ms(const struct rt_tcp *t);
void rt_tcp_note_heard(struct rt_tcp *t);
/* It is open, and the owner has taken note of nothing yet. */
bool rt_tcp_is_stranger(const struct rt_tcp *t);

#endif
