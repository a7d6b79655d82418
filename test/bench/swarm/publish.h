/* publish.h: messages that are inserted at a steady rate while sockets come and go, and which of them committed. */
#ifndef SWARM_PUBLISH_H
#define SWARM_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

struct publish;
struct swarm;

/* Into the rooms from `first` on, in turn.  The connection is that of libpq's environment; the swarm's loop reads it.
 */
struct publish *publish_new(struct swarm *s, long long first, int rooms, double rate);
void publish_free(struct publish *p);

/* Inserts if it is time to; when the next one is due. */
uint64_t publish_go_on(struct publish *p);
/* Waits for the last one. */
void publish_stop(struct publish *p);

long long publish_last(const struct publish *p,
					   int room); /* the number of the last message that is known to be there; room counts from 0 */

#endif
