/* reconnect.c: all clients lose the network at once and regain it at once, while messages go on; see scenarios.h
 *
 * Half of the connections are reset; the others stay, so that the gateway still believes in them.  In mode "log" the
 * gateway is killed meanwhile, so that it has nothing left in memory and all must come from the database.
 *
 * A client has caught up when it has each message that was committed when the network came back.  Judged is that in
 * the end each has each message of its room exactly once, in order. */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "packet.h"
#include "publish.h"
#include "scenarios.h"
#include "swarm.h"

#define BEFORE_S 2.0
#define AFTER_S 2.0
#define DEADLINE_S 60.0

struct reconnect
{
	const struct scenario *scenario;
	struct swarm *swarm;
	struct publish *publish;
	long long *seq;      /* by client: the last message it has */
	long long *needed;   /* by room: the last one when the network came back */
	double *caught_up_s; /* by client; 0: not yet */
	int joined, ncaught_up, fresh;
	uint64_t back_ns; /* the network; 0: not gone yet */
	long gaps, doubles;
};

static int
room_of(const struct reconnect *r, const struct swarm_client *c)
{
	return c->index % r->scenario->rooms;
}

static void
check_caught_up(struct reconnect *r, const struct swarm_client *c)
{
	if (r->back_ns == 0 || r->caught_up_s[c->index] != 0 || c->state != SWARM_CONNECTED ||
		r->seq[c->index] < r->needed[room_of(r, c)])
		return;
	r->caught_up_s[c->index] = (double) (measure_now_ns() - r->back_ns) / 1e9;
	r->ncaught_up++;
}

static void
take_message(struct reconnect *r, struct swarm_client *c, long long seq)
{
	long long *last = &r->seq[c->index];

	if (seq <= *last)
		r->doubles++;
	else if (seq > *last + 1)
		r->gaps += (long) (seq - *last - 1);
	if (seq > *last)
		*last = seq;
	check_caught_up(r, c);
}

static void
on_packet(void *arg, struct swarm_client *c, const char *text, size_t len)
{
	struct reconnect *r = arg;

	if (packet_is_event(text, len, "new-chat-message"))
		take_message(r, c, packet_number(text, len, "seq"));
	else if (text[1] == '3')
	{
		packet_check_success(text, len);
		r->joined++;
	}
}

static void
on_connected(void *arg, struct swarm_client *c)
{
	struct reconnect *r = arg;

	if (r->back_ns == 0)
		swarm_emit(r->swarm, c, "420[\"join-chat-rooms\",{\"roomIds\":[\"%lld\"]}]",
				   r->scenario->room + room_of(r, c));
	else if (!c->recovered)
		r->fresh++;
	check_caught_up(r, c);
}

static uint64_t
after_ns(double seconds)
{
	return measure_now_ns() + (uint64_t) (seconds * 1e9);
}

static void
turn(struct reconnect *r, uint64_t until_ns)
{
	uint64_t due_ns = publish_go_on(r->publish);

	swarm_turn(r->swarm, due_ns < until_ns ? due_ns : until_ns);
}

static void
go_on(struct reconnect *r, double seconds)
{
	uint64_t end_ns = after_ns(seconds);

	while (measure_now_ns() < end_ns)
		turn(r, end_ns);
}

static void
lose_network(struct reconnect *r)
{
	for (int i = 0; i < swarm_count(r->swarm); i++)
	{
		struct swarm_client *c = swarm_client(r->swarm, i);

		if (i % 2 == 0)
			swarm_drop(r->swarm, c);
		else
			swarm_abandon(r->swarm, c);
	}
}

static void
kill_gateway(struct reconnect *r)
{
	pid_t old = measure_gateway(&r->scenario->measured);
	uint64_t end_ns = after_ns(DEADLINE_S);

	if (old == 0 || kill(old, SIGKILL) < 0)
		err(1, "cannot kill the gateway");
	while (!measure_is_ready(&r->scenario->measured))
	{
		if (measure_now_ns() > end_ns)
			errx(1, "the gateway did not come back");
		go_on(r, 0.1);
	}
}

static void
regain_network(struct reconnect *r)
{
	for (int i = 0; i < r->scenario->rooms; i++)
		r->needed[i] = publish_last(r->publish, i);
	r->back_ns = measure_now_ns();
	for (int i = 0; i < swarm_count(r->swarm); i++)
		swarm_dial(r->swarm, swarm_client(r->swarm, i));
}

static void
until_caught_up(struct reconnect *r)
{
	uint64_t end_ns = after_ns(DEADLINE_S);

	while (r->ncaught_up < swarm_count(r->swarm))
	{
		if (measure_now_ns() > end_ns)
			errx(1, "%d of %d have caught up, %d are connected, %d afresh", r->ncaught_up, swarm_count(r->swarm),
				 swarm_connected(r->swarm), r->fresh);
		turn(r, end_ns);
	}
}

static int
count_behind(const struct reconnect *r)
{
	int behind = 0;

	for (int i = 0; i < swarm_count(r->swarm); i++)
		behind += r->seq[i] < publish_last(r->publish, i % r->scenario->rooms);
	return behind;
}

static void
until_complete(struct reconnect *r)
{
	uint64_t end_ns = after_ns(DEADLINE_S);

	publish_stop(r->publish);
	while (count_behind(r) > 0)
	{
		if (measure_now_ns() > end_ns)
			errx(1, "%d clients lack messages", count_behind(r));
		swarm_turn(r->swarm, after_ns(0.05));
	}
	swarm_run(r->swarm, 0.5); /* for what should not come any more */
}

static void
begin(struct reconnect *r)
{
	swarm_gather(r->swarm, swarm_count(r->swarm));
	while (r->joined < swarm_count(r->swarm))
		swarm_run(r->swarm, 0.01);
	r->publish = publish_new(r->swarm, r->scenario->room, r->scenario->rooms, r->scenario->rate);
	for (int i = 0; i < swarm_count(r->swarm); i++)
		r->seq[i] = publish_last(r->publish, i % r->scenario->rooms);
	go_on(r, BEFORE_S);
}

void
reconnect_run(const struct scenario *sc)
{
	size_t n = (size_t) sc->count;
	struct reconnect r = {.scenario = sc};
	struct swarm_options o = scenario_clients(sc, on_packet, &r);
	struct measure_reading before, after;

	r.seq = calloc(n, sizeof(*r.seq));
	r.needed = calloc((size_t) sc->rooms, sizeof(*r.needed));
	r.caught_up_s = calloc(n, sizeof(*r.caught_up_s));
	o.on_connected = on_connected;
	r.swarm = swarm_new(&o);
	begin(&r);
	lose_network(&r);
	if (strcmp(sc->mode, "log") == 0)
		kill_gateway(&r);
	go_on(&r, sc->seconds);
	measure_read(&sc->measured, &before);
	regain_network(&r);
	until_caught_up(&r);
	measure_read(&sc->measured, &after);
	go_on(&r, AFTER_S);
	until_complete(&r);
	printf("last_s=%.2f\n", measure_quantile(r.caught_up_s, n, 1));
	printf("median_s=%.2f\n", measure_quantile(r.caught_up_s, n, 0.5));
	printf("fresh=%d\ngaps=%ld\ndoubles=%ld\n", r.fresh, r.gaps, r.doubles);
	measure_print("cost", &before, &after);
	publish_free(r.publish);
}
