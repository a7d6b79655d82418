/* eio_payload.h: bodies of Engine.IO's long-polling: packets separated by U+001E.  Pure. */
#ifndef RT_EIO_PAYLOAD_H
#define RT_EIO_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "bgworker/common/buf.h"
#include "frame.h"

/* The packets of a body, one after the other: start with *pos = 0; false when there are no more.  An empty body is
 * one empty packet, as in the reference implementation. */
bool rt_eio_payload_next(const char *body, size_t len, size_t *pos, const char **packet, size_t *packet_len);

/* How long the body gets by this frame, and the frame put into it: base64 with a `b` where it is binary. */
size_t rt_eio_payload_cost(const struct rt_frame *f);
enum rt_result rt_eio_payload_put(struct rt_buf *body, const struct rt_frame *f);

#endif
