/* test_media_engine.c: the whole way of a packet through the engine, over sockets: ICE, DTLS, SRTP, forwarding,
 * layers, retransmission, and what strangers send.  The peers are made of the engine's own DTLS and SRTP, which have
 * tests against others. */
#include <arpa/inet.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "bgworker/common/clock.h"
#include "bgworker/media/control/stats.h"
#include "bgworker/media/forward/allot.h"
#include "bgworker/media/forward/budget.h"
#include "bgworker/media/forward/engine.h"
#include "bgworker/media/rtp/rtcp.h"
#include "stun_request.h"
#include "tap.h"

#define MAX_PEERS 4

struct got
{
	uint32_t ssrc, ts;
	uint16_t seq, picture_id;
	uint8_t pt, mark;  /* mark: the payload's last byte */
	uint16_t original; /* RTX */
	bool marker, has_dd;
	char capture[17];
	struct rt_dd dd;
};

struct peer
{
	char id[8], ufrag[32], pwd[64];
	int fd;
	struct rt_dtls *dtls;
	struct rt_srtp *srtp;
	struct rt_srtp_roc roc[4];
	struct rt_dd_structure structure; /* AV1: the one that came last */
	int answers, plis, n, reports;
	struct rt_rtcp_sr report; /* the last one */
	uint32_t watched;         /* whether a receiver report was on this SSRC */
	bool watched_told;
	uint16_t told_number; /* transport-wide, that we were told as received last */
	struct got got[512];
	uint8_t sent[1600]; /* the last packet, as it went out */
	size_t sent_len;
};

static struct rt_loop *loop;
static struct rt_engine *engine;
static struct rt_dtls_context *certificate;
static struct peer *peers[MAX_PEERS];
static char events[8192];
static int port;
static uint64_t engine_ns; /* processor time of the engine alone */
/* Others for each producer: SRTP remembers the numbers of an SSRC. */
static uint32_t ssrc_in = 1000; /* of the lower layer; the upper one is the next */
static uint32_t ssrc_out = 5000;

/* ---- the network ---- */

static void
on_event(void *arg, const char *json)
{
	(void) arg;
	strncat(events, json, sizeof(events) - strlen(events) - 1);
}

static int
open_socket(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *) &to, sizeof(to)) == 0 ? fd : -1;
}

static void
on_dtls_send(void *arg, const uint8_t *data, size_t len)
{
	struct peer *p = arg;

	(void) !send(p->fd, data, len, 0);
}

#define DD_IN 5
#define DD_OUT 7

static void
take_descriptor(struct peer *p, const struct rt_rtp *rtp, struct got *g)
{
	size_t len;
	const uint8_t *v = rt_rtp_ext(rtp, DD_OUT, &len);

	g->has_dd = v != NULL && rt_dd_read(&g->dd, &p->structure, v, len) == RT_OK;
}

#define CAPTURE_IN 5
#define CAPTURE_OUT 10

static void
take_capture_time(const struct rt_rtp *rtp, struct got *g)
{
	size_t len;
	const uint8_t *v = rt_rtp_ext(rtp, CAPTURE_OUT, &len);

	snprintf(g->capture, sizeof(g->capture), "%.*s", (int) len, v != NULL ? (const char *) v : "");
}

static void
take_rtp(struct peer *p, uint8_t *data, size_t len)
{
	struct rt_codec_info info;
	struct rt_rtp rtp;
	struct got *g = &p->got[p->n];
	size_t skip;

	if (rt_srtp_unprotect(p->srtp, data, &len) != RT_OK || rt_rtp_parse(data, len, &rtp) != RT_OK || p->n == 512)
		return;
	skip = rtp.ssrc == ssrc_out + 1 ? 2 : 0;
	*g = (struct got){
		.ssrc = rtp.ssrc, .ts = rtp.ts, .seq = rtp.seq, .pt = rtp.pt, .mark = data[len - 1], .marker = rtp.marker};
	take_descriptor(p, &rtp, g);
	take_capture_time(&rtp, g);
	if (skip)
		g->original = rt_bytes_get16(data + rtp.payload_off);
	rt_codec_read(RT_CODEC_VP8, data + rtp.payload_off + skip, rtp.payload_len - skip, &info);
	g->picture_id = info.picture_id;
	p->n++;
}

static void
on_told(void *arg, uint16_t seq, int n, bool received, int32_t delta_250us)
{
	struct peer *p = arg;

	(void) n, (void) delta_250us;
	if (received)
		p->told_number = seq;
}

static void
take_rtcp(struct peer *p, uint8_t *data, size_t len)
{
	struct rt_rtcp_report block;
	struct rt_rtcp packet;
	uint32_t reference;
	size_t off = 0;

	if (rt_srtp_unprotect_rtcp(p->srtp, data, &len) != RT_OK)
		return;
	while (rt_rtcp_next(data, len, &off, &packet) == RT_OK)
	{
		p->plis += packet.type == RT_RTCP_PSFB && packet.count == RT_PSFB_PLI;
		rt_rtcp_read_twcc(&packet, &reference, on_told, p);
		p->reports += rt_rtcp_read_sr(&packet, &p->report);
		for (int i = 0; rt_rtcp_read_report(&packet, i, &block); i++)
			p->watched_told |= block.ssrc == p->watched;
	}
}

static void
take(struct peer *p, uint8_t *data, size_t len)
{
	switch (rt_rtp_classify(data, len))
	{
		case RT_PACKET_STUN:
			p->answers += rt_bytes_get16(data) == 0x0101;
			return;
		case RT_PACKET_DTLS:
			rt_dtls_receive(p->dtls, data, len);
			return;
		case RT_PACKET_RTP:
			if (p->srtp != NULL)
				take_rtp(p, data, len);
			return;
		case RT_PACKET_RTCP:
			if (p->srtp != NULL)
				take_rtcp(p, data, len);
			return;
		case RT_PACKET_UNKNOWN:
			return;
	}
}

static void
turn(void)
{
	uint8_t data[2048];
	ssize_t n;

	uint64_t began_ns = rt_budget_clock_ns();

	uv_run(rt_loop_uv(loop), UV_RUN_NOWAIT);
	engine_ns += rt_budget_clock_ns() - began_ns;
	for (int i = 0; i < MAX_PEERS; i++)
		while (peers[i] != NULL && (n = recv(peers[i]->fd, data, sizeof(data), 0)) > 0)
			take(peers[i], data, (size_t) n);
}

/* Turns until the condition holds, at most a minute; UNTIL gives whether it does. */
#define UNTIL(condition) \
	({ \
		uint64_t end_us = rt_clock_us() + 60000000; \
		while (!(condition) && rt_clock_us() < end_us) \
		{ \
			turn(); \
			nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL); \
		} \
		(condition); \
	})

/* All that is on its way has come: so many turns, in 30 ms at the least. */
static void
settle(void)
{
	uint64_t end_us = rt_clock_us() + 30000;

	for (int turns = 0; turns < 100 || rt_clock_us() < end_us; turns++)
		turn();
}

static uint64_t
total(enum rt_hub_counter which)
{
	return rt_hub_total(rt_engine_hub(engine), which);
}

/* ---- peers ---- */

static struct rt_webrtc_transport *
transport_of(const struct peer *p)
{
	return rt_endpoint_transport(rt_engine_endpoint(engine, p->id));
}

static void
read_digest(uint8_t *digest, size_t *len, const char *fingerprint)
{
	*len = 0;
	for (const char *p = fingerprint; *p; p += p[2] ? 3 : 2)
		digest[(*len)++] = (uint8_t) strtoul(p, NULL, 16);
}

static void
check(struct peer *p, bool nominate)
{
	struct stun_request r;
	char username[64];

	snprintf(username, sizeof(username), "%.31s:them", p->ufrag);
	stun_check(&r, username);
	if (nominate)
		stun_add(&r, 0x0025, NULL, 0);
	stun_integrity(&r, p->pwd);
	stun_fingerprint(&r);
	(void) !send(p->fd, r.data, r.len, 0);
}

static struct peer *
new_peer(int place, bool sends)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct rt_webrtc_transport *t;

	snprintf(p->id, sizeof(p->id), "t%d", place);
	t = rt_endpoint_transport(rt_engine_new_endpoint(engine, "router", p->id, p->id, sends));
	strcpy(p->ufrag, rt_webrtc_transport_ufrag(t));
	strcpy(p->pwd, rt_webrtc_transport_pwd(t));
	p->fd = open_socket();
	p->dtls = rt_dtls_new(certificate, on_dtls_send, p);
	peers[place] = p;
	return p;
}

static void
announce(struct peer *p, const char *fingerprint)
{
	struct rt_dtls_params params = {.role = RT_DTLS_CLIENT, .algorithm = "sha-256"};

	read_digest(params.digest, &params.digest_len, fingerprint);
	rt_webrtc_transport_connect(transport_of(p), &params);
}

static void
trust_engine(struct peer *p)
{
	uint8_t digest[64];
	size_t n;

	read_digest(digest, &n, rt_dtls_context_fingerprint(rt_hub_certificate(rt_engine_hub(engine))));
	rt_dtls_set_fingerprint(p->dtls, "sha-256", digest, n);
}

static bool
shake_hands(struct peer *p)
{
	trust_engine(p);
	check(p, true);
	if (!UNTIL(p->answers > 0))
		return false;
	rt_dtls_connect(p->dtls);
	return UNTIL(rt_dtls_get_state(p->dtls) == RT_DTLS_CONNECTED);
}

