/* ready.c: see ready.h.  Anybody may ask at any time; it costs a few comparisons. */
#include "ready.h"

#include <stdlib.h>
#include <string.h>

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
	bool locked;
	bool standby; /* the database writes nothing */
	const char *warning;
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

void
rt_ready_set_locked(struct rt_ready *r, bool locked)
{
	r->locked = locked;
}

bool
rt_ready_is_known(const struct rt_ready *r)
{
	return r->known;
}

void
rt_ready_set_standby(struct rt_ready *r, bool standby)
{
	r->standby = standby;
}

void
rt_ready_set_silent(struct rt_ready *r, const char *worker)
{
	r->warning = worker == NULL                      ? NULL
				 : strcmp(worker, "supervisor") == 0 ? "the supervisor hangs: no program is restarted or reloaded"
													 : "the launcher hangs: no worker of rt is restarted";
}

const char *
rt_ready_warning(const struct rt_ready *r)
{
	return r->warning;
}

/* In this order: the first one is what has to be mended. */
const char *
rt_ready_why_not(const struct rt_ready *r)
{
	const struct rt_ready_uses *u = &r->uses;

	if (u->self->ending || rt_drain_begun(u->drain))
		return "the gateway drains";
	if (r->standby)
		return "the database is a standby";
	if (!rt_db_lane_up(u->db, RT_DB_FAST))
		return "the database is not connected";
	if (rt_bus_is_deaf(u->bus))
		return "notifications do not arrive";
	if (!rt_db_up(u->db))
		return "the database is not connected";
	if (!rt_bus_started(u->bus))
		return "no relay runs in the database";
	if (!rt_bus_hears(u->bus) || !rt_auth_ready(u->auth) || !r->known)
		return "the gateway starts";
	if (r->stalled)
		return "events wait for the relay";
	if (r->locked)
		return "a session has locked a table, see rt.stat_locks";
	if (rt_loop_now_ms(u->loop) - r->answered_ms >= RT_READY_SILENT_MS)
		return "the database does not answer";
	return NULL;
}

bool
rt_ready_is(const struct rt_ready *r)
{
	return rt_ready_why_not(r) == NULL;
}
