/* meetings.c: clients join meetings at a steady rate, then some of them signal; see scenarios.h
 *
 * A signaller, each in a meeting of its own, makes a producer and closes it, again and again: each of both goes
 * through the database to the media worker and back, and is told to the others of the meeting. */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "packet.h"
#include "scenarios.h"
#include "swarm.h"

#define SIGNALLERS 16
#define ANSWER_SECONDS 10

struct signaller
{
	char transport[40];
	uint64_t asked_ns;
};

struct meetings
{
	const struct scenario *scenario;
	struct swarm *swarm;
	uint64_t *asked_ns; /* to join, by client */
	double *joined_ms;  /* in the order of joining */
	double *trip_ms;
	size_t njoined, ntrips, trips_space;
	int open;
	bool stopping;
	int ntransports;
	struct signaller signallers[SIGNALLERS];
};

static long long
meeting_of(const struct meetings *m, const struct swarm_client *c)
{
	return m->scenario->room + c->index % m->scenario->rooms;
}

static double
since_ms(uint64_t then_ns)
{
	return (double) (measure_now_ns() - then_ns) / 1e6;
}

static void
ask_transport(struct meetings *m, struct swarm_client *c)
{
	swarm_emit(m->swarm, c, "421[\"create-transport\",{\"meetingId\":\"%lld\",\"direction\":\"send\"}]",
			   meeting_of(m, c));
}

static void
produce(struct meetings *m, struct swarm_client *c)
{
	struct signaller *sg = &m->signallers[c->index];

	if (m->stopping)
		return;
	m->open++;
	sg->asked_ns = measure_now_ns();
	swarm_emit(m->swarm, c,
			   "422[\"produce\",{\"meetingId\":\"%lld\",\"transportId\":\"%s\",\"kind\":\"audio\",\"rtpParameters\":{"
			   "\"mid\":\"0\",\"codecs\":[{\"mimeType\":\"audio/opus\",\"payloadType\":111,\"clockRate\":48000,"
			   "\"channels\":2,\"parameters\":{},\"rtcpFeedback\":[]}],\"headerExtensions\":[],"
			   "\"encodings\":[{\"ssrc\":%d}],\"rtcp\":{\"cname\":\"swarm\"}}}]",
			   meeting_of(m, c), sg->transport, 1000 + c->index);
}

static void
close_producer(struct meetings *m, struct swarm_client *c, const char *text, size_t len)
{
	char producer[40];

	m->open++;
	m->signallers[c->index].asked_ns = measure_now_ns();
	packet_copy(producer, sizeof(producer), text, len, "producerId");
	swarm_emit(m->swarm, c, "423[\"close-producer\",{\"producerId\":\"%s\"}]", producer);
}

static void
take_trip(struct meetings *m, struct swarm_client *c)
{
	if (m->ntrips == m->trips_space)
	{
		m->trips_space = m->trips_space == 0 ? 1024 : m->trips_space * 2;
		m->trip_ms = realloc(m->trip_ms, m->trips_space * sizeof(*m->trip_ms));
		if (m->trip_ms == NULL)
			err(1, "realloc");
	}
	m->trip_ms[m->ntrips++] = since_ms(m->signallers[c->index].asked_ns);
	m->open--;
}

static void
take_answer(struct meetings *m, struct swarm_client *c, const char *text, size_t len)
{
	packet_check_success(text, len);
	switch (text[2])
	{
		case '1':
			packet_copy(m->signallers[c->index].transport, sizeof(m->signallers[0].transport), text, len,
						"transportId");
			m->ntransports++;
			break;
		case '2':
			take_trip(m, c);
			close_producer(m, c, text, len);
			break;
		case '3':
			take_trip(m, c);
			produce(m, c);
			break;
	}
}

static void
on_packet(void *arg, struct swarm_client *c, const char *text, size_t len)
{
	struct meetings *m = arg;

	if (packet_is_event(text, len, "meeting-joined"))
		m->joined_ms[m->njoined++] = since_ms(m->asked_ns[c->index]);
	if (text[1] == '3')
		take_answer(m, c, text, len);
}

