/* wait.h: what pg_stat_activity says that rt waits for. */
#ifndef RT_WAIT_H
#define RT_WAIT_H

#include "postgres.h"

enum rt_wait
{
	RT_WAIT_LAUNCHER,
	RT_WAIT_RELAY,
	RT_WAIT_SUPERVISOR,
	RT_WAIT_SUSPEND,
	RT_WAIT_DURABLE,
	RT_WAITS
};

/* A wait event of its own where the server has such (17 and later), else Extension. */
extern uint32 rt_wait_event(enum rt_wait which);

#endif
