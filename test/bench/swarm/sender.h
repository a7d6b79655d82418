/* sender.h: how a message gets in: by INSERT, by REST, or to the floor (test/bench/floor) as an event.
 *
 * A number of connections, each with one message under way; the swarm's loop reads their answers.  A refused message
 * ends the program. */
#ifndef SWARM_SENDER_H
#define SWARM_SENDER_H

#include <stdbool.h>
#include <stdint.h>

struct sender;
struct swarm;
struct swarm_client;

struct sender_options
{
	const char *how; /* "insert": libpq's environment says where; "rest"; "floor" */
	int connections; /* of the floor: none but the client's */
	int port;        /* of REST */
	long long room;
	const char *token;           /* of REST */
	struct swarm_client *client; /* of the floor: the one that sends */
};

struct sender *sender_new(struct swarm *s, const struct sender_options *o);
void sender_free(struct sender *sn);

/* False: each connection waits for an answer.  The content has no character that JSON or SQL would escape. */
bool sender_send(struct sender *sn, const char *content);
uint64_t sender_answered(const struct sender *sn);

#endif