/* An open loop: a slow answer does not put off the next request. */
static void
join_all(struct meetings *m)
{
	uint64_t began_ns = measure_now_ns();
	uint64_t end_ns;

	for (int i = 0; i < swarm_count(m->swarm); i++)
	{
		struct swarm_client *c = swarm_client(m->swarm, i);
		uint64_t due_ns = began_ns + (uint64_t) (1e9 / m->scenario->rate * i);

		while (measure_now_ns() < due_ns)
			swarm_turn(m->swarm, due_ns);
		m->asked_ns[i] = due_ns;
		swarm_emit(m->swarm, c, "420[\"join-meeting\",{\"meetingId\":\"%lld\"}]", meeting_of(m, c));
	}
	end_ns = measure_now_ns() + ANSWER_SECONDS * 1000000000ull;
	while (m->njoined < (size_t) swarm_count(m->swarm))
	{
		if (measure_now_ns() > end_ns)
			errx(1, "%zu of %d have joined", m->njoined, swarm_count(m->swarm));
		swarm_turn(m->swarm, end_ns);
	}
}

static void
make_transports(struct meetings *m)
{
	uint64_t end_ns = measure_now_ns() + ANSWER_SECONDS * 1000000000ull;

	for (int i = 0; i < SIGNALLERS; i++)
		ask_transport(m, swarm_client(m->swarm, i));
	while (m->ntransports < SIGNALLERS)
	{
		if (measure_now_ns() > end_ns)
			errx(1, "%d of %d transports are made", m->ntransports, SIGNALLERS);
		swarm_turn(m->swarm, end_ns);
	}
}

static void
signal_for(struct meetings *m, double seconds)
{
	uint64_t end_ns = measure_now_ns() + (uint64_t) (seconds * 1e9);

	for (int i = 0; i < SIGNALLERS; i++)
		produce(m, swarm_client(m->swarm, i));
	while (m->open > 0)
	{
		swarm_turn(m->swarm, end_ns);
		m->stopping = measure_now_ns() >= end_ns;
		if (measure_now_ns() > end_ns + ANSWER_SECONDS * 1000000000ull)
			errx(1, "%d requests are not answered", m->open);
	}
}

void
meetings_run(const struct scenario *sc)
{
	size_t n = (size_t) sc->count;
	struct meetings m = {.scenario = sc};
	struct swarm_options o = scenario_clients(sc, on_packet, &m);
	struct measure_reading start, joined, made, end;
	uint64_t began_ns;

	if (sc->count < SIGNALLERS)
		errx(2, "fewer than %d clients", SIGNALLERS);
	m.asked_ns = calloc(n, sizeof(*m.asked_ns));
	m.joined_ms = calloc(n, sizeof(*m.joined_ms));
	m.swarm = swarm_new(&o);
	swarm_gather(m.swarm, sc->count);
	measure_read(&sc->measured, &start);
	join_all(&m);
	measure_read(&sc->measured, &joined);
	printf("joined=%zu\njoin_p50_ms=%.2f\n", m.njoined, measure_quantile(m.joined_ms, n, 0.5));
	printf("join_p99_ms=%.2f\n", measure_quantile(m.joined_ms, n, 0.99));
	measure_print("join", &start, &joined);
	make_transports(&m);
	measure_read(&sc->measured, &made);
	began_ns = measure_now_ns();
	signal_for(&m, sc->seconds);
	printf("trips=%zu\nseconds=%.3f\n", m.ntrips, since_ms(began_ns) / 1e3);
	measure_read(&sc->measured, &end);
	printf("trip_p50_ms=%.2f\n", measure_quantile(m.trip_ms, m.ntrips, 0.5));
	printf("trip_p99_ms=%.2f\n", measure_quantile(m.trip_ms, m.ntrips, 0.99));
	measure_print("signal", &made, &end);
}
