/* sendring.h: many sends in one system call, by Linux' io_uring.
 *
 * A message to a large room is one short send() for each socket, and entering the kernel is a good part of what that
 * costs.  Here up to RT_SENDRING_SENDS of them are put together and made by one call.  None of them waits: the result
 * is what send() with MSG_DONTWAIT would have returned.
 *
 * Call order: new (before the program is confined), then put and run as often as wanted, free. */
#ifndef RT_SENDRING_H
#define RT_SENDRING_H

#include <stdbool.h>
#include <stddef.h>

struct rt_sendring;

#define RT_SENDRING_SENDS 128

/* NULL where the kernel, or whoever runs it, allows no ring; logs why.  Of the ring nothing but sending is left, for
 * good: IORING_REGISTER_RESTRICTIONS. */
struct rt_sendring *rt_sendring_new(void);
void rt_sendring_free(struct rt_sendring *r); /* NULL is fine */

/* The i-th send of the next run; i counts from 0.  The data are lent until rt_sendring_run() returns. */
void rt_sendring_put(struct rt_sendring *r, int i, int fd, const void *data, size_t len);

/* Makes the n sends that were put; result[i]: the bytes that the kernel took, or a negative errno.  False: the kernel
 * took not all of them, and the ring is only good to be freed. */
bool rt_sendring_run(struct rt_sendring *r, int n, int *result);

#endif
