/* forward.c: one sends video, all others receive it; see scenarios.h
 *
 * What is measured is the forwarder's CPU a packet that it sends, its memory a receiver, and how late packets are.  A
 * packet carries the time at which it was due, so that a sender that is held up hides nothing; the kernel says when
 * it arrived. */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "packet.h"
#include "peer.h"
#include "scenarios.h"
#include "signal.h"
#include "swarm.h"

#define ANSWER_SECONDS 20
#define WARM_SECONDS 2.0
#define TICK_NS 1000000ull
#define FRAMES_A_SECOND 30
#define PACKET_MAX 1400
#define SRTP_SPACE 32
#define SSRC 424242

struct forward
{
	const struct scenario *scenario;
	struct swarm *swarm;
	struct peers *peers;
	struct peer **peer;               /* by client; the first one sends */
	char (*transport)[SIGNAL_ID_MAX]; /* by client */
	char producer[SIGNAL_ID_MAX];
	uint64_t *began_ns;
	int next, joined; /* receivers that have begun, and that may receive */
	bool sending;
	uint16_t seq, twcc_seq, picture;
	int of_frame; /* the next packet's place in its frame */
	bool key_wanted, is_key;
	uint64_t due_ns; /* of the next packet */
	uint64_t late;   /* packets whose turn passed by more than a second */
	double *latency_us;
	size_t nlatencies, latencies_space;
};

/* ---- sending -------------------------------------------------------------------------------- */

/* A VP8 payload's first bytes: RFC 7741, section 4.2 (descriptor) and RFC 6386, section 9.1 (a key frame's header).
 */
static size_t
write_vp8(const struct forward *f, uint8_t *p)
{
	static const uint8_t key[] = {0x50, 0x20, 0x03, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01};

	p[0] = f->of_frame == 0 ? 0x90 : 0x80;
	p[1] = 0x80;
	p[2] = (uint8_t) (0x80 | f->picture >> 8);
	p[3] = (uint8_t) f->picture;
	p[4] = 0x51;
	if (f->of_frame == 0 && f->is_key)
		memcpy(p + 4, key, sizeof(key));
	return 4 + sizeof(key);
}

/* RFC 3550, section 5.1, with the transport-wide number in a header extension (RFC 8285). */
static size_t
write_header(struct forward *f, uint8_t *p, bool last, uint32_t ts)
{
	const uint8_t header[] = {0x90,
							  (uint8_t) (SIGNAL_PAYLOAD_TYPE | (last ? 0x80 : 0)),
							  (uint8_t) (f->seq >> 8),
							  (uint8_t) f->seq,
							  (uint8_t) (ts >> 24),
							  (uint8_t) (ts >> 16),
							  (uint8_t) (ts >> 8),
							  (uint8_t) ts,
							  0,
							  SSRC >> 16 & 0xff,
							  SSRC >> 8 & 0xff,
							  SSRC & 0xff,
							  0xbe,
							  0xde,
							  0,
							  1,
							  SIGNAL_TWCC_ID << 4 | 1,
							  (uint8_t) (f->twcc_seq >> 8),
							  (uint8_t) f->twcc_seq,
							  0};

	memcpy(p, header, sizeof(header));
	f->seq++;
	f->twcc_seq++;
	return sizeof(header);
}

static void
send_packet(struct forward *f, uint64_t late_ns)
{
	uint8_t data[PACKET_MAX + SRTP_SPACE] = {0};
	int a_frame = f->scenario->pps / FRAMES_A_SECOND > 0 ? f->scenario->pps / FRAMES_A_SECOND : 1;
	size_t size = (size_t) f->scenario->size, at;
	uint64_t due_wall_ns = peer_wall_ns() - late_ns;

	if (f->of_frame == 0)
	{
		f->picture = (f->picture + 1) & 0x7fff;
		f->is_key = f->key_wanted;
		f->key_wanted = false;
	}
	at = write_header(f, data, f->of_frame == a_frame - 1, (uint32_t) (f->picture * (90000 / FRAMES_A_SECOND)));
	at += write_vp8(f, data + at);
	if (at + PEER_STAMP > size || size > PACKET_MAX)
		errx(2, "packets of %d bytes", f->scenario->size);
	memcpy(data + size - PEER_STAMP, &due_wall_ns, PEER_STAMP);
	peer_send_rtp(f->peer[0], data, size);
	f->of_frame = (f->of_frame + 1) % a_frame;
}

