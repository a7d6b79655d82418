/* watchers.c: clients join meetings and begin to watch what somebody sends there; see scenarios.h
 *
 * A join is what a browser asks for until the first packet could come: join-meeting, create-transport,
 * connect-transport, consume, resume-consumer, each after the answer to the one before.  A bounded number of clients
 * are at it; the next one begins when one is done. */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "packet.h"
#include "scenarios.h"
#include "signal.h"
#include "swarm.h"

#define ANSWER_SECONDS 20
#define FINGERPRINT "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F"

struct watchers
{
	const struct scenario *scenario;
	struct swarm *swarm;
	int at_once; /* clients that join at one time */
	int next;    /* client that has not begun */
	int done;
	int sending;                      /* producers that are made */
	char (*producer)[SIGNAL_ID_MAX];  /* by meeting */
	char (*transport)[SIGNAL_ID_MAX]; /* by client */
	uint64_t *began_ns;
	double *joined_ms; /* in the order of being done */
};

static bool
is_sender(const struct watchers *w, const struct swarm_client *c)
{
	return c->index < w->scenario->rooms;
}

static int
meeting_index(const struct watchers *w, const struct swarm_client *c)
{
	return c->index % w->scenario->rooms;
}

static long long
meeting_of(const struct watchers *w, const struct swarm_client *c)
{
	return w->scenario->room + meeting_index(w, c);
}

static void
begin_next(struct watchers *w)
{
	if (w->next < w->scenario->count)
	{
		struct swarm_client *c = swarm_client(w->swarm, w->next++);

		w->began_ns[c->index] = measure_now_ns();
		signal_join(w->swarm, c, meeting_of(w, c));
	}
}

static void
take_done(struct watchers *w, struct swarm_client *c)
{
	w->joined_ms[w->done++] = (double) (measure_now_ns() - w->began_ns[c->index]) / 1e6;
	begin_next(w);
}

static void
take_answer(struct watchers *w, struct swarm_client *c, char request, const char *text, size_t len)
{
	char consumer[SIGNAL_ID_MAX];

	switch (request)
	{
		case SIGNAL_JOIN:
			signal_transport(w->swarm, c, meeting_of(w, c), is_sender(w, c));
			break;
		case SIGNAL_TRANSPORT:
			packet_copy(w->transport[c->index], SIGNAL_ID_MAX, text, len, "transportId");
			signal_connect(w->swarm, c, w->transport[c->index], FINGERPRINT);
			break;
		case SIGNAL_CONNECT:
			if (is_sender(w, c))
				signal_produce(w->swarm, c, meeting_of(w, c), w->transport[c->index], 1000 + 2 * (uint32_t) c->index);
			else
				signal_consume(w->swarm, c, meeting_of(w, c), w->transport[c->index],
							   w->producer[meeting_index(w, c)]);
			break;
		case SIGNAL_PRODUCE:
			packet_copy(w->producer[meeting_index(w, c)], SIGNAL_ID_MAX, text, len, "producerId");
			w->sending++;
			break;
		case SIGNAL_CONSUME:
			packet_copy(consumer, sizeof(consumer), text, len, "consumerId");
			signal_resume(w->swarm, c, consumer);
			break;
		case SIGNAL_RESUME:
			take_done(w, c);
			break;
	}
}

static void
on_packet(void *arg, struct swarm_client *c, const char *text, size_t len)
{
	if (text[1] != '3')
		return;
	packet_check_success(text, len);
	take_answer(arg, c, text[2], text, len);
}

static void
wait_until(struct watchers *w, const int *count, int wanted, const char *what)
{
	int last = *count;
	uint64_t end_ns = measure_now_ns() + ANSWER_SECONDS * 1000000000ull;

	while (*count < wanted)
	{
		swarm_turn(w->swarm, end_ns);
		if (*count != last)
			end_ns = measure_now_ns() + ANSWER_SECONDS * 1000000000ull;
		else if (measure_now_ns() > end_ns)
			errx(1, "%d of %d %s", *count, wanted, what);
		last = *count;
	}
}

static void
start_sending(struct watchers *w)
{
	while (w->next < w->scenario->rooms)
		begin_next(w);
	wait_until(w, &w->sending, w->scenario->rooms, "send");
}

static void
watch_all(struct watchers *w)
{
	for (int i = 0; i < w->at_once; i++)
		begin_next(w);
	wait_until(w, &w->done, w->scenario->count - w->scenario->rooms, "watch");
}

void
watchers_run(const struct scenario *sc)
{
	size_t n = (size_t) sc->count;
	struct watchers w = {.scenario = sc, .at_once = (int) sc->rate};
	struct swarm_options o = scenario_clients(sc, on_packet, &w);
	struct measure_reading start, end;
	uint64_t began_ns;

	if (sc->count <= sc->rooms)
		errx(2, "no more clients than meetings");
	w.producer = calloc((size_t) sc->rooms, sizeof(*w.producer));
	w.transport = calloc(n, sizeof(*w.transport));
	w.began_ns = calloc(n, sizeof(*w.began_ns));
	w.joined_ms = calloc(n, sizeof(*w.joined_ms));
	w.swarm = swarm_new(&o);
	swarm_gather(w.swarm, sc->count);
	start_sending(&w);
	measure_read(&sc->measured, &start);
	began_ns = measure_now_ns();
	watch_all(&w);
	printf("joined=%d\nseconds=%.3f\n", w.done, (double) (measure_now_ns() - began_ns) / 1e9);
	measure_read(&sc->measured, &end);
	printf("join_p50_ms=%.2f\n", measure_quantile(w.joined_ms, (size_t) w.done, 0.5));
	printf("join_p99_ms=%.2f\n", measure_quantile(w.joined_ms, (size_t) w.done, 0.99));
	measure_print("join", &start, &end);
}
