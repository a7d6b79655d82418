/* crowd.c: a crowd connects, does nothing for a while, loses the network and comes back; see scenarios.h
 *
 * Each of the clients is another user.  A bounded number ("connections") are on their way at a time.  What the crowd
 * costs while nothing happens is counted once all have been told who is there.
 *
 * A process may have as many descriptors as it is allowed, so the clients are divided among several.  Each does what
 * the first process tells it by a byte, and answers with one when it has; in between it serves its sockets.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"
#include "scenarios.h"
#include "swarm.h"

#define CLIENTS_A_PROCESS 15000
#define MAX_PROCESSES 64
#define SETTLE_S 5
#define AWAY_S 1
#define GATHER_S 400

enum order
{
	COME = 'c',
	GO = 'g'
};

struct crowd
{
	const struct scenario *scenario;
	int nprocesses;
	int sockets[MAX_PROCESSES];
};

/* One of its processes. */
struct part
{
	struct swarm *swarm;
	int socket;
	char order; /* 0: none */
};

/* Of all gateways; the resident set is that of now. */
struct cost
{
	double gateways_s, postgres_s, bytes;
	uint64_t ns;
};

/* ---- a part ------------------------------------------------------------------------------- */

static void
on_order(void *arg)
{
	struct part *p = arg;

	if (read(p->socket, &p->order, 1) != 1)
		exit(0); /* the first process has ended */
}

static void
obey(struct part *p)
{
	if (p->order == COME)
		swarm_gather(p->swarm, swarm_count(p->swarm));
	for (int i = 0; p->order == GO && i < swarm_count(p->swarm); i++)
		swarm_drop(p->swarm, swarm_client(p->swarm, i));
	if (write(p->socket, &p->order, 1) != 1)
		err(1, "write");
	p->order = 0;
}

static void
run_part(const struct crowd *crowd, int n, int socket)
{
	const struct scenario *sc = crowd->scenario;
	int first = (int) ((long long) sc->count * n / crowd->nprocesses);
	struct swarm_options o = {.port = sc->measured.port,
							  .first = first,
							  .count = (int) ((long long) sc->count * (n + 1) / crowd->nprocesses) - first,
							  .tokens = sc->tokens,
							  .at_a_time = sc->connections / crowd->nprocesses,
							  .gather_s = GATHER_S};
	struct part p = {.swarm = swarm_new(&o), .socket = socket};

	swarm_watch(p.swarm, socket, on_order, &p);
	for (;;)
	{
		swarm_turn(p.swarm, measure_now_ns() + 1000000000);
		if (p.order != 0)
			obey(&p);
	}
}

/* ---- all of them -------------------------------------------------------------------------- */

static void
start_parts(struct crowd *crowd)
{
	crowd->nprocesses = (crowd->scenario->count + CLIENTS_A_PROCESS - 1) / CLIENTS_A_PROCESS;
	if (crowd->nprocesses > MAX_PROCESSES)
		errx(2, "more than %d clients", MAX_PROCESSES * CLIENTS_A_PROCESS);
	for (int i = 0; i < crowd->nprocesses; i++)
	{
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			err(1, "socketpair");
		switch (fork())
		{
			case -1:
				err(1, "fork");
			case 0:
				close(pair[0]);
				for (int k = 0; k < i; k++)
					close(crowd->sockets[k]);
				run_part(crowd, i, pair[1]);
		}
		close(pair[1]);
		crowd->sockets[i] = pair[0];
	}
}

static void
tell_all(const struct crowd *crowd, char order)
{
	char answer;

	for (int i = 0; i < crowd->nprocesses; i++)
		if (write(crowd->sockets[i], &order, 1) != 1)
			err(1, "write");
	for (int i = 0; i < crowd->nprocesses; i++)
		if (read(crowd->sockets[i], &answer, 1) != 1)
			errx(1, "a part of the crowd has failed");
}

/* "123,124": adds what each of the processes has. */
static double
sum(const char *pids, double (*of)(pid_t))
{
	double total = 0;
	char *end;

	for (const char *p = pids; *p != '\0'; p = *end == ',' ? end + 1 : end)
	{
		long pid = strtol(p, &end, 10);

		if (end == p || pid <= 0 || (*end != ',' && *end != '\0'))
			errx(2, "not a list of processes: %s", pids);
		total += of((pid_t) pid);
	}
	return total;
}

static struct cost
read_cost(const struct scenario *sc)
{
	return (struct cost){sum(sc->pids, measure_cpu_s), measure_postgres_s(&sc->measured),
						 sum(sc->pids, measure_resident_bytes), measure_now_ns()};
}

static void
come(const struct crowd *crowd, const char *name)
{
	const struct scenario *sc = crowd->scenario;
	struct cost before = read_cost(sc), after;

	tell_all(crowd, COME);
	printf("%s_seconds=%.2f\n", name, (double) (measure_now_ns() - before.ns) / 1e9);
	sleep(SETTLE_S);
	after = read_cost(sc);
	printf("%s_gateway_us=%.1f\n%s_postgres_us=%.1f\n", name,
		   (after.gateways_s - before.gateways_s) * 1e6 / sc->count, name,
		   (after.postgres_s - before.postgres_s) * 1e6 / sc->count);
	printf("%s_bytes=%.0f\n", name, (after.bytes - before.bytes) / sc->count);
}

static void
stay(const struct crowd *crowd)
{
	const struct scenario *sc = crowd->scenario;
	struct cost before = read_cost(sc), after;
	double seconds;

	sleep((unsigned) sc->seconds);
	after = read_cost(sc);
	seconds = (double) (after.ns - before.ns) / 1e9;
	printf("idle_gateway_percent=%.2f\nidle_postgres_percent=%.2f\n",
		   100 * (after.gateways_s - before.gateways_s) / seconds,
		   100 * (after.postgres_s - before.postgres_s) / seconds);
}

void
crowd_run(const struct scenario *sc)
{
	struct crowd crowd = {.scenario = sc};

	if (sc->pids == NULL || sc->measured.postmaster == 0)
		errx(2, "--pids and --postmaster are needed");
	start_parts(&crowd);
	come(&crowd, "come");
	stay(&crowd);
	tell_all(&crowd, GO);
	sleep(AWAY_S);
	come(&crowd, "back");
	for (int i = 0; i < crowd.nprocesses; i++)
		close(crowd.sockets[i]);
	while (wait(NULL) > 0)
		;
}
