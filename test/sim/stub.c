/* stub.c: the engine's ground, replaced: a port that sends through modelled links, and DTLS and SRTP that are done at
 * once.  The stub of SRTP adds a tag of the real length, and checks what real AES-GCM must never see: one sequence
 * number with two packets. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/log.h"
#include "bgworker/media/secure/srtp.h"
#include "sim.h"
#include "test/unit/media/stun_request.h"

#define MAX_PEERS 64
#define PWD "abcdefghijklmnopqrstuvwx"
#define CHECK_US 2500000 /* between two checks for consent */

struct rt_engine *sim_engine;
uint64_t sim_reused_numbers, sim_nulls, sim_speakers, sim_worker_missed;
double sim_worker_packets_per_s;
static struct rt_loop *loop;
static struct sim_peer *peers[MAX_PEERS];
static int npeers;
static uint16_t next_port;

/* ---- port ---- */

struct rt_port
{
	struct rt_port_handler handler;
	struct rt_port_stats stats;
	uint8_t buffer[RT_PORT_BUFFER];
};

static struct rt_port *port;

enum rt_result
rt_port_new(struct rt_port **pp, struct rt_loop *l, const char *addresses, int number,
			const struct rt_port_handler *handler)
{
	(void) l, (void) addresses, (void) number;
	*pp = port = calloc(1, sizeof(*port));
	port->handler = *handler;
	return RT_OK;
}

void
rt_port_free(struct rt_port *p)
{
	free(p);
}

const char *
rt_port_address(const struct rt_port *p, int i)
{
	(void) p;
	return i == 0 ? "10.0.0.1" : NULL;
}

/* ---- the worker's CPU: so many packets a second, and what waits for it for longer than SOCKET_S is lost ---- */

#define SOCKET_S 0.05
#define SHARE_US 250000

static double cpu_waits, cpu_done; /* packets */
static uint64_t cpu_us;

static void
cpu_works(void)
{
	double most = sim_worker_packets_per_s, did = (double) (sim_now_us - cpu_us) / 1e6 * most;

	if (did > cpu_waits)
		did = cpu_waits;
	cpu_waits -= did;
	cpu_done += did;
	cpu_us = sim_now_us;
}

/* False: the socket's buffer is full. */
static bool
cpu_takes(void)
{
	cpu_works();
	if (sim_worker_packets_per_s > 0 && cpu_waits > SOCKET_S * sim_worker_packets_per_s)
	{
		sim_worker_missed++;
		return false;
	}
	cpu_waits += sim_worker_packets_per_s > 0;
	return true;
}

/* As control.c does, with rt.media_max_cpu at 85. */
static void
on_share(void *arg, uint8_t *data, size_t len)
{
	(void) arg, (void) data, (void) len;
	cpu_works();
	if (sim_worker_packets_per_s > 0)
		rt_engine_share(sim_engine, cpu_done / (sim_worker_packets_per_s * SHARE_US / 1e6) / 0.925);
	cpu_done = 0;
	sim_at(sim_now_us + SHARE_US, on_share, NULL, NULL, 0);
}

static void
on_arrival(void *arg, uint8_t *data, size_t len)
{
	struct sim_peer *p = arg;
	enum rt_rtp_class kind = rt_rtp_classify(data, len);

	if (kind == RT_PACKET_RTP)
		p->on_packet(p, data, len - SIM_RTP_TAG);
	else if (kind == RT_PACKET_RTCP)
		p->on_packet(p, data, len - SIM_RTCP_TAG);
}

void
rt_port_send(struct rt_port *s, const struct rt_tuple *to, const uint8_t *data, size_t len)
{
	s->stats.packets_out++;
	s->stats.bytes_out += len;
	cpu_waits += sim_worker_packets_per_s > 0;
	for (int i = 0; i < npeers; i++)
		if (rt_tuple_same(&peers[i]->tuple, to))
		{
			uint64_t at = sim_link_send(&peers[i]->down, len), tenth = sim_now_us / 100000 - 10000;

			if (tenth < SIM_MAX_SECONDS * 10)
				peers[i]->offered[tenth] += (uint32_t) len + 28;
			peers[i]->packets++;
			if (at)
				sim_at(at, on_arrival, peers[i], data, len);
		}
}

