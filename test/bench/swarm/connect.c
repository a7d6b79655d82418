/* connect.c: users connect, all as fast as the gateway takes them; see scenarios.h
 *
 * A bounded number of clients are on their way at a time ("connections"): each dials, upgrades to websocket, and
 * sends CONNECT.  The processors' time is counted for some "seconds" longer, in
 * which all others are told.
 */
#include <stdio.h>
#include <unistd.h>

#include "measure.h"
#include "scenarios.h"
#include "swarm.h"

void
connect_run(const struct scenario *sc)
{
	struct swarm_options o = {.port = sc->measured.port,
							  .count = sc->count,
							  .tokens = sc->tokens,
							  .at_a_time = sc->connections,
							  .nap_us = sc->nap_us};
	struct swarm *s = swarm_new(&o);
	double gateway_s = measure_cpu_s(sc->pid);
	double own_s = measure_cpu_s(getpid());
	double postgres_s = sc->measured.postmaster == 0 ? 0 : measure_postgres_s(&sc->measured);
	uint64_t began_ns = measure_now_ns();

	swarm_gather(s, sc->count);
	printf("seconds=%.3f\n", (double) (measure_now_ns() - began_ns) / 1e9);
	swarm_run(s, sc->seconds);
	printf("gateway_us=%.1f\n", (measure_cpu_s(sc->pid) - gateway_s) * 1e6 / sc->count);
	printf("generator_us=%.1f\n", (measure_cpu_s(getpid()) - own_s) * 1e6 / sc->count);
	if (sc->measured.postmaster != 0)
		printf("postgres_us=%.1f\n", (measure_postgres_s(&sc->measured) - postgres_s) * 1e6 / sc->count);
}
