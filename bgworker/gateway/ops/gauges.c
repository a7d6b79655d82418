/* gauges.c: see gauges.h.  Each is a count that its module keeps anyway, so it may be asked at any time. */
#include "gauges.h"

#include "bgworker/common/db/db.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/metric.h"
#include "bgworker/gateway/bus/bus.h"
#include "bgworker/gateway/bus/recent.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/user.h"
#include "bgworker/gateway/meetings/meeting.h"
#include "bgworker/gateway/meetings/signalling.h"
#include "drain.h"
#include "ready.h"

void
rt_gauges_take(struct rt_gauges *g, const struct rt_gauges_uses *u)
{
	*g = (struct rt_gauges){
		.users = rt_users_count(u->users),
		.rooms = rt_rooms_count(u->rooms),
		.meetings = rt_meetings_count(u->meetings),
		.seats = rt_meetings_seats(u->meetings),
		.signals = rt_signalling_waiting(u->signals),
		.recent_bytes = rt_recent_bytes(u->recent),
		.db_waiting = rt_db_waiting(u->db),
		.db_calls = rt_histogram_count(rt_db_durations(u->db, RT_DB_FAST)) +
					rt_histogram_count(rt_db_durations(u->db, RT_DB_SLOW)),
		.position = rt_bus_pos(u->bus),
		.slow_turns = rt_loop_slow_turns(u->loop),
		.ready = rt_ready_is(u->ready),
		.draining = rt_drain_begun(u->drain),
	};
}