uint8_t *
rt_port_buffer(struct rt_port *p)
{
	return p->buffer;
}

void
rt_port_queue(struct rt_port *p, struct rt_outlet *o, size_t len)
{
	rt_port_send(p, &o->tuple, p->buffer, len);
}

void
rt_port_flush(struct rt_port *p)
{
	(void) p;
}

void
rt_port_forget(struct rt_port *p, struct rt_outlet *o)
{
	(void) p, (void) o;
}

void
rt_port_hang_up(struct rt_port *p, const struct rt_tuple *to)
{
	(void) p, (void) to;
}

const struct rt_port_stats *
rt_port_totals(const struct rt_port *p)
{
	return &p->stats;
}

/* ---- DTLS ---- */

struct rt_dtls_context
{
	int unused;
};

struct rt_dtls
{
	enum rt_dtls_state state;
};

struct rt_dtls_context *
rt_dtls_context_new(void)
{
	return calloc(1, sizeof(struct rt_dtls_context));
}

void
rt_dtls_context_free(struct rt_dtls_context *c)
{
	free(c);
}

const char *
rt_dtls_context_fingerprint(const struct rt_dtls_context *c)
{
	(void) c;
	return "00";
}

struct rt_dtls *
rt_dtls_new(struct rt_dtls_context *c, rt_dtls_send_cb send, void *arg)
{
	(void) c, (void) send, (void) arg;
	return calloc(1, sizeof(struct rt_dtls));
}

void
rt_dtls_free(struct rt_dtls *d)
{
	free(d);
}

enum rt_result
rt_dtls_set_fingerprint(struct rt_dtls *d, const char *algorithm, const uint8_t *digest, size_t len)
{
	(void) algorithm, (void) digest, (void) len;
	d->state = RT_DTLS_CONNECTED;
	return RT_OK;
}

void
rt_dtls_connect(struct rt_dtls *d)
{
	(void) d;
}

enum rt_result
rt_dtls_receive(struct rt_dtls *d, const uint8_t *data, size_t len)
{
	(void) d, (void) data, (void) len;
	return RT_OK;
}

enum rt_dtls_state
rt_dtls_get_state(const struct rt_dtls *d)
{
	return d->state;
}

int
rt_dtls_timeout_ms(struct rt_dtls *d)
{
	(void) d;
	return -1;
}

void
rt_dtls_timeout(struct rt_dtls *d)
{
	(void) d;
}

bool
rt_dtls_export_keys(struct rt_dtls *d, struct rt_dtls_keys *keys)
{
	(void) d;
	memset(keys, 0, sizeof(*keys));
	return true;
}

void
rt_dtls_close(struct rt_dtls *d)
{
	d->state = RT_DTLS_CLOSED;
}

/* ---- SRTP ---- */

#define MAX_SOURCES 64

struct source
{
	uint32_t ssrc;
	uint64_t *sent; /* by sequence number: a hash of what went out under it last, with the wraps counted in */
};

struct rt_srtp
{
	struct source sources[MAX_SOURCES];
	int n;
};

enum rt_result
rt_srtp_startup(void)
{
	return RT_OK;
}

enum rt_result
rt_srtp_new(struct rt_srtp **sp, const struct rt_dtls_keys *keys)
{
	(void) keys;
	*sp = calloc(1, sizeof(**sp));
	return RT_OK;
}

void
rt_srtp_free(struct rt_srtp *s)
{
	for (int i = 0; s != NULL && i < s->n; i++)
		free(s->sources[i].sent);
	free(s);
}

bool
rt_srtp_is_aead(const struct rt_srtp *s)
{
	(void) s;
	return true;
}

enum rt_result
rt_srtp_unprotect(struct rt_srtp *s, uint8_t *data, size_t *len)
{
	(void) s, (void) data;
	if (*len < SIM_RTP_TAG)
		return RT_BAD_INPUT;
	*len -= SIM_RTP_TAG;
	return RT_OK;
}

