/* fanout.c: messages to a room in which every client is; see scenarios.h
 *
 * A closed loop keeps a number of messages under way: one is done when every client has it.  An open loop sends at a
 * fixed rate, whatever has come of the messages before: a message's latency counts from when it was due, so that a
 * sender that is held up hides nothing. */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "packet.h"
#include "scenarios.h"
#include "sender.h"
#include "swarm.h"

#define SETTLE_SECONDS 1.0
#define WARM_SECONDS 1.0
#define ANSWER_SECONDS 20
#define JOINS_AT_ONCE 200
#define MAX_UNDER_WAY 65536
#define MARK "fan "
#define CONTENT_MAX 2048

struct message
{
	uint64_t due_ns;
	int got; /* clients that have it */
};

struct fanout
{
	const struct scenario *scenario;
	struct swarm *swarm;
	struct sender *sender;
	int nsubscribers, joined;
	struct message *messages; /* by number, in turn: those under way lie within MAX_UNDER_WAY */
	uint64_t sent, done;
	bool measuring;
	uint64_t deliveries;
	double *latency_us;
	size_t nlatencies, latencies_space;
};

static uint64_t
seconds_from_now(double seconds)
{
	return measure_now_ns() + (uint64_t) (seconds * 1e9);
}

static void
take_latency(struct fanout *f, uint64_t due_ns)
{
	if (f->nlatencies == f->latencies_space)
	{
		f->latencies_space = f->latencies_space == 0 ? 65536 : f->latencies_space * 2;
		f->latency_us = realloc(f->latency_us, f->latencies_space * sizeof(*f->latency_us));
		if (f->latency_us == NULL)
			err(1, "realloc");
	}
	f->latency_us[f->nlatencies++] = (double) (measure_now_ns() - due_ns) / 1e3;
}

static void
take_message(struct fanout *f, const char *text, size_t len)
{
	const char *mark = memmem(text, len, MARK, sizeof(MARK) - 1);
	uint64_t number = mark == NULL ? UINT64_MAX : strtoull(mark + sizeof(MARK) - 1, NULL, 10);
	struct message *m = &f->messages[number % MAX_UNDER_WAY];

	if (number >= f->sent || ++m->got > f->nsubscribers)
		errx(1, "a message that was not sent, or twice: %.*s", (int) len, text);
	f->done += m->got == f->nsubscribers;
	if (f->measuring)
	{
		f->deliveries++;
		take_latency(f, m->due_ns);
	}
}

static void
on_packet(void *arg, struct swarm_client *c, const char *text, size_t len)
{
	struct fanout *f = arg;

	(void) c;
	if (text[1] == '3')
	{
		packet_check_success(text, len);
		f->joined++;
	}
	else if (packet_is_event(text, len, "new-chat-message"))
		take_message(f, text, len);
}

static void
send_one(struct fanout *f, uint64_t due_ns)
{
	char content[CONTENT_MAX];
	int size = f->scenario->size < CONTENT_MAX ? f->scenario->size : CONTENT_MAX - 1;
	int n = snprintf(content, sizeof(content), MARK "%llu ", (unsigned long long) f->sent);

	if (n < size)
		memset(content + n, 'x', (size_t) (size - n));
	content[n < size ? size : n] = '\0';
	if (sender_send(f->sender, content))
		f->messages[f->sent++ % MAX_UNDER_WAY] = (struct message){.due_ns = due_ns};
}

/* Until the time has come; window 0: the scenario's rate. */
static void
go_on(struct fanout *f, int window, uint64_t *due_ns, uint64_t end_ns)
{
	uint64_t interval_ns = (uint64_t) (1e9 / f->scenario->rate);
	uint64_t before;

	while (measure_now_ns() < end_ns)
	{
		do
		{
			before = f->sent;
			if (window > 0 && f->sent - f->done < (uint64_t) window)
				send_one(f, measure_now_ns());
			else if (window == 0 && measure_now_ns() >= *due_ns)
			{
				send_one(f, *due_ns);
				*due_ns += f->sent > before ? interval_ns : 0;
			}
		} while (f->sent > before);
		if (f->sent - f->done >= MAX_UNDER_WAY)
			errx(1, "%d messages are under way", MAX_UNDER_WAY);
		swarm_turn(f->swarm, window == 0 && *due_ns > measure_now_ns() && *due_ns < end_ns ? *due_ns : end_ns);
	}
}

