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
	int sending;           /* producers that are made */
	char (*producer)[40];  /* by meeting */
	char (*transport)[40]; /* by client */
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

static void
join(struct watchers *w, struct swarm_client *c)
{
	w->began_ns[c->index] = measure_now_ns();
	swarm_emit(w->swarm, c, "420[\"join-meeting\",{\"meetingId\":\"%lld\"}]",
			   w->scenario->room + meeting_index(w, c));
}

static void
make_transport(struct watchers *w, struct swarm_client *c)
{
	swarm_emit(w->swarm, c, "421[\"create-transport\",{\"meetingId\":\"%lld\",\"direction\":\"%s\"}]",
			   w->scenario->room + meeting_index(w, c), is_sender(w, c) ? "send" : "recv");
}

static void
connect_transport(struct watchers *w, struct swarm_client *c)
{
	swarm_emit(w->swarm, c,
			   "422[\"connect-transport\",{\"transportId\":\"%s\",\"dtlsParameters\":{\"role\":\"client\","
			   "\"fingerprints\":[{\"algorithm\":\"sha-256\",\"value\":\"" FINGERPRINT "\"}]}}]",
			   w->transport[c->index]);
}

static void
produce(struct watchers *w, struct swarm_client *c)
{
	swarm_emit(w->swarm, c,
			   "423[\"produce\",{\"meetingId\":\"%lld\",\"transportId\":\"%s\",\"kind\":\"video\",\"rtpParameters\":{"
			   "\"mid\":\"0\",\"codecs\":[{\"mimeType\":\"video/VP8\",\"payloadType\":96,\"clockRate\":90000,"
			   "\"parameters\":{},\"rtcpFeedback\":[]}],\"headerExtensions\":[],"
			   "\"encodings\":[{\"ssrc\":%d}],\"rtcp\":{\"cname\":\"swarm\"}}}]",
			   w->scenario->room + meeting_index(w, c), w->transport[c->index], 1000 + c->index);
}

static void
consume(struct watchers *w, struct swarm_client *c)
{
	swarm_emit(
		w->swarm, c,
		"424[\"consume\",{\"meetingId\":\"%lld\",\"transportId\":\"%s\",\"producerId\":\"%s\",\"rtpCapabilities\":{"
		"\"codecs\":[{\"mimeType\":\"video/VP8\",\"kind\":\"video\",\"preferredPayloadType\":96,\"clockRate\":90000,"
		"\"parameters\":{},\"rtcpFeedback\":[]}],\"headerExtensions\":[]}}]",
		w->scenario->room + meeting_index(w, c), w->transport[c->index], w->producer[meeting_index(w, c)]);
}

static void
resume(struct watchers *w, struct swarm_client *c, const char *text, size_t len)
{
	char consumer[40];

	packet_copy(consumer, sizeof(consumer), text, len, "consumerId");
	swarm_emit(w->swarm, c, "425[\"resume-consumer\",{\"consumerId\":\"%s\"}]", consumer);
}

static void
begin_next(struct watchers *w)
{
	if (w->next < w->scenario->count)
		join(w, swarm_client(w->swarm, w->next++));
}

static void
take_done(struct watchers *w, struct swarm_client *c)
{
	w->joined_ms[w->done++] = (double) (measure_now_ns() - w->began_ns[c->index]) / 1e6;
	begin_next(w);
}

/* The answer to the request of this number. */
static void
take_answer(struct watchers *w, struct swarm_client *c, char request, const char *text, size_t len)
{
	switch (request)
	{
		case '0':
			make_transport(w, c);
			break;
		case '1':
			packet_copy(w->transport[c->index], sizeof(w->transport[0]), text, len, "transportId");
			connect_transport(w, c);
			break;
		case '2':
			if (is_sender(w, c))
				produce(w, c);
			else
				consume(w, c);
			break;
		case '3':
			packet_copy(w->producer[meeting_index(w, c)], sizeof(w->producer[0]), text, len, "producerId");
			w->sending++;
			break;
		case '4':
			resume(w, c, text, len);
			break;
		case '5':
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
	struct swarm_options o = {sc->measured.port, sc->count, sc->tokens, on_packet, NULL, &w};
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
