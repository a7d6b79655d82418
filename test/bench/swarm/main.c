/* main.c: swarm SCENARIO --port P --postmaster PID --tokens FILE [option VALUE]...   see scenarios.h */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios.h"

static const struct
{
	const char *name;
	void (*run)(const struct scenario *sc);
} scenarios[] = {
	{"connect", connect_run},   {"fanout", fanout_run},     {"idle", idle_run},           {"crowd", crowd_run},
	{"receipts", receipts_run}, {"presence", presence_run}, {"reconnect", reconnect_run}, {"meetings", meetings_run},
	{"watchers", watchers_run}, {"forward", forward_run},
};

struct swarm_options
scenario_clients(const struct scenario *sc, swarm_packet_cb on_packet, void *arg)
{
	return (struct swarm_options){
		.port = sc->measured.port, .count = sc->count, .tokens = sc->tokens, .on_packet = on_packet, .arg = arg};
}

static void
take_option(struct scenario *sc, const char *name, const char *value)
{
	if (strcmp(name, "--port") == 0)
		sc->measured.port = atoi(value);
	else if (strcmp(name, "--postmaster") == 0)
		sc->measured.postmaster = atoi(value);
	else if (strcmp(name, "--tokens") == 0)
		sc->tokens = value;
	else if (strcmp(name, "--count") == 0)
		sc->count = atoi(value);
	else if (strcmp(name, "--room") == 0)
		sc->room = atoll(value);
	else if (strcmp(name, "--rooms") == 0)
		sc->rooms = atoi(value);
	else if (strcmp(name, "--seconds") == 0)
		sc->seconds = atof(value);
	else if (strcmp(name, "--rate") == 0)
		sc->rate = atof(value);
	else if (strcmp(name, "--mode") == 0)
		sc->mode = value;
	else if (strcmp(name, "--pid") == 0)
		sc->pid = (pid_t) atoi(value);
	else if (strcmp(name, "--pids") == 0)
		sc->pids = value;
	else if (strcmp(name, "--second-port") == 0)
		sc->second_port = atoi(value);
	else if (strcmp(name, "--second-pid") == 0)
		sc->second_pid = (pid_t) atoi(value);
	else if (strcmp(name, "--connections") == 0)
		sc->connections = atoi(value);
	else if (strcmp(name, "--size") == 0)
		sc->size = atoi(value);
	else if (strcmp(name, "--pps") == 0)
		sc->pps = atoi(value);
	else if (strcmp(name, "--nap") == 0)
		sc->nap_us = (unsigned) atoi(value);
	else if (strcmp(name, "--windows") == 0)
		sc->windows = value;
	else
		errx(2, "no option %s", name);
}

int
main(int argc, char **argv)
{
	struct scenario sc = {.count = 1,
						  .rooms = 1,
						  .seconds = 5,
						  .rate = 50,
						  .mode = "",
						  .connections = 8,
						  .size = 200,
						  .pps = 500,
						  .windows = "1"};

	for (int i = 2; i + 1 < argc; i += 2)
		take_option(&sc, argv[i], argv[i + 1]);
	if (argc < 2 || sc.tokens == NULL || sc.measured.port == 0 || sc.count < 1 || sc.rooms < 1 || sc.rate <= 0 ||
		(sc.measured.postmaster == 0 && sc.pid == 0))
		errx(2, "SCENARIO, --port, --tokens, and --postmaster or --pid are needed");
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
	{
		if (strcmp(scenarios[i].name, argv[1]) == 0)
		{
			scenarios[i].run(&sc);
			return 0;
		}
	}
	errx(2, "no scenario %s", argv[1]);
}
