/* scenarios.h: what the swarm is put through.  Each prints its figures as lines NAME=VALUE. */
#ifndef SWARM_SCENARIOS_H
#define SWARM_SCENARIOS_H

#include "measure.h"
#include "swarm.h"

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
	pid_t pid;           /* the process whose CPU and memory count */
	const char *pids;    /* the same where they are several, with commas between; NULL: none */
	int second_port;     /* of a second gateway, which has every other client; 0: none */
	pid_t second_pid;    /* its process: the CPU of both counts */
	int connections;     /* that send */
	int size;            /* of a message's text or an RTP packet, in bytes */
	int pps;             /* RTP packets a second */
	unsigned nap_us;     /* see swarm.h */
	const char *windows; /* how many messages are under way, one measurement after the other; 0: "rate" a second */
};

/* The scenario's clients; what else they need is set in the result. */
struct swarm_options scenario_clients(const struct scenario *sc, swarm_packet_cb on_packet, void *arg);

/* Messages to one room that all clients are in.  Modes: insert, rest, floor. */
void fanout_run(const struct scenario *sc);

/* Clients of one room that do nothing. */
void idle_run(const struct scenario *sc);

/* Users connect as fast as they are let in; "connections" are on their way at a time. */
void connect_run(const struct scenario *sc);

/* A crowd connects, stays idle for "seconds", loses the network and comes back; "connections" are on their way at a
 * time. */
void crowd_run(const struct scenario *sc);

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

/* The first client sends video to a meeting, over DTLS and SRTP, and all others receive it; "rate" is how many join
 * at a time. */
void forward_run(const struct scenario *sc);

#endif