static void
send_due(struct forward *f, uint64_t now_ns)
{
	uint64_t interval_ns = 1000000000ull / (uint64_t) f->scenario->pps;

	if (f->due_ns == 0)
		f->due_ns = now_ns;
	for (; f->due_ns <= now_ns; f->due_ns += interval_ns)
	{
		f->late += now_ns - f->due_ns > 1000000000ull;
		send_packet(f, now_ns - f->due_ns);
	}
}

/* ---- joining -------------------------------------------------------------------------------- */

static void
begin_next(struct forward *f)
{
	if (f->next < f->scenario->count)
	{
		f->began_ns[f->next] = measure_now_ns();
		signal_join(f->swarm, swarm_client(f->swarm, f->next++), f->scenario->room);
	}
}

/* The identifier in the object that names the extension. */
static int
find_twcc_id(const char *text, size_t len)
{
	const char *uri = memmem(text, len, "transport-wide-cc", 17);
	const char *begin = uri == NULL ? NULL : memrchr(text, '{', (size_t) (uri - text));
	const char *end = uri == NULL ? NULL : memchr(uri, '}', (size_t) (text + len - uri));

	return begin == NULL || end == NULL ? 0 : (int) packet_number(begin, (size_t) (end - begin), "id");
}

static void
take_transport(struct forward *f, struct swarm_client *c, const char *text, size_t len)
{
	packet_copy(f->transport[c->index], SIGNAL_ID_MAX, text, len, "transportId");
	f->peer[c->index] = peer_new(f->peers, text, len);
	signal_connect(f->swarm, c, f->transport[c->index], peers_fingerprint(f->peers));
}

static void
take_consumer(struct forward *f, struct swarm_client *c, const char *text, size_t len)
{
	char consumer[SIGNAL_ID_MAX];

	peer_set_twcc_id(f->peer[c->index], find_twcc_id(text, len));
	packet_copy(consumer, sizeof(consumer), text, len, "consumerId");
	signal_resume(f->swarm, c, consumer);
}

