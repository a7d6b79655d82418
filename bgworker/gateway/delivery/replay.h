/* replay.h: reads the event log for clients whose offset is older than what rt_recent has: once for all that wait.
 *
 * A run begins at the smallest offset and hands out page after page, until rt_recent takes over.  Who comes with
 * an offset behind which the run has already gone waits for the next run, and so does who is too slow for the rest.
 */
#ifndef RT_REPLAY_H
#define RT_REPLAY_H

struct rt_app;
struct rt_recovery;
struct rt_replay;

struct rt_replay *rt_replay_new(struct rt_app *app);
void rt_replay_free(struct rt_replay *rp); /* NULL is fine */

/* Takes the recovery; gives it back by rt_recover_resume(). */
void rt_replay_add(struct rt_replay *rp, struct rt_recovery *r);

#endif