static bool
join(struct peer *p)
{
	struct rt_dtls_keys keys;

	announce(p, rt_dtls_context_fingerprint(certificate));
	return shake_hands(p) && rt_dtls_export_keys(p->dtls, &keys) && rt_srtp_new(&p->srtp, &keys) == RT_OK &&
		   UNTIL(rt_webrtc_transport_ready(transport_of(p)));
}

static void
free_peer(int place)
{
	struct peer *p = peers[place];

	rt_dtls_free(p->dtls);
	rt_srtp_free(p->srtp);
	close(p->fd);
	free(p);
	peers[place] = NULL;
}

/* One frame of one packet: VP8 with picture id, TL0 and TID. */
static void
send_frame(struct peer *p, int layer, uint16_t seq, bool key, uint8_t tid, uint8_t mark)
{
	uint8_t payload[] = {0x90, 0xe0, (uint8_t) (0x80 | seq >> 8), (uint8_t) seq, 1, (uint8_t) (tid << 6), !key,
						 0,    mark};
	size_t n = rt_rtp_write_header(p->sent, 96, true, seq, seq * 3000u, ssrc_in + (uint32_t) layer, NULL, 0);

	p->sent_len = rt_srtp_protect(p->srtp, &p->roc[layer], p->sent, n, NULL, 0, payload, sizeof(payload));
	(void) !send(p->fd, p->sent, p->sent_len, 0);
}

static void
send_rtcp(struct peer *p, const uint8_t *data, size_t len)
{
	uint8_t out[512];

	memcpy(out, data, len);
	rt_srtp_protect_rtcp(p->srtp, out, &len);
	(void) !send(p->fd, out, len, 0);
}

/* Its clock says rtp_ts now. */
static void
send_report(struct peer *p, int layer, uint32_t rtp_ts)
{
	struct rt_rtcp_sr sr = {.ssrc = ssrc_in + (uint32_t) layer, .ntp = 1, .rtp_ts = rtp_ts};
	uint8_t out[64];

	send_rtcp(p, out, rt_rtcp_write_sr(out, sizeof(out), &sr));
}

static void
send_nack(struct peer *p, uint16_t seq)
{
	uint8_t out[64];

	send_rtcp(p, out, rt_rtcp_write_nack(out, sizeof(out), 7, ssrc_out, &seq, 1));
}

static struct rt_producer *
produce_with(struct peer *p, int layers, struct rt_feedback feedback)
{
	struct rt_producer_params params = {.kind = RT_KIND_VIDEO, .codec = RT_CODEC_VP8, .clock_rate = 90000, .pt = 96};
	static int number;
	char id[16];
	struct rt_producer *producer = NULL;

	params.type = layers > 1 ? RT_PRODUCER_SIMULCAST : RT_PRODUCER_SIMPLE;
	params.rtx_pt = RT_NO_PT;
	params.red_pt = RT_NO_PT;
	params.feedback = feedback;
	params.n_encodings = layers;
	params.ext.id[RT_EXT_ABS_CAPTURE_TIME] = CAPTURE_IN;
	for (int i = 0; i < layers; i++)
		params.encodings[i] = (struct rt_encoding){.ssrc = ssrc_in + (uint32_t) i, .layers = {1, 2, false}};
	snprintf(id, sizeof(id), "p%d", number++);
	rt_endpoint_produce(&producer, rt_engine_endpoint(engine, p->id), id, &params);
	return producer;
}

static struct rt_producer *
produce(struct peer *p, int layers)
{
	return produce_with(p, layers, (struct rt_feedback){.nack = true, .pli = true});
}

static struct rt_consumer_params
consumer_params(void)
{
	struct rt_consumer_params params = {.kind = RT_KIND_VIDEO, .codec = RT_CODEC_VP8, .clock_rate = 90000, .pt = 101};

	params.rtx_pt = 102;
	params.red_pt = RT_NO_PT;
	params.ssrc = ssrc_out;
	params.rtx_ssrc = ssrc_out + 1;
	params.feedback = (struct rt_feedback){.nack = true, .pli = true};
	strcpy(params.mid, "0");
	return params;
}

static struct rt_consumer *
consume_as(struct peer *p, struct rt_producer *producer, const char *id, struct rt_consumer_params params)
{
	struct rt_consumer *consumer = NULL;

	rt_endpoint_consume(&consumer, rt_engine_endpoint(engine, p->id), producer, id, &params);
	return consumer;
}

static struct rt_consumer *
consume(struct peer *p, struct rt_producer *producer, const char *id)
{
	return consume_as(p, producer, id, consumer_params());
}

static struct rt_egress *
egress_of(const struct peer *p)
{
	return rt_endpoint_egress(rt_engine_endpoint(engine, p->id));
}

static const struct rt_layers *
layers_of(const struct rt_consumer *c)
{
	return rt_consumer_layers(c);
}

static struct rt_producer_layer_stats
stats_of(const struct rt_producer *p, int layer)
{
	struct rt_producer_layer_stats s;

	rt_producer_read_stats(p, layer, &s);
	return s;
}

static uint64_t
retransmitted(const struct rt_consumer *c)
{
	struct rt_consumer_stats s;

	rt_consumer_read_stats(c, &s);
	return s.retransmitted;
}

/* From `from` on, each packet has the number and the picture behind the one before. */
static bool
gapless(const struct peer *p, int from)
{
	for (int i = from + 1; i < p->n; i++)
		if ((uint16_t) (p->got[i].seq - p->got[i - 1].seq) != 1 ||
			((p->got[i].picture_id - p->got[i - 1].picture_id) & 0x7fff) != 1 || p->got[i].ts == p->got[i - 1].ts)
			return false;
	return true;
}

/* Until the last key frame, and the last request for one, are too old to count. */
static void
outwait_keyframe(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	rt_engine_touch(engine);
}

/* ---- tests ---- */

static void
test_forwarding(struct peer *a, struct peer *b, struct rt_producer *producer, struct rt_consumer *c)
{
	uint64_t refused;
	uint8_t nack[64 + RT_SRTP_OVERHEAD];
	size_t n;

	send_frame(a, 0, 100, true, 0, 1);
	settle();
	ok(b->n == 0, "a consumer starts paused");
	outwait_keyframe();
	rt_consumer_pause(c, false);
	ok(UNTIL(a->plis > 0), "resuming asks for a key frame");
	send_frame(a, 0, 101, false, 0, 2);
	send_frame(a, 0, 102, true, 0, 3);
	send_frame(a, 0, 103, false, 0, 4);
	ok(UNTIL(b->n == 2) && b->got[0].mark == 3 && b->got[1].mark == 4, "and begins with it");
	ok(b->got[0].ssrc == ssrc_out && b->got[0].pt == 101 && gapless(b, 0), "under the consumer's numbers");
	refused = total(RT_HUB_BAD_SRTP);
	(void) !send(a->fd, a->sent, a->sent_len, 0);
	ok(UNTIL(total(RT_HUB_BAD_SRTP) > refused) && b->n == 2, "a replay is not forwarded");
	n = rt_rtcp_write_nack(nack, 64, 7, ssrc_out, &b->got[0].seq, 1);
	rt_srtp_protect_rtcp(b->srtp, nack, &n);
	(void) !send(b->fd, nack, n, 0);
	ok(UNTIL(b->n == 3) && b->got[2].ssrc == ssrc_out + 1 && b->got[2].pt == 102 &&
		   b->got[2].original == b->got[0].seq && b->got[2].mark == 3,
	   "what was lost is sent again, as RTX");
	rt_producer_mute(producer, true);
	send_frame(a, 0, 104, true, 0, 5);
	send_frame(a, 0, 106, true, 0, 5);
	settle();
	ok(b->n == 3, "of a muted producer nothing passes");
	a->plis = 0;
	rt_producer_mute(producer, false);
	ok(stats_of(producer, 0).nacks == 0, "nor is what was lost meanwhile asked for");
	ok(UNTIL(a->plis > 0), "unmuted, a key frame is asked for");
	send_frame(a, 0, 107, true, 0, 6);
	ok(UNTIL(b->n == 4) && b->got[3].seq == (uint16_t) (b->got[1].seq + 1), "and the numbers go on where they were");
	send_frame(a, 0, 20000, true, 0, 7);
	send_frame(a, 0, 20001, false, 0, 8);
	ok(UNTIL(b->n == 6) && gapless(b, 3), "a sender that begins anew is followed");
}

/* A key frame's first packet comes behind those that follow it: they are not lost on who waited for it. */
static void
test_late_keyframe(struct peer *a, struct peer *b, struct rt_consumer *c)
{
	int before;

	rt_consumer_pause(c, true);
	rt_consumer_pause(c, false);
	before = b->n;
	send_frame(a, 0, 20003, false, 0, 3);
	send_frame(a, 0, 20004, false, 0, 4);
	settle();
	ok(b->n == before, "nothing before the key frame");
	send_frame(a, 0, 20002, true, 0, 2);
	ok(UNTIL(b->n == before + 3) && b->got[before].mark == 2 && b->got[before + 2].mark == 4 &&
		   gapless(b, before - 1),
	   "a late key frame, and what came before it");
}

