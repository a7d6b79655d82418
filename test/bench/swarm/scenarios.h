/* scenarios.h: what the swarm is put through.  Each prints its figures as lines NAME=VALUE. */
#ifndef SWARM_SCENARIOS_H
#define SWARM_SCENARIOS_H

#include "measure.h"

struct scenario
{
	struct measure measured;
	const char *tokens;
	int count;      /* clients */
	long long room; /* the first one */
	int rooms;
	double seconds; /* how long, or within which time */
	double rate;    /* a second */
	const char *mode;
};

/* Members mark messages as seen, batch after batch.  Modes: forward, scattered. */
void receipts_run(const struct scenario *sc);

/* Users of one room come, all within some seconds.  Modes: login, blink, outage. */
void presence_run(const struct scenario *sc);

/* All clients lose the network at once, and regain it at once, while messages go on.  Modes: recent, log. */
void reconnect_run(const struct scenario *sc);

/* Clients join meetings at a steady rate, then some ask for transports.  Meetings are numbered like rooms. */
void meetings_run(const struct scenario *sc);

/* Clients join meetings and watch what one sends in each; "rate" is how many are at it at a time. */
void watchers_run(const struct scenario *sc);

#endif
