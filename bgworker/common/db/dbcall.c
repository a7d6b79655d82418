/* dbcall.c: see dbcall.h.  The ends of a call; any module of this folder may reach one. */
#include "dbcall.h"

#include <stdlib.h>

#include "bgworker/common/clock.h"
#include "bgworker/common/metric.h"
#include "dberror.h"

void
rt_dbcall_answer(struct rt_dbcall *call, const struct rt_db_reply *reply)
{
	rt_histogram_add(call->durations, rt_clock_us() - call->began_us);
	call->cb(call->arg, reply);
	call->on_over(call->over_arg, call);
	for (int i = 0; i < RT_DB_TURNS; i++)
		if (call->turns[i] != call->actor)
			free(call->turns[i]);
	free(call->actor);
	free(call->req);
	free(call);
}

void
rt_dbcall_refuse(struct rt_dbcall *call)
{
	struct rt_db_reply reply = {
		.code = "unavailable", .message = rt_dberror_message("unavailable", "08006"), .sqlstate = "08006"};

	rt_dbcall_answer(call, &reply);
}