/* Who begins soon behind a key frame gets that one, and all that came since; later on, one is asked for. */
static void
test_second_viewer(struct peer *a, struct peer *b, struct rt_producer *producer)
{
	struct rt_consumer *c;
	int before = b->n;

	ssrc_out += 10;
	c = consume(b, producer, "second");
	send_frame(a, 0, 20005, true, 0, 1);
	send_frame(a, 0, 20006, false, 0, 2);
	send_frame(a, 0, 20007, false, 0, 3);
	ok(UNTIL(b->n == before + 3), "the first viewer has three frames");
	before = b->n;
	a->plis = 0;
	rt_engine_touch(engine);
	rt_consumer_pause(c, false);
	ok(UNTIL(b->n == before + 3) && b->got[before].ssrc == ssrc_out && b->got[before].mark == 1 &&
		   b->got[before + 2].mark == 3 && gapless(b, before),
	   "the second one gets them at once");
	send_frame(a, 0, 20008, false, 0, 4);
	ok(UNTIL(b->n == before + 5) && a->plis == 0, "and goes on with what comes; no key frame is asked for");
	rt_consumer_pause(c, true);
	rt_engine_touch(engine);
	rt_consumer_pause(c, false);
	ok(UNTIL(a->plis == 1) && b->n == before + 5, "after a pause one is");
	rt_consumer_close(c);
	ssrc_out += 10;
	c = consume(b, producer, "third");
	outwait_keyframe();
	a->plis = 0;
	rt_consumer_pause(c, false);
	ok(UNTIL(a->plis == 1) && b->n == before + 5, "and when the last one is too old");
	rt_consumer_close(c);
	ssrc_out -= 20;
	send_frame(a, 0, 20009, true, 0, 5);
	ok(UNTIL(b->n == before + 6), "the first viewer goes on");
}

/* Picture numbers of 7 bits wrap soon; what goes out has 15. */
static void
test_short_picture_ids(struct peer *a, struct peer *b)
{
	int before = b->n;

	for (int i = 0; i < 200; i++)
	{
		uint16_t seq = (uint16_t) (20010 + i);
		uint8_t payload[] = {0x90, 0x80, (uint8_t) (seq & 0x7f), 1, 0, (uint8_t) i};
		size_t n = rt_rtp_write_header(a->sent, 96, true, seq, seq * 3000u, ssrc_in, NULL, 0);

		n = rt_srtp_protect(a->srtp, &a->roc[0], a->sent, n, NULL, 0, payload, sizeof(payload));
		(void) !send(a->fd, a->sent, n, 0);
		turn();
	}
	ok(UNTIL(b->n == before + 200) && gapless(b, before), "7 bits of picture number go on as 15");
}

/* Who asks for the same packet again and again gets it some times. */
static void
test_greed(struct peer *a, struct peer *b, struct rt_consumer *c)
{
	uint64_t before = retransmitted(c);
	uint16_t seq = b->got[b->n - 1].seq;

	for (int i = 0; i < 40; i++)
	{
		send_nack(b, seq);
		send_frame(a, 0, (uint16_t) (20300 + i), false, 0, 1);
		nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
		turn();
	}
	settle();
	ok(retransmitted(c) > before + 2 && retransmitted(c) <= before + 10, "a packet is sent again so often: %d",
	   (int) (retransmitted(c) - before));
	ok(rt_consumer_bitrate(c) > 0, "a bit rate");
	ok(UNTIL(rt_consumer_bitrate(c) == 0), "a consumer that stands has none, and takes none from others");
}

static void
test_without_rtx(struct peer *a, struct peer *b, struct rt_producer *producer)
{
	struct rt_consumer_params params = consumer_params();
	struct rt_consumer *c;
	int before;

	params.ssrc += 20;
	params.rtx_ssrc = 0;
	c = consume_as(b, producer, "without RTX", params);
	rt_engine_touch(engine);
	rt_consumer_pause(c, false);
	before = b->n;
	send_frame(a, 0, 20400, true, 0, 1);
	ok(UNTIL(b->n == before + 2), "a consumer without RTX");
	ssrc_out += 20;
	for (int i = before; i < b->n; i++)
		if (b->got[i].ssrc == ssrc_out)
			send_nack(b, b->got[i].seq);
	ssrc_out -= 20;
	settle();
	ok(retransmitted(c) == 0, "nothing is sent again: under AES-GCM a number goes out once");
	rt_consumer_close(c);
}

/* A sender begins anew twice, and comes to numbers that it had before: what it sent under them then is forgotten. */
static void
test_numbers_again(struct peer *a, struct peer *b)
{
	static const uint16_t first[] = {45000, 5000, 5001, 5002, 5003, 30000, 55000, 4999, 5004};
	int before;

	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++)
		send_frame(a, 0, first[i], first[i] == 5000, 0, i < 7 ? 1 : 2);
	settle();
	before = b->n;
	send_frame(a, 0, 5000, true, 0, 3);
	send_frame(a, 0, 5001, false, 0, 4);
	ok(UNTIL(b->n == before + 3) && b->got[before].mark == 3 && b->got[before + 1].mark == 2 &&
		   b->got[before + 2].mark == 4,
	   "numbers that come again are of other packets");
	settle();
	ok(b->n == before + 3, "none goes out twice");
}

/* A packet of a frame of several in the upper temporal layer; one may go up at its first packet. */
static void
send_part(struct peer *p, uint16_t seq, bool first, uint16_t picture_id)
{
	uint8_t payload[] = {(uint8_t) (first ? 0x90 : 0x80),
						 0xe0,
						 (uint8_t) (0x80 | picture_id >> 8),
						 (uint8_t) picture_id,
						 1,
						 0x60,
						 1,
						 0,
						 0};
	size_t n = rt_rtp_write_header(p->sent, 96, !first, seq, picture_id * 3000u, ssrc_in, NULL, 0);

	p->sent_len = rt_srtp_protect(p->srtp, &p->roc[0], p->sent, n, NULL, 0, payload, sizeof(payload));
	(void) !send(p->fd, p->sent, p->sent_len, 0);
}

static void
test_simulcast(struct peer *a, struct peer *b, struct rt_consumer *c)
{
	uint16_t seq = 200;
	int before;

	rt_engine_touch(engine);
	rt_consumer_pause(c, false);
	b->n = 0;
	send_frame(a, 0, seq, true, 0, 0);
	ok(UNTIL(b->n == 1), "the lower layer flows first");
	for (; seq < 230; seq++)
	{
		send_frame(a, 0, (uint16_t) (seq + 1), seq % 8 == 0, 0, 0);
		send_frame(a, 1, (uint16_t) (seq + 5000), false, 0, 1);
		settle();
	}
	ok(layers_of(c)->target.spatial == 1 && layers_of(c)->current.spatial == 0 && b->n == 31 && b->got[30].mark == 0,
	   "the upper one is wanted, but has sent no key frame");
	send_frame(a, 1, (uint16_t) (seq + 5000), true, 0, 1);
	seq++;
	ok(UNTIL(b->n == 32) && b->got[31].mark == 1 && layers_of(c)->current.spatial == 1,
	   "with a key frame it goes out");
	for (int i = 0; i < 4; i++, seq++)
	{
		send_frame(a, 0, (uint16_t) (seq + 1), true, 0, 0);
		send_frame(a, 1, (uint16_t) (seq + 5000), false, 0, 1);
	}
	ok(UNTIL(b->n == 36) && b->got[35].mark == 1, "alone");
	rt_consumer_prefer(c, 0, 1);
	ok(UNTIL(layers_of(c)->target.spatial == 0), "down again");
	send_frame(a, 0, (uint16_t) (seq + 1), false, 0, 0);
	send_frame(a, 1, (uint16_t) (seq + 5000), false, 0, 1);
	ok(UNTIL(b->n == 37) && b->got[36].mark == 1, "not before a key frame");
	send_report(a, 0, 0x70000000); /* the streams of one track begin at times of their own */
	send_report(a, 1, (uint32_t) (seq + 5000) * 3000u);
	settle();
	b->reports = 0;
	ok(UNTIL(b->reports > 0), "a sender report");
	ok(b->report.rtp_ts - b->got[36].ts < 900000, "has the time of the stream that goes out: %u after it",
	   b->report.rtp_ts - b->got[36].ts);
	seq++;
	send_frame(a, 0, (uint16_t) (seq + 1), true, 0, 0);
	ok(UNTIL(b->n == 38) && b->got[37].mark == 0, "then at once");
	ok(gapless(b, 0), "over both switches: no hole in numbers and pictures");
	rt_egress_remb(egress_of(b), 1);
	before = b->n;
	for (int i = 0; i < 30; i++)
	{
		seq++;
		send_frame(a, 0, (uint16_t) (seq + 1), false, (uint8_t) (i % 2), 0);
		settle();
	}
	ok(b->n == before + 30, "the lowest layer flows, whatever the estimate says");
	rt_consumer_prefer(c, 0, 0);
	ok(UNTIL(layers_of(c)->target.temporal == 0), "the lower temporal layer alone");
	before = b->n;
	for (int i = 0; i < 20; i++)
	{
		seq++;
		send_frame(a, 0, (uint16_t) (seq + 1), false, (uint8_t) (i % 2), 0);
	}
	ok(UNTIL(b->n == before + 10) && gapless(b, before - 1), "half of the frames, and no hole");
	before = b->n;
	send_frame(a, 0, (uint16_t) (seq + 3), false, 0, 5);
	send_frame(a, 0, (uint16_t) (seq + 2), false, 1, 6);
	seq += 2;
	ok(UNTIL(b->n == before + 2) && b->got[before].mark == 5 &&
		   b->got[before + 1].seq == (uint16_t) (b->got[before].seq - 1) && b->got[before + 1].mark != 6,
	   "one that comes late, and is left out, is no loss: an empty packet has its number");
	rt_consumer_prefer(c, 0, 1);
	ok(UNTIL(layers_of(c)->target.temporal == 1), "both of them");
	before = b->n;
	send_part(a, (uint16_t) (seq + 3), false, (uint16_t) (seq + 2));
	send_part(a, (uint16_t) (seq + 2), true, (uint16_t) (seq + 2));
	send_part(a, (uint16_t) (seq + 4), false, (uint16_t) (seq + 2));
	send_frame(a, 0, (uint16_t) (seq + 5), false, 0, 7);
	ok(UNTIL(b->n == before + 2) && b->got[before].picture_id == 0 && b->got[before + 1].mark == 7,
	   "from a frame on that comes in order, for it is whole then");
	ok(strstr(events, "layers-changed") != NULL, "the change of layers was told");
}

