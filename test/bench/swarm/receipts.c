/* receipts.c: members of one room mark its messages as seen, each one batch after the other; see scenarios.h */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "packet.h"
#include "scenarios.h"
#include "swarm.h"

#define BATCH 20
#define MESSAGES 100000
#define BATCHES (MESSAGES / BATCH)
#define ANSWER_SECONDS 10

struct receipts
{
	const struct scenario *scenario;
	struct swarm *swarm;
	int *done; /* batches, by client */
	int joined, open;
	long acknowledged;
	bool stopping;
};

/* Forward as somebody reads who has been away; or every second batch only, in leaps, so that no batch adjoins
 * another one of the same member: the worst that a store of ranges can be given.  -1: all is read. */
static int
batch_at(const struct receipts *r, int step)
{
	if (strcmp(r->scenario->mode, "forward") == 0)
		return step < BATCHES ? step : -1;
	return step < BATCHES / 2 ? (int) ((long) step * 977 % (BATCHES / 2)) * 2 : -1;
}

static void
mark_next(struct receipts *r, struct swarm_client *c)
{
	char ids[BATCH * 40] = "";
	size_t len = 0;
	int batch = batch_at(r, r->done[c->index]);
	int first = batch * BATCH + 1;

	if (batch < 0 || r->stopping)
		return;
	for (int i = 0; i < BATCH; i++)
		len += (size_t) snprintf(ids + len, sizeof(ids) - len, "%s\"%lld-%d\"", i == 0 ? "" : ",", r->scenario->room,
								 first + i);
	swarm_emit(r->swarm, c, "421[\"mark-msgs-seen\",{\"roomId\":\"%lld\",\"messageIds\":[%s]}]", r->scenario->room,
			   ids);
	r->open++;
}

static void
on_packet(void *arg, struct swarm_client *c, const char *text, size_t len)
{
	struct receipts *r = arg;

	if (text[1] != '3')
		return;
	packet_check_success(text, len);
	if (text[2] == '0')
		r->joined++;
	else
	{
		r->done[c->index]++;
		r->acknowledged++;
		r->open--;
		mark_next(r, c);
	}
}

static void
on_connected(void *arg, struct swarm_client *c)
{
	struct receipts *r = arg;

	swarm_emit(r->swarm, c, "420[\"join-chat-rooms\",{\"roomIds\":[\"%lld\"]}]", r->scenario->room);
}

void
receipts_run(const struct scenario *sc)
{
	struct receipts r = {.scenario = sc, .done = calloc((size_t) sc->count, sizeof(int))};
	struct swarm_options o = scenario_clients(sc, on_packet, &r);
	struct measure_reading before, after;
	uint64_t began_ns, end_ns;

	o.on_connected = on_connected;
	r.swarm = swarm_new(&o);
	swarm_gather(r.swarm, sc->count);
	while (r.joined < sc->count)
		swarm_run(r.swarm, 0.01);
	measure_read(&sc->measured, &before);
	began_ns = measure_now_ns();
	end_ns = began_ns + (uint64_t) (sc->seconds * 1e9);
	for (int i = 0; i < sc->count; i++)
		mark_next(&r, swarm_client(r.swarm, i));
	while (r.open > 0)
	{
		swarm_turn(r.swarm, end_ns + ANSWER_SECONDS * 1000000000ull);
		r.stopping = measure_now_ns() >= end_ns;
		if (measure_now_ns() > end_ns + ANSWER_SECONDS * 1000000000ull)
			errx(1, "%d requests are not answered", r.open);
	}
	printf("receipts=%ld\nseconds=%.3f\n", r.acknowledged * BATCH, (double) (measure_now_ns() - began_ns) / 1e9);
	measure_read(&sc->measured, &after);
	measure_print("cost", &before, &after);
}
