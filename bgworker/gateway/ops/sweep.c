/* sweep.c: see sweep.h.  The timer runs from an answer to the next question, so that a slow database is not asked
 * twice; a question that failed is asked again with the next one. */
#include "sweep.h"

#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"

#define EVERY_MS 1000

struct rt_sweep
{
	struct rt_db *db;
	struct rt_timer *timer; /* runs from an answer to the next question */
};

static void
on_swept(void *arg, const struct rt_db_reply *reply)
{
	struct rt_sweep *sw = arg;

	if (!reply->ok)
		rt_log(RT_LOG_DEBUG, "sweep", "the sweep failed and is tried again: %s", reply->message);
	rt_timer_start(sw->timer, EVERY_MS);
}

static void
on_timer(void *arg)
{
	struct rt_sweep *sw = arg;

	rt_db_call(sw->db, RT_DB_OWN, "meeting_sweep", NULL, "{}", 2, on_swept, sw);
}

struct rt_sweep *
rt_sweep_new(struct rt_loop *l, struct rt_db *db)
{
	struct rt_sweep *sw = rt_alloc(sizeof(*sw));

	sw->db = db;
	sw->timer = rt_timer_new(l, on_timer, sw);
	rt_timer_start(sw->timer, EVERY_MS);
	return sw;
}

void
rt_sweep_free(struct rt_sweep *sw)
{
	if (sw == NULL)
		return;
	rt_timer_free(sw->timer);
	free(sw);
}