/* ---- AV1 ---- */

/* The structure L2T1 of the AV1 RTP payload specification, section A.6.2.2, with a key frame; its templates are from
 * 60 on.  Target 0 has both layers, target 1 the lower one. */
static const uint8_t l2t1_key[] = {0xfc, 0x00, 0x00, 0x87, 0x81, 0x08, 0xeb, 0xaa, 0x31, 0x14,
								   0x50, 0x46, 0x0e, 0x00, 0x21, 0x21, 0x11, 0x11, 0x00};
enum
{
	KEY,
	LOWER,        /* the lower layer: "RS" */
	LOWER_SWITCH, /* "SS": the receiver may go up here */
	UPPER_FIRST,  /* the upper layer, without reference to the picture before */
	UPPER
};

static void
send_av1(struct peer *p, uint16_t number, int template, bool last)
{
	uint8_t dd[sizeof(l2t1_key)],
		payload[1180] = {template == KEY ? 0x18 : 0x10, 1}; /* as large as browsers send them */
	struct rt_rtp_ext_out ext = {DD_IN, template == KEY ? sizeof(l2t1_key) : 3, dd};
	size_t n;

	payload[sizeof(payload) - 1] = (uint8_t) number;
	memcpy(dd, l2t1_key, sizeof(dd));
	dd[0] = (uint8_t) (0xc0 | (60 + template) % 64);
	rt_bytes_put16(dd + 1, number);
	n = rt_rtp_write_header(p->sent, 96, last, number, number / 2 * 3000u, ssrc_in, &ext, 1);
	p->sent_len = rt_srtp_protect(p->srtp, &p->roc[0], p->sent, n, NULL, 0, payload, sizeof(payload));
	(void) !send(p->fd, p->sent, p->sent_len, 0);
}

static struct rt_producer *
produce_av1(struct peer *p)
{
	struct rt_producer_params params = {.kind = RT_KIND_VIDEO, .codec = RT_CODEC_AV1, .clock_rate = 90000, .pt = 96};
	struct rt_producer *producer = NULL;

	params.type = RT_PRODUCER_SVC;
	params.rtx_pt = RT_NO_PT;
	params.red_pt = RT_NO_PT;
	params.feedback = (struct rt_feedback){.nack = true, .pli = true};
	params.ext.id[RT_EXT_DEPENDENCY_DESCRIPTOR] = DD_IN;
	params.n_encodings = 1;
	params.encodings[0] = (struct rt_encoding){.ssrc = ssrc_in, .layers = {2, 1, false}};
	rt_endpoint_produce(&producer, rt_engine_endpoint(engine, p->id), "av1", &params);
	return producer;
}

static struct rt_consumer *
consume_av1(struct peer *p, struct rt_producer *producer)
{
	struct rt_consumer_params params = consumer_params();

	params.codec = RT_CODEC_AV1;
	params.ext.id[RT_EXT_DEPENDENCY_DESCRIPTOR] = DD_OUT;
	return consume_as(p, producer, "c", params);
}

static bool
numbers_go_on(const struct peer *p)
{
	for (int i = 1; i < p->n; i++)
		if ((uint16_t) (p->got[i].seq - p->got[i - 1].seq) != 1)
			return false;
	return true;
}

static void
test_av1(struct peer *a, struct peer *b, struct rt_consumer *c)
{
	uint16_t n = 2000;

	b->n = 0;
	rt_engine_touch(engine);
	rt_consumer_pause(c, false);
	send_av1(a, n++, LOWER, false);
	send_av1(a, n++, UPPER, true);
	settle();
	ok(b->n == 0, "AV1: nothing before a key frame");
	send_av1(a, (uint16_t) (n + 1), UPPER_FIRST, true);
	send_av1(a, n, KEY, false);
	n += 2;
	ok(UNTIL(b->n == 2) && b->got[0].has_dd && b->got[0].dd.has_structure && b->got[0].dd.frame == 2002 &&
		   b->got[1].dd.spatial == 1 && !b->got[0].marker && b->got[1].marker && !b->got[1].dd.has_active,
	   "then both layers, though the key frame was late; its descriptor is longer than one-byte extensions can be");
	rt_consumer_prefer(c, 0, -1);
	UNTIL(layers_of(c)->target.spatial == 0);
	for (int i = 0; i < 5; i++)
	{
		send_av1(a, n++, LOWER, false);
		send_av1(a, n++, UPPER, true);
	}
	ok(UNTIL(b->n == 7) && numbers_go_on(b) && b->got[6].dd.spatial == 0 && b->got[6].marker,
	   "the lower layer alone");
	ok(b->got[2].dd.has_active && b->got[6].dd.active == 2, "and the receiver is told that there is no other");
	rt_consumer_prefer(c, 1, -1);
	UNTIL(layers_of(c)->target.spatial == 1);
	send_av1(a, n++, LOWER, false);
	send_av1(a, n++, UPPER, true);
	ok(UNTIL(b->n == 8) && b->got[7].dd.spatial == 0, "not up where it could not be decoded");
	send_av1(a, n++, LOWER_SWITCH, false);
	send_av1(a, n++, UPPER_FIRST, true);
	send_av1(a, n++, LOWER, false);
	send_av1(a, n++, UPPER, true);
	ok(UNTIL(b->n == 12) && numbers_go_on(b) && b->got[9].dd.spatial == 1 && !b->got[8].marker && b->got[9].marker &&
		   b->got[11].dd.active == 3,
	   "up at a switching point, without a key frame");
}

/* ---- bandwidth ---- */

/* A packet of each of three layers: 20, 80 and 200 kbit/s at 25 a second. */
static void
send_layers(struct peer *a, uint16_t number)
{
	static const size_t sizes[] = {100, 400, 1000};
	uint8_t payload[1000] = {0x10, 1};

	for (int layer = 0; layer < 3; layer++)
	{
		size_t n =
			rt_rtp_write_header(a->sent, 96, true, number, number * 3600u, ssrc_in + (uint32_t) layer, NULL, 0);

		n = rt_srtp_protect(a->srtp, &a->roc[layer], a->sent, n, NULL, 0, payload, sizes[layer]);
		(void) !send(a->fd, a->sent, n, 0);
	}
	turn();
	nanosleep(&(struct timespec){.tv_nsec = 40000000}, NULL);
}

/* Allotted by this estimate; nothing is tried beyond it for 2 s. */
static void
allot(struct peer *b, uint64_t bps)
{
	struct rt_allot *a = rt_allot_new(egress_of(b));

	rt_egress_remb(egress_of(b), bps);
	rt_allot_layers(a, rt_endpoint_consumers(rt_engine_endpoint(engine, b->id)));
	rt_allot_free(a);
}

/* Of 100 packets that go out, the receiver says, every other one came. */
static void
lose_half(struct rt_egress *e)
{
	uint64_t at[100], now_us = rt_hub_now_us(rt_egress_hub(e));
	uint8_t out[1000] = {0};
	struct rt_rtcp p;
	size_t len, off = 0;
	int written;
	uint16_t base = rt_egress_number(e);
	struct rt_srtp_roc roc = {0};

	rt_egress_remb(e, 10000000);
	for (uint16_t i = 0; i < 100; i++)
	{
		uint8_t *packet = rt_egress_buffer(e);
		size_t n = rt_rtp_write_header(packet, 99, false, i, 0, 99, NULL, 0);

		rt_egress_send(e, true, &roc, packet, n, NULL, 0, out, 900);
		at[i] = i % 2 ? now_us + 100u * i : 0;
	}
	len = rt_rtcp_write_twcc(out, sizeof(out), 1, 2, 0, base, at, 100, &written);
	if (rt_rtcp_next(out, len, &off, &p) == RT_OK)
		rt_egress_feedback(e, &p);
}