static void
await_all(struct fanout *f, const int *count, int wanted, const char *what)
{
	uint64_t end_ns = seconds_from_now(ANSWER_SECONDS);

	while (*count < wanted)
	{
		if (measure_now_ns() > end_ns)
			errx(1, "%d of %d %s", *count, wanted, what);
		swarm_turn(f->swarm, end_ns);
	}
}

static void
finish(struct fanout *f)
{
	uint64_t end_ns = seconds_from_now(ANSWER_SECONDS);

	while (f->done < f->sent || sender_answered(f->sender) < f->sent)
	{
		if (measure_now_ns() > end_ns)
			errx(1, "%llu of %llu messages reached everybody", (unsigned long long) f->done,
				 (unsigned long long) f->sent);
		swarm_turn(f->swarm, end_ns);
	}
}

static double
cpu_of_gateways_s(const struct scenario *sc)
{
	return measure_cpu_s(sc->pid) + (sc->second_pid == 0 ? 0 : measure_cpu_s(sc->second_pid));
}

static void
measure_window(struct fanout *f, int window)
{
	const struct scenario *sc = f->scenario;
	uint64_t due_ns = measure_now_ns();
	uint64_t began_ns, answered;
	double cpu_s, seconds;

	go_on(f, window, &due_ns, seconds_from_now(WARM_SECONDS));
	f->deliveries = f->nlatencies = 0;
	f->measuring = true;
	began_ns = measure_now_ns();
	answered = sender_answered(f->sender);
	cpu_s = cpu_of_gateways_s(sc);
	go_on(f, window, &due_ns, seconds_from_now(f->scenario->seconds));
	cpu_s = cpu_of_gateways_s(sc) - cpu_s;
	answered = sender_answered(f->sender) - answered;
	seconds = (double) (measure_now_ns() - began_ns) / 1e9;
	f->measuring = false;
	finish(f);
	printf("w%d_deliveries_s=%.0f\nw%d_messages_s=%.1f\n", window, (double) f->deliveries / seconds, window,
		   (double) answered / seconds);
	printf("w%d_us_a_delivery=%.4f\n", window, f->deliveries == 0 ? 0 : cpu_s * 1e6 / (double) f->deliveries);
	printf("w%d_p50_us=%.1f\n", window, measure_quantile(f->latency_us, f->nlatencies, 0.5));
	printf("w%d_p99_us=%.1f\n", window, measure_quantile(f->latency_us, f->nlatencies, 0.99));
}

static void
join_all(struct fanout *f)
{
	for (int i = 0; i < f->nsubscribers; i++)
	{
		swarm_emit(f->swarm, swarm_client(f->swarm, i), "420[\"join-chat-rooms\",{\"roomIds\":[\"%lld\"]}]",
				   f->scenario->room);
		await_all(f, &f->joined, i + 1 - JOINS_AT_ONCE, "have joined");
	}
	await_all(f, &f->joined, f->nsubscribers, "have joined");
	swarm_run(f->swarm, SETTLE_SECONDS);
}

void
fanout_run(const struct scenario *sc)
{
	struct fanout f = {.scenario = sc, .nsubscribers = sc->count};
	struct swarm_options o = {.port = sc->measured.port,
							  .second_port = sc->second_port,
							  .count = sc->count + 1,
							  .tokens = sc->tokens,
							  .on_packet = on_packet,
							  .arg = &f,
							  .nap_us = sc->nap_us};
	struct sender_options so = {
		.how = sc->mode, .connections = sc->connections, .port = sc->measured.port, .room = sc->room};
	char *windows = strdup(sc->windows);

	f.messages = calloc(MAX_UNDER_WAY, sizeof(*f.messages));
	f.swarm = swarm_new(&o);
	if (f.messages == NULL || windows == NULL)
		err(1, "calloc");
	swarm_gather(f.swarm, sc->count + 1);
	so.client = swarm_client(f.swarm, sc->count);
	so.token = so.client->token;
	f.sender = sender_new(f.swarm, &so);
	join_all(&f);
	for (char *w = strtok(windows, ","); w != NULL; w = strtok(NULL, ","))
		measure_window(&f, atoi(w));
	sender_free(f.sender);
}

void
idle_run(const struct scenario *sc)
{
	struct fanout f = {.scenario = sc, .nsubscribers = sc->count};
	struct swarm_options o = scenario_clients(sc, on_packet, &f);
	double before = measure_resident_bytes(sc->pid);

	f.swarm = swarm_new(&o);
	swarm_gather(f.swarm, sc->count);
	join_all(&f);
	swarm_run(f.swarm, sc->seconds);
	printf("bytes_a_socket=%.0f\n", (measure_resident_bytes(sc->pid) - before) / sc->count);
}
