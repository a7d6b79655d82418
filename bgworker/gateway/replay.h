/* replay.h: reads the event log for clients whose offset is older than what rt_recent has: once for all that wait.
 *
 * A run begins at the smallest offset and hands out page after page, until rt_recent takes over.  Who comes with
 * an offset behind which the run has already gone waits for the next run. */
#ifndef RT_REPLAY_H
#define RT_REPLAY_H

#include <jansson.h>
#include <stdint.h>

struct rt_app;
struct rt_client;
struct rt_recoveries;
struct rt_recovery;

struct rt_recoveries *rt_recoveries_new(struct rt_app *app);
void rt_recoveries_free(struct rt_recoveries *rv); /* NULL is fine */

struct rt_recovery *rt_replay_add(struct rt_recoveries *rv, struct rt_client *c, const json_t *rooms,
                                  uint64_t offset);
void rt_replay_forget(struct rt_recovery *r); /* the client goes */
uint64_t rt_replay_pos(const struct rt_recovery *r);

#endif