enum rt_result
rt_srtp_unprotect_rtcp(struct rt_srtp *s, uint8_t *data, size_t *len)
{
	(void) s, (void) data;
	if (*len < SIM_RTCP_TAG)
		return RT_BAD_INPUT;
	*len -= SIM_RTCP_TAG;
	return RT_OK;
}

enum rt_result
rt_srtp_protect_rtcp(struct rt_srtp *s, uint8_t *data, size_t *len)
{
	(void) s;
	memset(data + *len, 0, SIM_RTCP_TAG);
	*len += SIM_RTCP_TAG;
	return RT_OK;
}

static struct source *
find_source(struct rt_srtp *s, uint32_t ssrc)
{
	for (int i = 0; i < s->n; i++)
		if (s->sources[i].ssrc == ssrc)
			return &s->sources[i];
	if (s->n == MAX_SOURCES)
		abort();
	s->sources[s->n] = (struct source){ssrc, calloc(65536, sizeof(uint64_t))};
	return &s->sources[s->n++];
}

/* The number's place in the stream, counted beyond 16 bits as RFC 3711 section 3.3.1 has it. */
static uint64_t
count_on(struct rt_srtp_roc *roc, uint16_t seq)
{
	int16_t ahead = (int16_t) (seq - roc->highest);

	if (!roc->started)
	{
		roc->started = true;
		roc->highest = seq;
		return seq;
	}
	if (ahead > 0)
	{
		roc->roc += seq < roc->highest;
		roc->highest = seq;
		return (uint64_t) roc->roc << 16 | seq;
	}
	return (uint64_t) (roc->roc - (seq > roc->highest)) << 16 | seq;
}

static uint64_t
hash(uint64_t h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h;
}

size_t
rt_srtp_protect(struct rt_srtp *s, struct rt_srtp_roc *roc, uint8_t *out, size_t header_len, const uint8_t *prefix,
				size_t prefix_len, const uint8_t *payload, size_t payload_len)
{
	uint16_t seq = rt_bytes_get16(out + 2);
	uint64_t index = count_on(roc, seq), h, *sent = &find_source(s, rt_bytes_get32(out + 8))->sent[seq];

	if (prefix_len)
		memcpy(out + header_len, prefix, prefix_len);
	if (payload_len)
		memcpy(out + header_len + prefix_len, payload, payload_len);
	h = hash(0xcbf29ce484222325u + (index >> 16), out, header_len + prefix_len + payload_len);
	/* the upper half tells the wrap, so that the next one's packets are others */
	h = (h & 0xffffffff) | (index >> 16 | 1u << 31) << 32;
	if (*sent >> 32 == h >> 32 && *sent != h)
		sim_reused_numbers++;
	*sent = h;
	memset(out + header_len + prefix_len + payload_len, 0, SIM_RTP_TAG);
	return header_len + prefix_len + payload_len + SIM_RTP_TAG;
}

/* ---- the engine ---- */

static void
on_event(void *arg, const char *json)
{
	(void) arg;
	sim_nulls += strstr(json, "\"spatialLayer\":null") != NULL;
	sim_speakers += strstr(json, "\"active-speaker\"") != NULL;
	if (getenv("SIM_EVENTS") != NULL)
		printf("# %.3f %s\n", (double) sim_now_us / 1e6 - 1000, json);
}

void
sim_engine_begin(void)
{
	struct rt_engine_options o = {"10.0.0.1", 4000, 60000};

	rt_log_set_level(RT_LOG_ERROR);
	npeers = 0;
	next_port = 5000;
	sim_reused_numbers = sim_nulls = sim_speakers = sim_worker_missed = 0;
	cpu_waits = cpu_done = sim_worker_packets_per_s = 0;
	rt_loop_new(&loop);
	if (rt_engine_new(&sim_engine, loop, &o, on_event, NULL) != RT_OK)
		abort();
	sim_at(sim_now_us + SHARE_US, on_share, NULL, NULL, 0);
}

