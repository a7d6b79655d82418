/* ready.c: see ready.h.  Anybody may ask at any time; it costs a few comparisons. */
#include "ready.h"

#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/loop.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/clients/auth.h"
#include "drain.h"

struct rt_ready
{
	struct rt_ready_uses uses;
	bool known;
	uint64_t answered_ms; /* when the database last answered a report */
	bool stalled;
};

struct rt_ready *
rt_ready_new(const struct rt_ready_uses *uses)
{
	struct rt_ready *r = rt_alloc(sizeof(*r));

	r->uses = *uses;
	return r;
}

void
rt_ready_free(struct rt_ready *r)
{
	free(r);
}

void
rt_ready_set_known(struct rt_ready *r, bool known)
{
	r->known = known;
}

void
rt_ready_note_answer(struct rt_ready *r)
{
	r->answered_ms = rt_loop_now_ms(r->uses.loop);
}

void
rt_ready_set_stalled(struct rt_ready *r, bool stalled)
{
	r->stalled = stalled;
}

bool
rt_ready_is_known(const struct rt_ready *r)
{
	return r->known;
}

bool
rt_ready_is(const struct rt_ready *r)
{
	const struct rt_ready_uses *u = &r->uses;

	return !u->self->ending && !rt_drain_begun(u->drain) && rt_db_up(u->db) && rt_bus_started(u->bus) &&
		   rt_auth_ready(u->auth) && r->known && !r->stalled &&
		   rt_loop_now_ms(u->loop) - r->answered_ms < RT_READY_SILENT_MS;
}