static void
on_packet(void *arg, struct swarm_client *c, const char *text, size_t len)
{
	struct forward *f = arg;
	bool sends = c->index == 0;

	if (text[1] != '3')
		return;
	packet_check_success(text, len);
	switch (text[2])
	{
		case SIGNAL_JOIN:
			signal_transport(f->swarm, c, f->scenario->room, sends);
			break;
		case SIGNAL_TRANSPORT:
			take_transport(f, c, text, len);
			break;
		case SIGNAL_CONNECT:
			if (sends)
				signal_produce(f->swarm, c, f->scenario->room, f->transport[0], SSRC);
			else
				signal_consume(f->swarm, c, f->scenario->room, f->transport[c->index], f->producer);
			break;
		case SIGNAL_PRODUCE:
			packet_copy(f->producer, sizeof(f->producer), text, len, "producerId");
			break;
		case SIGNAL_CONSUME:
			take_consumer(f, c, text, len);
			break;
		case SIGNAL_RESUME:
			f->joined++;
			begin_next(f);
			break;
	}
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void
turn(struct forward *f)
{
	uint64_t now_ns = measure_now_ns();

	for (int i = 0; i < f->next; i++)
	{
		if (f->peer[i] != NULL)
			peer_go_on(f->peer[i], now_ns);
	}
	if (f->sending)
	{
		f->key_wanted |= peer_takes_key_request(f->peer[0]);
		send_due(f, now_ns);
	}
	swarm_turn(f->swarm, f->due_ns > now_ns && f->due_ns < now_ns + TICK_NS ? f->due_ns : now_ns + TICK_NS);
}

static void
run(struct forward *f, double seconds)
{
	uint64_t end_ns = measure_now_ns() + (uint64_t) (seconds * 1e9);

	while (measure_now_ns() < end_ns)
		turn(f);
}

static bool
all_are_up(const struct forward *f)
{
	for (int i = 1; i < f->scenario->count; i++)
	{
		if (f->peer[i] == NULL || !peer_is_up(f->peer[i]))
			return false;
	}
	return true;
}

static void
start_sending(struct forward *f)
{
	uint64_t end_ns = measure_now_ns() + ANSWER_SECONDS * 1000000000ull;

	begin_next(f);
	while (f->producer[0] == '\0' || !peer_is_up(f->peer[0]))
	{
		if (measure_now_ns() > end_ns)
			errx(1, "the sender is not connected");
		turn(f);
	}
	f->sending = f->key_wanted = true;
}

static void
join_all(struct forward *f)
{
	uint64_t end_ns = measure_now_ns() + ANSWER_SECONDS * 1000000000ull;

	for (int i = 0; i < (int) f->scenario->rate; i++)
		begin_next(f);
	while (f->joined < f->scenario->count - 1 || !all_are_up(f))
	{
		if (measure_now_ns() > end_ns)
			errx(1, "%d of %d receive", f->joined, f->scenario->count - 1);
		turn(f);
	}
}

/* ---- figures ---------------------------------------------------------------------------------- */

static void
on_latency(void *arg, double us)
{
	struct forward *f = arg;

	if (f->nlatencies == f->latencies_space)
	{
		f->latencies_space = f->latencies_space == 0 ? 65536 : f->latencies_space * 2;
		f->latency_us = realloc(f->latency_us, f->latencies_space * sizeof(*f->latency_us));
		if (f->latency_us == NULL)
			err(1, "realloc");
	}
	f->latency_us[f->nlatencies++] = us;
}

static void
print_up(const struct forward *f)
{
	size_t n = (size_t) f->scenario->count - 1;
	double *up_ms = calloc(n, sizeof(*up_ms));

	if (up_ms == NULL)
		err(1, "calloc");
	for (size_t i = 0; i < n; i++)
		up_ms[i] = (double) (peer_up_ns(f->peer[i + 1]) - f->began_ns[i + 1]) / 1e6;
	printf("up_ms=%.2f\n", measure_quantile(up_ms, n, 0.5));
	free(up_ms);
}

static void
print_counts(const struct forward *f, double cpu_s)
{
	struct peer_counts sum = {0}, one;

	for (int i = 1; i < f->scenario->count; i++)
	{
		peer_count(f->peer[i], &one);
		sum.packets += one.packets;
		sum.lost += one.lost;
		sum.verified += one.verified;
		sum.failed += one.failed;
	}
	printf("forwarded=%llu\nlost=%llu\n", (unsigned long long) sum.packets, (unsigned long long) sum.lost);
	printf("verified=%llu\nfailed=%llu\n", (unsigned long long) sum.verified, (unsigned long long) sum.failed);
	printf("us_a_packet=%.3f\n", sum.packets == 0 ? 0 : cpu_s * 1e6 / (double) sum.packets);
}

void
forward_run(const struct scenario *sc)
{
	size_t n = (size_t) sc->count;
	struct forward f = {.scenario = sc};
	struct swarm_options o = {.port = sc->measured.port,
							  .count = sc->count,
							  .tokens = sc->tokens,
							  .on_packet = on_packet,
							  .arg = &f,
							  .nap_us = 500};
	double memory, cpu_s;

	if (sc->count < 2)
		errx(2, "nobody would receive");
	f.peer = calloc(n, sizeof(*f.peer));
	f.transport = calloc(n, sizeof(*f.transport));
	f.began_ns = calloc(n, sizeof(*f.began_ns));
	f.swarm = swarm_new(&o);
	f.peers = peers_new(f.swarm);
	if (f.peer == NULL || f.transport == NULL || f.began_ns == NULL)
		err(1, "calloc");
	swarm_gather(f.swarm, sc->count);
	start_sending(&f);
	run(&f, 0.5);
	memory = measure_resident_bytes(sc->pid);
	join_all(&f);
	run(&f, WARM_SECONDS);
	for (int i = 1; i < sc->count; i++)
		peer_start_counting(f.peer[i], on_latency, &f);
	cpu_s = measure_cpu_s(sc->pid);
	run(&f, sc->seconds);
	cpu_s = measure_cpu_s(sc->pid) - cpu_s;
	print_counts(&f, cpu_s);
	print_up(&f);
	printf("p50_us=%.0f\n", measure_quantile(f.latency_us, f.nlatencies, 0.5));
	printf("p99_us=%.0f\n", measure_quantile(f.latency_us, f.nlatencies, 0.99));
	printf("bytes_a_receiver=%.0f\nlate=%llu\n", (measure_resident_bytes(sc->pid) - memory) / (sc->count - 1),
		   (unsigned long long) f.late);
	for (int i = 0; i < sc->count; i++)
		peer_free(f.peer[i]);
}
