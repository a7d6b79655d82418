/* gzip.h: bodies of replies in gzip (RFC 1952), compressed in steps of a bounded size.
 *
 * Compressing has a budget of CPU time, since it is work for one client that all others wait for.  Small bodies and
 * large ones have a budget each: a small body goes as it is where the budget is used up, a large one waits. */
#ifndef RT_GZIP_H
#define RT_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/buf.h"
#include "bgworker/common/result.h"

#define RT_GZIP_STEP_BYTES 32768 /* of input in one step: half a millisecond or so */

struct rt_gzip_pool; /* the budget, and the state of zlib that small bodies share */
struct rt_gzip;      /* one body */

struct rt_gzip_pool *rt_gzip_pool_new(void);
void rt_gzip_pool_free(struct rt_gzip_pool *p); /* after all that it made; NULL is fine */

/* Small bodies: of at most RT_GZIP_STEP_BYTES, at once; `out` is empty before.  RT_INTERNAL: zlib failed. */
bool rt_gzip_may_begin(struct rt_gzip_pool *p, uint64_t now_us); /* the budget is not used up */
enum rt_result rt_gzip_at_once(struct rt_gzip_pool *p, const void *body, size_t len, struct rt_buf *out);

/* Any length; copies the body.  NULL: as many as may be under way are, or zlib failed. */
struct rt_gzip *rt_gzip_new(struct rt_gzip_pool *p, const void *body, size_t len);
bool rt_gzip_may_step(struct rt_gzip *g, uint64_t now_us); /* the budget is not used up */
enum rt_result rt_gzip_step(struct rt_gzip *g);            /* RT_OK: done; RT_AGAIN; RT_INTERNAL */
struct rt_buf *rt_gzip_out(struct rt_gzip *g);             /* lent: what has come out */
struct rt_buf *rt_gzip_body(struct rt_gzip *g);            /* lent: the copy */
void rt_gzip_free(struct rt_gzip *g);                      /* NULL is fine */

#endif