/* Three layers of a track to two consumers of one transport: what there is does not go to the first alone. */
static void
test_fairness(struct peer *a, struct peer *b, struct rt_producer *producer)
{
	struct rt_consumer *c[2];
	uint16_t number = 100;
	uint64_t middle, top;

	while (number < 200 && (number < 110 || rt_producer_bitrate(producer, 2) == 0))
		send_layers(a, number++);
	for (int i = 0; i < 2; i++)
	{
		struct rt_consumer_params params = consumer_params();

		params.ssrc += 10u * (uint32_t) i;
		c[i] = consume_as(b, producer, i ? "second" : "first", params);
		rt_consumer_pause(c[i], false);
	}
	middle = rt_producer_bitrate(producer, 1);
	top = rt_producer_bitrate(producer, 2);
	allot(b, 2 * middle * 13 / 10);
	ok(layers_of(c[0])->target.spatial == 1 && layers_of(c[1])->target.spatial == 1 &&
		   layers_of(c[0])->target.temporal == 1 && layers_of(c[1])->target.temporal == 1,
	   "the middle layer for both: %d and %d", layers_of(c[0])->target.spatial, layers_of(c[1])->target.spatial);
	ok(strcmp(layers_of(c[0])->reason, "bandwidth") == 0, "and it says why: %s", layers_of(c[0])->reason);
	allot(b, (middle + top) * 13 / 10);
	ok(layers_of(c[0])->target.spatial == 2 && layers_of(c[1])->target.spatial == 1 &&
		   layers_of(c[1])->target.temporal == 1,
	   "more: the upper one for one of them");
	allot(b, 2 * top * 13 / 10);
	ok(layers_of(c[0])->target.spatial == 2 && layers_of(c[0])->target.temporal == 1 &&
		   strcmp(layers_of(c[0])->reason, "preferred") == 0,
	   "all for both");
	allot(b, top + top * 7 / 10);
	ok(layers_of(c[0])->target.temporal == 1, "a low estimate alone takes nothing away");
	lose_half(egress_of(b));
	allot(b, (middle + top) * 11 / 10);
	ok(layers_of(c[0])->target.spatial == 2 && layers_of(c[1])->target.spatial == 1,
	   "congestion does: the upper layer of one of them");
	allot(b, 1);
	ok(layers_of(c[1])->target.spatial == -1 && layers_of(c[0])->target.spatial == 0 &&
		   rt_consumer_is_suspended(c[1]) && strcmp(layers_of(c[1])->reason, "bandwidth") == 0,
	   "in the end the lowest for one of them; the other is paused");
}

/* More streams than one report has room for. */
static void
test_many_streams(struct peer *a)
{
	struct rt_producer *producers[9];

	a->watched = ssrc_in;
	for (int i = 0; i < 9; i++, ssrc_in += 10)
	{
		producers[i] = produce(a, 4);
		memset(a->roc, 0, sizeof(a->roc));
		for (int layer = 0; layer < 4; layer++)
			send_frame(a, layer, 1, true, 0, 0);
		settle();
	}
	a->watched_told = false;
	ok(UNTIL(a->watched_told), "of 36 streams all are reported on");
	for (int i = 0; i < 9; i++)
		rt_producer_close(producers[i]);
}

/* Streams that are announced and never come. */
static void
test_silent_streams(struct peer *a)
{
	struct rt_producer *producers[20];
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, after;

	for (int i = 0; i < 20; i++, ssrc_in += 10)
		producers[i] = produce(a, 4);
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	ok(after - before < 2000000, "80 announced streams take %zu kB", (after - before) / 1024);
	for (int i = 0; i < 20; i++)
		rt_producer_close(producers[i]);
}

/* A viewer that cannot decode asks again and again; each key frame costs everybody quality. */
static void
test_picture_loss(struct peer *a, struct peer *b, struct rt_producer *producer)
{
	struct rt_consumer *c = consume(b, producer, "c");
	uint8_t out[64];
	uint64_t end_us;
	uint16_t seq = 100;

	rt_engine_touch(engine);
	rt_consumer_pause(c, false);
	send_frame(a, 0, seq++, true, 0, 1);
	settle();
	a->plis = 0;
	end_us = rt_clock_us() + 1500000;
	while (rt_clock_us() < end_us)
	{
		send_rtcp(b, out, rt_rtcp_write_pli(out, sizeof(out), 7, ssrc_out));
		settle();
		send_frame(a, 0, seq++, true, 0, 1);
		settle();
	}
	ok(a->plis >= 1 && a->plis <= 2, "asked for all the time, key frames are requested once a second: %d", a->plis);
}

/* When a picture was taken; how far the sender's clock is from the camera's tells nothing of ours. */
static void
test_capture_time(struct peer *a, struct peer *b, struct rt_producer *producer)
{
	struct rt_consumer_params params = consumer_params();
	struct rt_consumer *c;
	struct rt_rtp_ext_out ext = {CAPTURE_IN, 16, (const uint8_t *) "ntp-timeoffset.."};
	uint8_t payload[] = {0x10, 0, 0, 0};
	size_t n;

	settle();
	b->n = 0;
	params.ext.id[RT_EXT_ABS_CAPTURE_TIME] = CAPTURE_OUT;
	c = consume_as(b, producer, "c", params);
	rt_engine_touch(engine);
	rt_consumer_pause(c, false);
	n = rt_rtp_write_header(a->sent, 96, true, 1, 3000, ssrc_in, &ext, 1);
	n = rt_srtp_protect(a->srtp, &a->roc[0], a->sent, n, NULL, 0, payload, sizeof(payload));
	(void) !send(a->fd, a->sent, n, 0);
	ok(UNTIL(b->n == 1) && strcmp(b->got[0].capture, "ntp-time") == 0, "the time of capture is copied: %s",
	   b->got[0].capture);
}

/* ---- simulcast without announced SSRCs, as browsers send it ---- */

#define MID_IN 4
#define RID_IN 6
#define TWCC_IN 8

static struct rt_producer *
produce_by_rid(struct peer *p, const char *mid)
{
	struct rt_producer_params params = {.kind = RT_KIND_VIDEO, .codec = RT_CODEC_VP8, .clock_rate = 90000, .pt = 96};
	struct rt_producer *producer = NULL;

	params.type = RT_PRODUCER_SIMULCAST;
	params.rtx_pt = RT_NO_PT;
	params.red_pt = RT_NO_PT;
	params.n_encodings = 2;
	params.ext.id[RT_EXT_MID] = MID_IN;
	params.ext.id[RT_EXT_RID] = RID_IN;
	params.ext.id[RT_EXT_TRANSPORT_CC] = TWCC_IN;
	strcpy(params.mid, mid);
	for (int i = 0; i < 2; i++)
	{
		params.encodings[i].layers = (struct rt_scalability){1, 1, false};
		snprintf(params.encodings[i].rid, sizeof(params.encodings[i].rid), "r%d", i);
	}
	rt_endpoint_produce(&producer, rt_engine_endpoint(engine, p->id), mid, &params);
	return producer;
}

/* Of the track `mid`, or of none that it names. */
static void
send_by_rid(struct peer *p, const char *mid, const char *rid, uint32_t ssrc, uint16_t seq)
{
	uint8_t payload[] = {0x10, 0, 0, 0}, number[] = {0, (uint8_t) ssrc};
	struct rt_rtp_ext_out ext[] = {
		{mid != NULL ? MID_IN : 0, mid != NULL ? (uint8_t) strlen(mid) : 0, (const uint8_t *) mid},
		{RID_IN, (uint8_t) strlen(rid), (const uint8_t *) rid},
		{TWCC_IN, sizeof(number), number}};
	size_t n = rt_rtp_write_header(p->sent, 96, true, seq, 3000, ssrc, ext, 3);

	p->sent_len = rt_srtp_protect(p->srtp, &(struct rt_srtp_roc){0}, p->sent, n, NULL, 0, payload, sizeof(payload));
	(void) !send(p->fd, p->sent, p->sent_len, 0);
	settle();
}

/* A browser sends before its `produce` has arrived; of a picture that does not change nothing more comes. */
static void
test_early_media(struct peer *a, struct peer *b)
{
	uint64_t unknown = total(RT_HUB_UNKNOWN_SSRC);
	struct rt_producer *producer;
	struct rt_consumer *c;
	int before = b->n;

	memset(a->roc, 0, sizeof(a->roc));
	ssrc_in += 100;
	ssrc_out += 10;
	send_frame(a, 0, 900, true, 0, 77);
	ok(UNTIL(total(RT_HUB_UNKNOWN_SSRC) == unknown + 1), "a picture of a producer that is not announced yet");
	producer = produce(a, 1);
	ok(stats_of(producer, 0).packets == 0, "is not taken while the producer has no settings");
	rt_endpoint_announced(rt_engine_endpoint(engine, a->id));
	ok(stats_of(producer, 0).packets == 1, "and then it is");
	rt_endpoint_announced(rt_engine_endpoint(engine, a->id));
	ok(stats_of(producer, 0).packets == 1, "once");
	c = consume(b, producer, "early");
	rt_engine_touch(engine);
	rt_consumer_pause(c, false);
	ok(UNTIL(b->n == before + 1) && b->got[before].mark == 77, "a viewer who comes later gets it");
	rt_producer_close(producer);
	before = (int) total(RT_HUB_UNKNOWN_SSRC);
	send_frame(a, 0, 901, true, 0, 78);
	ok(UNTIL(total(RT_HUB_UNKNOWN_SSRC) == (uint64_t) before + 1), "its sender does not know yet that it has ended");
	producer = produce(a, 1);
	rt_endpoint_announced(rt_engine_endpoint(engine, a->id));
	ok(stats_of(producer, 0).packets == 0, "that is no packet of the next one");
	ssrc_in += 100;
	ssrc_out += 10;
	rt_producer_close(producer);
}

/* ---- what an authentic but hostile sender sends ---- */

