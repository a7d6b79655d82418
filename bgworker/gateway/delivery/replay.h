/* replay.h: reads the event log for clients whose offset is older than what recent.h has: once for all that wait.
 *
 * A run begins at the smallest offset and hands out page after page, until recent.h takes over.  A client whose
 * offset the run has already passed waits for the next run, and so does one that is too slow for the rest. */
#ifndef RT_REPLAY_H
#define RT_REPLAY_H

struct rt_counters;
struct rt_db;
struct rt_loop;
struct rt_recent;
struct rt_recovery;
struct rt_recovery_settings;
struct rt_replay;
struct rt_rooms;

/* What it uses; all is lent, and must live as long. */
struct rt_replay_uses
{
	struct rt_loop *loop;
	struct rt_db *db;
	const struct rt_recent *recent;
	const struct rt_rooms *rooms;
	struct rt_counters *counters;
	const struct rt_recovery_settings *settings;
	void (*on_done)(void *arg, struct rt_recovery *r); /* takes the recovery back; never within rt_replay_add() */
	void *arg;
};

struct rt_replay *rt_replay_new(const struct rt_replay_uses *uses);
void rt_replay_free(struct rt_replay *rp); /* with what it has; NULL is fine */

/* Takes the recovery, whose client is there; gives it back by on_done, or ends its client's socket. */
void rt_replay_add(struct rt_replay *rp, struct rt_recovery *r);

#endif
