/* snapshot.h: what a transaction has seen, as pg_current_snapshot() writes it: "xmin:xmax:xip,xip,…".
 *
 * It tells whether the end of a membership that the bus brings was known to the database already when it let
 * somebody join. */
#ifndef RT_SNAPSHOT_H
#define RT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

struct rt_snapshot;

/* One reference.  Text that is none, or longer than is worth keeping, makes NULL, a snapshot that sees nothing. */
struct rt_snapshot *rt_snapshot_new(const char *text);
struct rt_snapshot *rt_snapshot_ref(struct rt_snapshot *s); /* NULL is fine, here and below */
void rt_snapshot_unref(struct rt_snapshot *s);

bool rt_snapshot_sees(const struct rt_snapshot *s, uint64_t xid); /* 0, an unknown transaction, is not seen */

#endif