/* Of no producer, with the extensions given. */
static void
send_stray(struct peer *p, uint32_t ssrc, uint16_t seq, const uint8_t *exts, size_t len, size_t payload_len)
{
	uint8_t payload[1400] = {0x10, 1};
	size_t n = rt_rtp_write_header(p->sent, 96, true, seq, seq * 3000u, ssrc, NULL, 0);

	if (len)
	{
		p->sent[0] |= 0x10;
		rt_bytes_put16(p->sent + n, 0xBEDE);
		rt_bytes_put16(p->sent + n + 2, (uint16_t) (len / 4));
		memcpy(p->sent + n + 4, exts, len);
		n += 4 + len;
	}
	p->sent_len = rt_srtp_protect(p->srtp, &(struct rt_srtp_roc){0}, p->sent, n, NULL, 0, payload, payload_len);
	(void) !send(p->fd, p->sent, p->sent_len, 0);
}

/* The processor time that one packet takes: the least of many, for the machine may be busy. */
static uint64_t
stray_ns(struct peer *p, uint32_t ssrc, const uint8_t *exts, size_t len, size_t payload_len)
{
	uint64_t least_ns = UINT64_MAX;

	for (uint16_t i = 0; i < 300; i++)
	{
		uint64_t before_ns = engine_ns, unknown = total(RT_HUB_UNKNOWN_SSRC);

		send_stray(p, ssrc, i, exts, len, payload_len);
		for (uint64_t end_us = rt_clock_us() + 60000000;
			 total(RT_HUB_UNKNOWN_SSRC) == unknown && rt_clock_us() < end_us;)
			turn();
		if (engine_ns - before_ns < least_ns)
			least_ns = engine_ns - before_ns;
	}
	return least_ns;
}

/* A block of extensions is read once, however many streams the packet could be of. */
static void
test_costly_extensions(struct peer *a)
{
	static const uint8_t zeros[1200];
	uint64_t plain_ns, costly_ns;
	struct rt_producer *producers[30];
	char mid[8];

	for (int i = 0; i < 30; i++)
	{
		snprintf(mid, sizeof(mid), "m%d", i);
		producers[i] = produce_by_rid(a, mid);
	}
	plain_ns = stray_ns(a, ssrc_in + 60, zeros, 0, 1204);
	costly_ns = stray_ns(a, ssrc_in + 61, zeros, sizeof(zeros), 1);
	ok(costly_ns < 4 * plain_ns, "a packet of 1,200 bytes of extensions costs %.1f times what others do",
	   (double) costly_ns / (double) plain_ns);
	for (int i = 0; i < 30; i++)
		rt_producer_close(producers[i]);
	ssrc_in += 100;
}

/* The numbers begin anew, so that all viewers wait for a key frame.  It comes before another frame; or behind that,
 * though it is older by `late` numbers.  The processor time that both take. */
static uint64_t
jump_ns(struct peer *p, const struct rt_producer *producer, uint16_t late)
{
	static uint16_t at = 5000;
	uint64_t before_ns = engine_ns, packets = stats_of(producer, 0).packets;

	at = (uint16_t) (at + 20000);
	for (int i = 0; i < 2; i++)
	{
		send_frame(p, 0, (uint16_t) (late ? at - i * late : at + i), late ? i == 1 : i == 0, 0, 1);
		packets++;
		for (uint64_t end_us = rt_clock_us() + 60000000;
			 stats_of(producer, 0).packets < packets && rt_clock_us() < end_us;)
			turn();
	}
	return engine_ns - before_ns;
}

/* A late key frame is followed by what came since, not by all that could have come. */
static void
test_costly_jumps(struct peer *a, struct peer *b)
{
	const int viewers = 200;
	struct rt_producer *producer = produce_with(a, 1, (struct rt_feedback){.pli = true});
	uint64_t least_ns[2] = {UINT64_MAX, UINT64_MAX};
	char id[16];

	ssrc_out += 1000;
	for (int i = 0; i < viewers; i++)
	{
		struct rt_consumer_params params = consumer_params();

		snprintf(id, sizeof(id), "viewer-%d", i);
		params.ssrc += 2u * (uint32_t) i;
		params.rtx_ssrc = params.ssrc + 1;
		rt_consumer_pause(consume_as(b, producer, id, params), false);
	}
	for (int i = 0; i < 40; i++)
		for (int late = 0; late < 2; late++)
		{
			uint64_t ns = jump_ns(a, producer, late ? 1000 : 0);

			least_ns[late] = ns < least_ns[late] ? ns : least_ns[late];
		}
	ok(2 * least_ns[1] < 5 * least_ns[0], "a key frame that is late by 1,000 numbers costs %.2f times what others do",
	   (double) least_ns[1] / (double) least_ns[0]);
	rt_producer_close(producer);
	memset(a->roc, 0, sizeof(a->roc));
	b->n = 0;
	events[0] = '\0';
	ssrc_in += 100;
	ssrc_out += 1000;
}

/* One redundant block, whose header says this type and length, and a last one of this type. */
static void
send_red(struct peer *p, uint16_t seq, uint8_t first, uint16_t says, uint8_t last)
{
	uint8_t payload[] = {0x80 | first, 0, 0, 0, last, 'f', 'i', 'r', 's', 't', 'l', (uint8_t) seq};
	size_t n = rt_rtp_write_header(p->sent, 63, false, seq, seq * 960u, ssrc_in, NULL, 0);

	rt_bytes_put24(payload + 1, 960u << 10 | says);
	p->sent_len = rt_srtp_protect(p->srtp, &p->roc[0], p->sent, n, NULL, 0, payload, sizeof(payload));
	(void) !send(p->fd, p->sent, p->sent_len, 0);
}

/* Redundant sound whose blocks are of another type, or longer than the packet. */
static void
test_odd_red(struct peer *a, struct peer *b)
{
	struct rt_producer_params in = {.kind = RT_KIND_AUDIO, .codec = RT_CODEC_OPUS, .clock_rate = 48000, .pt = 111};
	struct rt_consumer_params out = {.kind = RT_KIND_AUDIO, .codec = RT_CODEC_OPUS, .clock_rate = 48000, .pt = 100};
	struct rt_producer *producer = NULL;
	uint64_t bad = total(RT_HUB_BAD_RTP);

	in.type = RT_PRODUCER_SIMPLE;
	in.rtx_pt = out.rtx_pt = out.red_pt = RT_NO_PT;
	in.red_pt = 63;
	in.n_encodings = 1;
	in.encodings[0] = (struct rt_encoding){.ssrc = ssrc_in, .layers = {1, 1, false}};
	out.ssrc = ssrc_out;
	rt_endpoint_produce(&producer, rt_engine_endpoint(engine, a->id), "red", &in);
	rt_consumer_pause(consume_as(b, producer, "red", out), false);
	b->n = 0;
	send_red(a, 10, 111, 5, 111);
	ok(UNTIL(b->n == 1) && b->got[0].mark == 10, "redundant sound");
	send_red(a, 12, 111, 5, 111);
	ok(UNTIL(b->n == 3) && b->got[1].mark == 't' && b->got[2].mark == 12, "what was lost is in it");
	send_red(a, 13, 111, 8, 111);
	ok(UNTIL(total(RT_HUB_BAD_RTP) == bad + 1) && b->n == 3, "a block that is longer than the packet");
	send_red(a, 15, 63, 5, 111);
	ok(UNTIL(b->n == 4) && b->got[3].mark == 15, "one of RED within RED is left out");
	send_red(a, 16, 111, 5, 63);
	send_red(a, 18, 111, 5, 111);
	ok(UNTIL(b->n == 6) && b->got[5].mark == 18, "and so is a packet of nothing else");
	rt_producer_close(producer);
	memset(a->roc, 0, sizeof(a->roc));
	ssrc_in += 100;
	ssrc_out += 10;
}

/* Takes the packet as if it had come; the clock stands still. */
static void
feed(struct peer *p, uint8_t pt, uint16_t seq, size_t payload_len)
{
	static const uint8_t payload[1200] = {0x10, 0}; /* VP8: of a key frame */
	size_t n = rt_rtp_write_header(p->sent, pt, false, seq, seq * 960u, ssrc_in, NULL, 0);

	n = rt_srtp_protect(p->srtp, &p->roc[0], p->sent, n, NULL, 0, payload, payload_len);
	rt_endpoint_rtp(rt_engine_endpoint(engine, p->id), p->sent, n);
}

/* So many packets are given to a receiver of this producer. */
static uint64_t
forwarded(struct peer *a, struct peer *b, struct rt_producer *producer, struct rt_consumer_params out, uint8_t pt,
		  uint16_t packets, size_t payload_len)
{
	struct rt_consumer *c = consume_as(b, producer, "flooded", out);
	struct rt_consumer_stats s;

	rt_consumer_pause(c, false);
	rt_endpoint_tick(rt_engine_endpoint(engine, a->id), 0); /* a second begins */
	for (uint16_t i = 0; i < packets; i++)
		feed(a, pt, (uint16_t) (100 + i), payload_len);
	rt_consumer_read_stats(c, &s);
	rt_producer_close(producer);
	memset(a->roc, 0, sizeof(a->roc));
	ssrc_in += 100;
	ssrc_out += 10;
	rt_endpoint_tick(rt_engine_endpoint(engine, a->id), 0); /* and the next one */
	settle();
	b->n = 0;
	return s.packets;
}