void
sim_engine_end(void)
{
	rt_engine_free(sim_engine);
	rt_loop_free(loop);
}

/* ---- peers ---- */

struct to_engine
{
	struct rt_tuple from;
	uint8_t data[RT_PORT_BUFFER];
};

static void
on_engine_packet(void *arg, uint8_t *data, size_t len)
{
	struct rt_tuple from;

	(void) arg;
	memcpy(&from, data, sizeof(from));
	memmove(data, data + sizeof(from), len - sizeof(from));
	if (!cpu_takes())
		return;
	port->handler.on_packet(port->handler.arg, &from, data, len - sizeof(from), sim_now_us);
}

static void
send_raw(struct sim_peer *p, const uint8_t *data, size_t len)
{
	uint64_t at = sim_link_send(&p->up, len);
	uint8_t out[sizeof(struct rt_tuple) + RT_PORT_BUFFER];

	if (!at)
		return;
	memcpy(out, &p->tuple, sizeof(p->tuple));
	memcpy(out + sizeof(p->tuple), data, len);
	sim_at(at, on_engine_packet, p, out, sizeof(p->tuple) + len);
}

void
sim_peer_send(struct sim_peer *p, uint8_t *data, size_t len)
{
	size_t tag = rt_rtp_classify(data, len) == RT_PACKET_RTP ? SIM_RTP_TAG : SIM_RTCP_TAG;

	memset(data + len, 0, tag);
	send_raw(p, data, len + tag);
}

static void
check(struct sim_peer *p)
{
	struct stun_request r;
	char username[64];

	snprintf(username, sizeof(username), "%s:them", p->id);
	stun_check(&r, username);
	stun_add(&r, 0x0025, NULL, 0);
	stun_integrity(&r, PWD);
	stun_fingerprint(&r);
	send_raw(p, r.data, r.len);
}

static void
on_check(void *arg, uint8_t *data, size_t len)
{
	struct sim_peer *p = arg;

	(void) data, (void) len;
	check(p);
	sim_at(sim_now_us + CHECK_US, on_check, p, NULL, 0);
}

static void
take_address(struct sim_peer *p)
{
	memset(&p->tuple, 0, sizeof(p->tuple));
	p->tuple.addr.v4.sin_family = AF_INET;
	p->tuple.addr.v4.sin_port = htons(next_port++);
	p->tuple.addr.v4.sin_addr.s_addr = htonl(0x0a000002);
}

void
sim_peer_join(struct sim_peer *p)
{
	static const struct rt_dtls_params params = {.role = RT_DTLS_CLIENT, .algorithm = "sha-256", .digest_len = 32};
	struct rt_webrtc_transport *t;
	struct sim_link up = p->up;

	snprintf(p->id, sizeof(p->id), "peer%d", npeers);
	peers[npeers++] = p;
	take_address(p);
	rt_engine_touch(sim_engine);
	t = rt_endpoint_transport(rt_engine_new_endpoint(sim_engine, p->router != NULL ? p->router : "router", p->id,
													 p->user != NULL ? p->user : p->id, p->sends));
	if (rt_webrtc_transport_set_ice(t, p->id, PWD) != RT_OK || rt_webrtc_transport_connect(t, &params) != RT_OK)
		abort();
	memset(&p->up, 0, sizeof(p->up));
	check(p);
	sim_run_until(sim_now_us);
	p->up = up;
	sim_at(sim_now_us + CHECK_US, on_check, p, NULL, 0);
}

void
sim_peer_move(struct sim_peer *p)
{
	take_address(p);
	check(p);
}

double
sim_estimate_bps(const struct sim_peer *p)
{
	return (double) rt_egress_estimate_bps(rt_endpoint_egress(rt_engine_endpoint(sim_engine, p->id)));
}

double
sim_offered_bps(const struct sim_peer *p, uint64_t from_us, uint64_t to_us)
{
	double bytes = 0;

	for (uint64_t i = from_us / 100000; i < to_us / 100000; i++)
		bytes += p->offered[i - 10000];
	return bytes * 8e6 / (double) (to_us - from_us);
}
