/* presence.c: the users of one room come, or lose the network and come back; see scenarios.h
 *
 * login:   each connects for the first time, evenly over the seconds.
 * blink:   each in turn, evenly over the seconds, loses the connection and is back within a second.
 * outage:  all lose it at once and come back evenly over the seconds, most of them after the grace.
 *
 * Judged is that nobody is told twice that a user came, that whoever was there is told, and that a blink is not seen.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "packet.h"
#include "scenarios.h"
#include "swarm.h"

#define QUIET_S 1.5 /* without an event: it is over */
#define QUIET_WITHIN_S 60
#define BLINK_S 1.0
#define GRACE_S 2.0 /* rt.presence_grace */
#define SLACK_S 1.0 /* until the end of the grace is told */

struct presence
{
	const struct scenario *scenario;
	struct swarm *swarm;
	unsigned char *told; /* by client and user: how often the one was told that the other came */
	int *must;           /* by client: how many users began to come while it was connected */
	int *told_users;     /* by client */
	long online, offline, twice;
	uint64_t last_ns; /* event */
};

/* User g<n> is that of client n - 1. */
static int
user_of(const struct presence *p, const char *text, size_t len)
{
	const char *id = packet_value(text, len, "userId");
	int user = id == NULL ? -1 : atoi(id + 1) - 1;

	if (user < 0 || user >= swarm_count(p->swarm))
		errx(1, "a status of a stranger: %.*s", (int) len, text);
	return user;
}

static void
on_packet(void *arg, struct swarm_client *c, const char *text, size_t len)
{
	struct presence *p = arg;
	size_t n = (size_t) swarm_count(p->swarm);
	int user;

	if (!packet_is_event(text, len, "chat-user-status-update"))
		return;
	p->last_ns = measure_now_ns();
	if (!packet_is_true(text, len, "isOnline"))
	{
		p->offline++;
		return;
	}
	p->online++;
	user = user_of(p, text, len);
	if (p->told[(size_t) c->index * n + (size_t) user]++ > 0)
		p->twice++;
	else if (user != c->index)
		p->told_users[c->index]++;
}

/* Who was back within the grace has not been away for the others. */
static bool
was_away(const struct presence *p, int who)
{
	return strcmp(p->scenario->mode, "outage") != 0 ||
		   p->scenario->seconds / swarm_count(p->swarm) * who > GRACE_S + SLACK_S;
}

static void
come(struct presence *p, int who)
{
	for (int i = 0; i < swarm_count(p->swarm); i++)
		p->must[i] += i != who && was_away(p, who) && swarm_client(p->swarm, i)->state == SWARM_CONNECTED;
	swarm_dial(p->swarm, swarm_client(p->swarm, who));
}

static void
forget_told(struct presence *p)
{
	size_t n = (size_t) swarm_count(p->swarm);

	memset(p->told, 0, n * n);
	memset(p->must, 0, n * sizeof(*p->must));
	memset(p->told_users, 0, n * sizeof(*p->told_users));
	p->online = p->offline = p->twice = 0;
}

static uint64_t
moment(const struct presence *p, uint64_t began_ns, int who)
{
	return began_ns + (uint64_t) (p->scenario->seconds * 1e9 / swarm_count(p->swarm) * who);
}

static void
until(struct presence *p, uint64_t when_ns)
{
	do
		swarm_turn(p->swarm, when_ns);
	while (measure_now_ns() < when_ns);
}

static void
come_evenly(struct presence *p)
{
	uint64_t began_ns = measure_now_ns();

	for (int i = 0; i < swarm_count(p->swarm); i++)
	{
		until(p, moment(p, began_ns, i));
		come(p, i);
	}
}

static void
drop_all(struct presence *p)
{
	for (int i = 0; i < swarm_count(p->swarm); i++)
		swarm_drop(p->swarm, swarm_client(p->swarm, i));
}

/* Two hands go round: one drops, the other, behind by a blink, brings back. */
static void
blink_evenly(struct presence *p)
{
	uint64_t began_ns = measure_now_ns();
	uint64_t blink_ns = (uint64_t) (BLINK_S * 1e9);
	int n = swarm_count(p->swarm);
	int dropped = 0, back = 0;

	while (back < n)
	{
		uint64_t now_ns = measure_now_ns();

		for (; dropped < n && moment(p, began_ns, dropped) <= now_ns; dropped++)
			swarm_drop(p->swarm, swarm_client(p->swarm, dropped));
		for (; back < dropped && moment(p, began_ns, back) + blink_ns <= now_ns; back++)
			swarm_dial(p->swarm, swarm_client(p->swarm, back));
		swarm_turn(p->swarm, now_ns + 1000000);
	}
}

static void
until_quiet(struct presence *p)
{
	uint64_t end_ns = measure_now_ns() + QUIET_WITHIN_S * 1000000000ull;

	p->last_ns = measure_now_ns();
	while (swarm_connected(p->swarm) < swarm_count(p->swarm) ||
		   measure_now_ns() < p->last_ns + (uint64_t) (QUIET_S * 1e9))
	{
		if (measure_now_ns() > end_ns)
			errx(1, "%d of %d are connected, and it is not quiet yet", swarm_connected(p->swarm),
				 swarm_count(p->swarm));
		swarm_turn(p->swarm, measure_now_ns() + 10000000);
	}
}

static int
count_missed(const struct presence *p)
{
	int missed = 0;

	for (int i = 0; i < swarm_count(p->swarm); i++)
		missed += p->told_users[i] < p->must[i] ? p->must[i] - p->told_users[i] : 0;
	return missed;
}

void
presence_run(const struct scenario *sc)
{
	size_t n = (size_t) sc->count;
	struct presence p = {sc, NULL, calloc(n, n), calloc(n, sizeof(int)), calloc(n, sizeof(int)), 0, 0, 0, 0};
	struct swarm_options o = scenario_clients(sc, on_packet, &p);
	bool login = strcmp(sc->mode, "login") == 0;
	struct measure_reading before, after;
	uint64_t began_ns;

	p.swarm = swarm_new(&o);
	if (!login)
	{
		swarm_gather(p.swarm, sc->count);
		until_quiet(&p);
		forget_told(&p);
	}
	measure_read(&sc->measured, &before);
	began_ns = measure_now_ns();
	if (strcmp(sc->mode, "blink") == 0)
		blink_evenly(&p);
	else
	{
		if (!login)
			drop_all(&p);
		come_evenly(&p);
	}
	until_quiet(&p);
	measure_read(&sc->measured, &after);
	printf("seconds=%.2f\nonline=%ld\noffline=%ld\ntwice=%ld\nmissed=%d\n", (double) (p.last_ns - began_ns) / 1e9,
		   p.online, p.offline, p.twice, count_missed(&p));
	measure_print("cost", &before, &after);
}
