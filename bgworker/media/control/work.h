/* work.h: requests from the database to the engine, and their answers back.  They come with notifications or by
 * media_fetch, in their order, and each is carried out once. */
#ifndef RT_WORK_H
#define RT_WORK_H

#include <jansson.h>

#include "bgworker/common/db/db.h"
#include "bgworker/media/forward/engine.h"

struct rt_meter;
struct rt_work;

/* caps and the meter are borrowed. */
struct rt_work *rt_work_new(struct rt_loop *l, struct rt_db *db, const json_t *caps, const struct rt_meter *m);
void rt_work_free(struct rt_work *w); /* NULL is fine; no callback of the database may be open */

/* Begins under the name that the database knows us by; borrowed, and may change until the next rt_work_begin(). */
void rt_work_begin(struct rt_work *w, struct rt_engine *e, const char *worker);
/* Forgets what waits. */
void rt_work_pause(struct rt_work *w);

/* The process whose notifications carry requests; 0: none is trusted. */
void rt_work_trust(struct rt_work *w, int relay_pid);
/* A notification of that process. */
void rt_work_notify(struct rt_work *w, int pid, const char *payload, size_t len);
/* Notifications may have been lost. */
void rt_work_refetch(struct rt_work *w);

#endif
