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
	{"receipts", receipts_run}, {"presence", presence_run}, {"reconnect", reconnect_run},
	{"meetings", meetings_run}, {"watchers", watchers_run},
};

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
	else
		errx(2, "no option %s", name);
}

int
main(int argc, char **argv)
{
	struct scenario sc = {.count = 1, .rooms = 1, .seconds = 5, .rate = 50, .mode = ""};

	for (int i = 2; i + 1 < argc; i += 2)
		take_option(&sc, argv[i], argv[i + 1]);
	if (sc.tokens == NULL || sc.measured.port == 0 || sc.measured.postmaster == 0 || sc.count < 1 || sc.rooms < 1)
		errx(2, "--port, --postmaster and --tokens are needed");
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