static struct rt_producer *
produce_sound(struct peer *a, const char *id)
{
	struct rt_producer_params in = {.kind = RT_KIND_AUDIO, .codec = RT_CODEC_OPUS, .clock_rate = 48000, .pt = 111};
	struct rt_producer *producer = NULL;

	in.type = RT_PRODUCER_SIMPLE;
	in.rtx_pt = in.red_pt = RT_NO_PT;
	in.n_encodings = 1;
	in.encodings[0] = (struct rt_encoding){.ssrc = ssrc_in, .layers = {1, 1, false}};
	rt_endpoint_produce(&producer, rt_engine_endpoint(engine, a->id), id, &in);
	return producer;
}

/* Who sends without end takes neither the worker nor its receivers' links. */
static void
test_floods(struct peer *a, struct peer *b)
{
	struct rt_consumer_params sound = {.kind = RT_KIND_AUDIO, .codec = RT_CODEC_OPUS, .clock_rate = 48000, .pt = 100};
	uint64_t n, bad;

	sound.rtx_pt = sound.red_pt = RT_NO_PT;
	sound.ssrc = ssrc_out;
	n = forwarded(a, b, produce_sound(a, "large"), sound, 111, 500, 1200);
	ok(n > 200 && n * 1200 <= 320000, "of 4.8 Mbit/s of sound %d kbit/s go out", (int) (n * 1200 * 8 / 1000));
	sound.ssrc = ssrc_out;
	n = forwarded(a, b, produce_sound(a, "dense"), sound, 111, 3000, 20);
	ok(n > 400 && n < 1010, "of 3,000 packets of sound in a second %d", (int) n);
	bad = total(RT_HUB_BAD_RTP);
	n = forwarded(a, b, produce(a, 1), consumer_params(), 96, 12000, 20);
	ok(n > 3000 && n <= 5000 && total(RT_HUB_BAD_RTP) >= bad + 7000, "of 12,000 of pictures %d", (int) n);
}

/* What comes before its producer has its limits: bytes, packets and time. */
static void
test_early_limits(struct peer *a, struct peer *b)
{
	struct rt_producer *producer;
	size_t before, kept;

	for (int tiny = 0; tiny < 2; tiny++)
	{
		uint64_t unknown = total(RT_HUB_UNKNOWN_SSRC);
		int n = tiny ? 3000 : 300;

		rt_hub_set_now(rt_engine_hub(engine), rt_clock_us() + 3000000);
		rt_endpoint_announced(rt_engine_endpoint(engine, a->id)); /* of what was kept before, nothing is left */
		settle();
		before = mallinfo2().uordblks;
		for (int i = 0; i < n; i++)
		{
			send_stray(a, ssrc_in, (uint16_t) i, NULL, 0, tiny ? 2 : 1000);
			turn();
		}
		ok(UNTIL(total(RT_HUB_UNKNOWN_SSRC) == unknown + (uint64_t) n), "%d early packets", n);
		kept = mallinfo2().uordblks - before;
		ok(kept < 140000, "of them %zu kB are kept", kept / 1024);
		producer = produce(a, 1);
		rt_endpoint_announced(rt_engine_endpoint(engine, a->id));
		kept = stats_of(producer, 0).packets;
		ok(kept > 100 && kept <= (tiny ? 512 : 130), "the first %zu are taken", kept);
		rt_producer_close(producer);
		ssrc_in += 100;
	}
	kept = total(RT_HUB_UNKNOWN_SSRC);
	send_stray(a, ssrc_in, 1, NULL, 0, 100);
	ok(UNTIL(total(RT_HUB_UNKNOWN_SSRC) == kept + 1), "an early packet");
	rt_hub_set_now(rt_engine_hub(engine), rt_clock_us() + 2500000);
	producer = produce(a, 1);
	rt_endpoint_announced(rt_engine_endpoint(engine, a->id));
	ok(stats_of(producer, 0).packets == 0, "after 2.5 s it is forgotten");
	rt_engine_touch(engine);
	rt_producer_close(producer);
	ssrc_in += 100;
	settle();
	kept = total(RT_HUB_UNKNOWN_SSRC);
	before = mallinfo2().uordblks;
	for (uint16_t i = 0; i < 100; i++)
	{
		send_stray(b, ssrc_in, i, NULL, 0, 1000);
		turn();
	}
	ok(UNTIL(total(RT_HUB_UNKNOWN_SSRC) == kept + 100) && mallinfo2().uordblks - before < 20000,
	   "of who only receives nothing is kept");
	ssrc_in += 100;
}

/* A camera, and then a screen, with the same names of their streams. */
static void
test_two_tracks(struct peer *a)
{
	struct rt_producer *camera = produce_by_rid(a, "camera"), *screen;
	uint64_t unknown = total(RT_HUB_UNKNOWN_SSRC);
	uint32_t ssrc = ssrc_in + 50;

	send_by_rid(a, "camera", "r0", ssrc, 500);
	ok(stats_of(camera, 0).ssrc == ssrc, "a stream is known by its RID");
	send_by_rid(a, "screen", "r0", ssrc + 1, 500);
	ok(stats_of(camera, 0).ssrc == ssrc && total(RT_HUB_UNKNOWN_SSRC) == unknown + 1,
	   "one of another track, that is not announced yet, does not take its place");
	ok(UNTIL(a->told_number == (uint8_t) (ssrc + 1)), "but its sender is told that it came");
	screen = produce_by_rid(a, "screen");
	send_by_rid(a, "camera", "r1", ssrc + 2, 500);
	ok(stats_of(camera, 1).ssrc == ssrc + 2 && stats_of(screen, 1).packets == 0, "of two tracks the MID tells which");
	send_by_rid(a, "screen", "r0", ssrc + 3, 500);
	ok(stats_of(screen, 0).ssrc == ssrc + 3 && stats_of(camera, 0).ssrc == ssrc, "for both of them");
	send_by_rid(a, NULL, "r1", ssrc + 4, 500);
	ok(stats_of(screen, 1).ssrc == ssrc + 4, "without a MID the RID has to do");
	send_by_rid(a, "camera", "r0", ssrc + 5, 400);
	ok(stats_of(camera, 0).ssrc == ssrc + 5, "another SSRC has numbers of its own, be they behind");
	rt_producer_close(camera);
	rt_producer_close(screen);
}

static void
test_moving(struct peer *a, struct peer *b)
{
	int before = b->n, old = b->fd;

	b->fd = open_socket();
	b->answers = 0;
	check(b, true);
	ok(UNTIL(b->answers == 1), "a check from another address");
	send_frame(a, 0, 300, true, 0, 9);
	ok(UNTIL(b->n == before + 1), "the call has moved there");
	close(old);
}

/* Peers choose their SSRCs as they like, each for its own transport. */
static void
test_same_ssrc(struct peer *b)
{
	struct rt_consumer_params params = consumer_params();
	struct rt_producer *producers[2];
	struct peer *senders[2];
	int before = b->n;

	for (int i = 0; i < 2; i++)
	{
		senders[i] = new_peer(2 + i, true);
		ok(join(senders[i]), "sender %d", i + 1);
		producers[i] = produce(senders[i], 1);
		params.ssrc = ssrc_out + 20 + 2u * (uint32_t) i;
		params.rtx_ssrc = params.ssrc + 1;
		rt_consumer_pause(consume_as(b, producers[i], i ? "same" : "one", params), false);
	}
	ok(produce(senders[0], 1) == NULL, "an SSRC that is in use on the transport is refused");
	for (int i = 0; i < 2; i++)
	{
		send_frame(senders[i], 0, 700, true, 0, (uint8_t) (50 + i));
		ok(UNTIL(b->n == before + 1 + i) && b->got[before + i].ssrc == ssrc_out + 20 + 2u * (uint32_t) i &&
			   b->got[before + i].mark == 50 + i,
		   "on another transport it is that peer's: %d", i + 1);
	}
	for (int i = 0; i < 2; i++)
	{
		rt_endpoint_close(rt_engine_endpoint(engine, senders[i]->id));
		free_peer(2 + i);
	}
}

/* A peer whose packets bear another one's address: here by the other one's socket. */
static void
test_forged_address(struct peer *a, struct peer *b)
{
	struct peer *thief = new_peer(2, false), forged = {.fd = b->fd};
	uint64_t bad = total(RT_HUB_BAD_STUN);
	struct rt_webrtc_transport_stats s;
	int before = b->n;

	strcpy(forged.ufrag, thief->ufrag);
	strcpy(forged.pwd, thief->pwd);
	check(b, true);
	check(&forged, true);
	ok(UNTIL(total(RT_HUB_BAD_STUN) == bad + 1), "a check under an address that is another peer's is refused");
	rt_webrtc_transport_read_stats(transport_of(thief), &s);
	send_frame(a, 0, 301, false, 0, 12);
	ok(UNTIL(b->n == before + 1) && s.tuples == 0, "whose call goes on");
	rt_endpoint_close(rt_engine_endpoint(engine, thief->id));
	free_peer(2);
}

static int
dial_tcp(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *) &to, sizeof(to)) == 0 ? fd : -1;
}

/* RFC 4571 section 2. */
static void
check_tcp(const struct peer *p, int fd)
{
	struct stun_request r;
	char username[64];
	uint8_t head[2];

	snprintf(username, sizeof(username), "%.31s:them", p->ufrag);
	stun_check(&r, username);
	stun_integrity(&r, p->pwd);
	stun_fingerprint(&r);
	rt_bytes_put16(head, (uint16_t) r.len);
	(void) !write(fd, head, 2);
	(void) !write(fd, r.data, r.len);
}

