/* watchdog.h: notices a program that runs and does nothing any more.
 *
 * The supervisor asks each second over the pipe of the settings, and a program whose loop turns answers on its
 * standard error.  Silence counts in turns of the supervisor.  A turn longer than RT_WATCHDOG_TURN_MS does not count:
 * where the machine or the supervisor stood still, nobody looks hung. */
#ifndef RT_WATCHDOG_H
#define RT_WATCHDOG_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/timestamp.h"

#define RT_WATCHDOG_ASK "{\"beat\":true}\n" /* see common/conf.c */
#define RT_WATCHDOG_ANSWER "beat"
#define RT_WATCHDOG_TURN_MS 2000
#define RT_WATCHDOG_START_MS 30000 /* the least patience with a program that has not told that it is ready */
#define RT_WATCHDOG_SILENT_MS 3000 /* from then on rt.stat_programs shows it as silent */

struct rt_watchdog
{
	TimestampTz looked; /* when silence was last added up */
	TimestampTz asked;
	int64 silence_ms;
	int64 cpu_ms;           /* what it had used at its last beat */
	uint64 activity;        /* see common/activity.h, as of the last turn; 0: unknown */
	uint64 beaten_activity; /* as of the last beat */
	int64 activity_ms;      /* for how long it has been the same, at the least */
	bool beaten;            /* it has answered once, or told that it is ready */
};

extern void rt_watchdog_start(struct rt_watchdog *w);
extern void rt_watchdog_beat(struct rt_watchdog *w, int pid, int activity_fd);

/* Once a turn, after what the program wrote was read.  True where it is time to ask. */
extern bool rt_watchdog_turn(struct rt_watchdog *w, int activity_fd);

extern bool rt_watchdog_is_silent(const struct rt_watchdog *w);
extern bool rt_watchdog_is_hung(const struct rt_watchdog *w, int timeout_ms); /* 0: never */

/* `, in "http request" for 9.8 s,`, as the program told by its page; nothing where it told nothing. */
extern void rt_watchdog_describe_activity(const struct rt_watchdog *w, StringInfo out);

/* What the process is doing, as far as the kernel tells: "was stopped by a signal …". */
extern void rt_watchdog_describe_process(const struct rt_watchdog *w, int pid, StringInfo out);

#endif