/* A peer has as many connections as it has addresses: what it opens beyond that is at the cost of its own. */
static void
test_connections(void)
{
	const struct rt_port_stats *stats = rt_port_totals(rt_hub_port(rt_engine_hub(engine)));
	struct peer *p = new_peer(2, false);
	int fds[40];
	char c;

	for (int i = 0; i < 40; i++)
	{
		fds[i] = dial_tcp();
		check_tcp(p, fds[i]);
		ok(i % 10 || UNTIL(recv(fds[i], &c, 1, MSG_DONTWAIT) == 1), "connection %d of a peer is answered", i + 1);
	}
	ok(UNTIL(stats->tcp_connections == 8), "of 40 connections of a peer 8 stay: %d", (int) stats->tcp_connections);
	ok(recv(fds[39], &c, 1, MSG_DONTWAIT) != 0, "the newest among them");
	rt_endpoint_close(rt_engine_endpoint(engine, p->id));
	ok(UNTIL(stats->tcp_connections == 0), "and none when its transport is closed");
	for (int i = 0; i < 40; i++)
		close(fds[i]);
	free_peer(2);
}

static void
test_strangers(struct peer *a, struct peer *b)
{
	struct peer stranger = {.fd = open_socket(), .pwd = "a password that is not theirs"};
	struct rt_webrtc_transport_stats s;
	uint8_t junk[1200];
	uint64_t bad = total(RT_HUB_BAD_STUN), stray = total(RT_HUB_STRAY);
	int before = b->n;

	strcpy(stranger.ufrag, b->ufrag);
	stranger.dtls = rt_dtls_new(certificate, on_dtls_send, &stranger);
	rt_dtls_connect(stranger.dtls);
	srandom(12);
	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t) random();
	for (int i = 0; i < 4000; i++)
	{
		check(&stranger, true);
		junk[0] = (uint8_t) random();
		(void) !send(stranger.fd, junk, 20 + (size_t) random() % 1000, 0);
		(void) !send(stranger.fd, a->sent, a->sent_len, 0);
		if (i % 50 == 0)
			turn();
	}
	settle();
	rt_webrtc_transport_read_stats(transport_of(b), &s);
	ok(total(RT_HUB_BAD_STUN) >= bad + 4000 && total(RT_HUB_STRAY) > stray + 4000,
	   "12,000 packets of a stranger are counted");
	ok(s.tuples == 2, "and none has made its address known");
	send_frame(a, 0, 302, false, 0, 10);
	ok(UNTIL(b->n == before + 1), "the call goes on");
	for (int i = 0; i < 4000; i++)
		(void) !send(a->fd, a->sent, a->sent_len, 0);
	settle();
	send_frame(a, 0, 303, false, 0, 11);
	ok(UNTIL(b->n == before + 2) && b->got[b->n - 1].mark == 11, "4,000 replays change nothing");
	rt_dtls_free(stranger.dtls);
	close(stranger.fd);
}

static void
test_wrong_certificate(void)
{
	struct peer *p = new_peer(2, false);

	announce(p, rt_dtls_context_fingerprint(rt_hub_certificate(rt_engine_hub(engine))));
	shake_hands(p);
	ok(UNTIL(!rt_engine_endpoint(engine, p->id)) && strstr(events, "DTLS failed"),
	   "another certificate than was announced ends the transport");
	free_peer(2);
}

/* Signalling takes longer than the first packets. */
static void
test_early_handshake(void)
{
	struct peer *p = new_peer(2, false);
	struct rt_webrtc_transport *t = transport_of(p);

	ok(shake_hands(p) && !rt_webrtc_transport_ready(t), "a handshake before connect-transport; nothing is sent yet");
	announce(p, rt_dtls_context_fingerprint(certificate));
	ok(rt_webrtc_transport_ready(t), "connect-transport completes it");
	rt_endpoint_close(rt_engine_endpoint(engine, p->id));
	free_peer(2);
	p = new_peer(2, false);
	t = transport_of(p);
	events[0] = '\0';
	ok(shake_hands(p) && !rt_webrtc_transport_ready(t), "another one");
	announce(p, rt_dtls_context_fingerprint(rt_hub_certificate(rt_engine_hub(engine))));
	ok(!rt_engine_endpoint(engine, p->id) && strstr(events, "DTLS failed"),
	   "whose certificate is not what connect-transport says");
	free_peer(2);
}

static void
test_goodbye(void)
{
	struct peer *p = new_peer(2, false);

	ok(join(p), "one more peer");
	events[0] = '\0';
	rt_dtls_close(p->dtls);
	ok(UNTIL(!rt_engine_endpoint(engine, p->id)) && strstr(events, "closed by the peer"), "it says goodbye");
	free_peer(2);
}

static void
test_idle(struct peer *b)
{
	new_peer(3, false);
	announce(peers[3], rt_dtls_context_fingerprint(certificate));
	check(b, false);
	settle();
	rt_engine_set_idle_timeout(engine, 1500);
	ok(UNTIL(({
		   check(b, false);
		   rt_engine_endpoint(engine, "t3") == NULL;
	   })),
	   "who never comes is not waited for");
	free_peer(3);
	new_peer(3, false);
	announce(peers[3], rt_dtls_context_fingerprint(certificate));
	ok(UNTIL(({
		   check(b, false);
		   check(peers[3], true);
		   rt_engine_endpoint(engine, "t3") == NULL;
	   })) &&
		   strstr(events, "no DTLS"),
	   "nor who only knocks");
	ok(UNTIL(({
		   check(b, false);
		   rt_engine_endpoint(engine, "t0") == NULL;
	   })),
	   "who says nothing any more is gone");
	ok(rt_engine_endpoint(engine, b->id) != NULL, "who checks is not");
	ok(UNTIL(!rt_engine_endpoint(engine, b->id)) && strstr(events, "no answer from the peer"), "until he ceases to");
	free_peer(3);
}

static int
free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *) &a, sizeof(a)) == 0)
		getsockname(fd, (struct sockaddr *) &a, &len);
	close(fd);
	return ntohs(a.sin_port);
}

/* Closes the producer; the next one has other SSRCs. */
static void
another(struct peer *a, struct rt_producer *old)
{
	rt_producer_close(old);
	ssrc_in += 100;
	ssrc_out += 100;
	memset(a->roc, 0, sizeof(a->roc));
}

/* Statistics in parts: together they have each transport once, and none is over-long. */
static void
test_stats(void)
{
	const int transports = 40, most = 7;
	char id[16], seen[41] = "";
	size_t pos = 0, n;
	json_t *rows;

	for (int i = 0; i < transports; i++)
	{
		snprintf(id, sizeof(id), "many-%d", i);
		rt_engine_new_endpoint(engine, "many", id, id, false);
	}
	do
	{
		rows = rt_stats_rows(engine, &pos, (size_t) most);
		n = json_array_size(rows);
		for (size_t i = 0; i < n; i++)
			if (sscanf(json_string_value(json_object_get(json_array_get(rows, i), "id")), "many-%15s", id) == 1)
				seen[atoi(id)]++;
		json_decref(rows);
	} while (n == (size_t) most);
	n = 0;
	for (int i = 0; i < transports; i++)
		n += seen[i] == 1;
	ok(n == (size_t) transports, "parts of the statistics have all transports once: %d of %d", (int) n, transports);
	rt_engine_close_router(engine, "many");
}

int
main(void)
{
	struct rt_engine_options options = {"127.0.0.1", port = free_port(), 30000};
	struct rt_producer *producer;
	struct rt_consumer *consumer;
	struct peer *a, *b;

	certificate = rt_dtls_context_new();
	ok(rt_loop_new(&loop) == RT_OK && rt_engine_new(&engine, loop, &options, on_event, NULL) == RT_OK, "an engine");
	test_stats();
	a = new_peer(0, true);
	b = new_peer(1, false);
	ok(join(a) && join(b), "two peers by ICE and DTLS");
	producer = produce(a, 1);
	consumer = consume(b, producer, "c");
	test_forwarding(a, b, producer, consumer);
	test_late_keyframe(a, b, consumer);
	test_second_viewer(a, b, producer);
	test_short_picture_ids(a, b);
	test_greed(a, b, consumer);
	test_without_rtx(a, b, producer);
	test_numbers_again(a, b);
	another(a, producer);
	producer = produce_av1(a);
	test_av1(a, b, consume_av1(b, producer));
	another(a, producer);
	producer = produce(a, 3);
	test_fairness(a, b, producer);
	another(a, producer);
	producer = produce(a, 1);
	test_capture_time(a, b, producer);
	another(a, producer);
	producer = produce(a, 1);
	test_picture_loss(a, b, producer);
	another(a, producer);
	test_many_streams(a);
	test_silent_streams(a);
	test_costly_extensions(a);
	test_early_limits(a, b);
	test_floods(a, b);
	test_costly_jumps(a, b);
	test_odd_red(a, b);
	test_two_tracks(a);
	test_early_media(a, b);
	memset(a->roc, 0, sizeof(a->roc));
	producer = produce(a, 2);
	consumer = consume(b, producer, "c");
	test_simulcast(a, b, consumer);
	rt_consumer_prefer(consumer, 0, 1);
	test_moving(a, b);
	test_same_ssrc(b);
	test_forged_address(a, b);
	test_connections();
	test_strangers(a, b);
	test_wrong_certificate();
	test_early_handshake();
	test_goodbye();
	test_idle(b);
	free_peer(0);
	free_peer(1);
	rt_engine_free(engine);
	rt_loop_free(loop);
	rt_dtls_context_free(certificate);
	return tap_done();
}
