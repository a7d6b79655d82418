/* peer.c: see peer.h */
#include "peer.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <srtp2/srtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stun/stunagent.h>
#include <stun/usages/ice.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"
#include "packet.h"
#include "swarm.h"

#define PACKET_MAX 2048
#define MTU 1200
#define CHECK_NS 50000000ull     /* between two checks until one is answered */
#define CONSENT_NS 2500000000ull /* RFC 7675 has 5 s at most */
#define REPORT_NS 100000000ull
#define VERIFY_EVERY 50 /* the loader's own CPU must not be the bottleneck */
#define TWCC_SPACE 4096
#define KEY_BYTES 16
#define SALT_BYTES 12 /* AES-GCM, RFC 7714 */
#define OWN_SSRC 1

enum peer_state
{
	PEER_CHECKING,
	PEER_SHAKING,
	PEER_UP
};

struct peers
{
	SSL_CTX *ssl;
	char fingerprint[3 * 32];
	struct swarm *swarm;
};

struct peer
{
	struct peers *peers;
	int fd;
	enum peer_state state;
	char ufrag[256], password[256]; /* the forwarder's */
	StunAgent stun;
	uint64_t check_ns, report_ns, up_ns;
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	srtp_t srtp_in, srtp_out;
	int twcc_id;
	bool key_requested;
	/* The one stream that is received. */
	uint32_t ssrc, base, highest; /* extended sequence numbers, RFC 3550, appendix A.1 */
	uint64_t packets, counted_from, counted_packets, verified, failed;
	bool started, counting;
	void (*on_latency)(void *arg, double us);
	void *arg;
	/* Transport-wide numbers since the last feedback, and when they arrived: by number modulo TWCC_SPACE, 0: not. */
	uint64_t *arrival_us;
	uint16_t twcc_base, twcc_highest;
	bool twcc_started;
	uint8_t twcc_count;
};

static const uint16_t known_attributes[] = {STUN_ATTRIBUTE_USERNAME,    STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
											STUN_ATTRIBUTE_ERROR_CODE,  STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS,
											STUN_ATTRIBUTE_FINGERPRINT, 0};

static void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t) (v >> 8);
	p[1] = (uint8_t) v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static unsigned
get16(const uint8_t *p)
{
	return (unsigned) p[0] << 8 | p[1];
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t) get16(p) << 16 | get16(p + 2);
}

uint64_t
peer_wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

/* A full socket loses the packet, as a network would; the counts show it. */
static void
send_datagram(struct peer *p, const uint8_t *data, size_t len)
{
	if (send(p->fd, data, len, MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED)
		err(1, "peer: send");
}

/* ---- ICE ---------------------------------------------------------------------------------- */

static void
send_check(struct peer *p)
{
	uint8_t data[PACKET_MAX];
	char username[600];
	StunMessage m;
	int n = snprintf(username, sizeof(username), "%s:swarm", p->ufrag);
	size_t len =
		stun_usage_ice_conncheck_create(&p->stun, &m, data, sizeof(data), (uint8_t *) username, (size_t) n,
										(uint8_t *) p->password, strlen(p->password), true, true, 0x6e7f1eff,
										(uint64_t) (uintptr_t) p, NULL, STUN_USAGE_ICE_COMPATIBILITY_RFC5245);

	if (len == 0)
		errx(1, "peer: no STUN request");
	send_datagram(p, data, len);
}

/* ---- DTLS --------------------------------------------------------------------------------- */

static void
flush_dtls(struct peer *p)
{
	uint8_t data[PACKET_MAX];
	int n;

	while ((n = BIO_read(p->out, data, sizeof(data))) > 0)
		send_datagram(p, data, (size_t) n);
}

static void
make_srtp(srtp_t *session, srtp_ssrc_type_t direction, const uint8_t *key, const uint8_t *salt)
{
	uint8_t both[KEY_BYTES + SALT_BYTES];
	srtp_policy_t policy;

	memcpy(both, key, KEY_BYTES);
	memcpy(both + KEY_BYTES, salt, SALT_BYTES);
	memset(&policy, 0, sizeof(policy));
	srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
	srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
	policy.window_size = 1024;
	policy.ssrc.type = direction;
	policy.key = both;
	if (srtp_create(session, &policy) != srtp_err_status_ok)
		errx(1, "peer: no SRTP session");
}

/* RFC 5764, section 4.2: the client's key, the server's, the client's salt, the server's. */
static void
start_srtp(struct peer *p)
{
	uint8_t material[2 * (KEY_BYTES + SALT_BYTES)];
	const uint8_t *salts = material + 2 * KEY_BYTES;

	if (SSL_get_selected_srtp_profile(p->ssl) == NULL ||
		SSL_export_keying_material(p->ssl, material, sizeof(material), "EXTRACTOR-dtls_srtp", 19, NULL, 0, 0) != 1)
		errx(1, "peer: no keys for SRTP");
	make_srtp(&p->srtp_out, ssrc_any_outbound, material, salts);
	make_srtp(&p->srtp_in, ssrc_any_inbound, material + KEY_BYTES, salts + SALT_BYTES);
	p->state = PEER_UP;
	p->up_ns = measure_now_ns();
}

static void
shake(struct peer *p)
{
	int done = SSL_do_handshake(p->ssl);
	int why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(p->ssl, done);

	flush_dtls(p);
	if (done == 1)
		start_srtp(p);
	else if (why != SSL_ERROR_WANT_READ)
		errx(1, "peer: the DTLS handshake failed");
}

static void
start_dtls(struct peer *p)
{
	p->state = PEER_SHAKING;
	p->ssl = SSL_new(p->peers->ssl);
	p->in = BIO_new(BIO_s_mem());
	p->out = BIO_new(BIO_s_mem());
	if (p->ssl == NULL || p->in == NULL || p->out == NULL)
		errx(1, "peer: no DTLS");
	BIO_set_mem_eof_return(p->in, -1);
	SSL_set_bio(p->ssl, p->in, p->out);
	SSL_set_mtu(p->ssl, MTU);
	SSL_set_connect_state(p->ssl);
	shake(p);
}

/* ---- feedback ------------------------------------------------------------------------------- */

static void
note_twcc(struct peer *p, uint16_t seq, uint64_t now_us)
{
	if (!p->twcc_started)
	{
		p->twcc_started = true;
		p->twcc_base = p->twcc_highest = seq;
	}
	if ((uint16_t) (seq - p->twcc_base) >= TWCC_SPACE)
		return;
	p->arrival_us[seq % TWCC_SPACE] = now_us;
	if ((int16_t) (seq - p->twcc_highest) > 0)
		p->twcc_highest = seq;
}

/* draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1: status vectors of seven two-bit symbols, deltas of
 * 250 us. A loopback delta fits a byte, or two. */
static size_t
write_twcc(struct peer *p, uint8_t *out, size_t space)
{
	uint16_t n = (uint16_t) (p->twcc_highest - p->twcc_base + 1);
	size_t at = 20 + 2 * (size_t) ((n + 6) / 7);
	uint64_t last = 0, first = 0;

	for (uint16_t i = 0; i < n && first == 0; i++)
		first = p->arrival_us[(uint16_t) (p->twcc_base + i) % TWCC_SPACE];
	if (!p->twcc_started || first == 0 || n > 1000 || at + 2 * (size_t) n + 4 > space)
		return 0;
	last = first / 64000 * 64000;
	memset(out, 0, at);
	put16(out + 12, p->twcc_base);
	put16(out + 14, n);
	put32(out + 16, (uint32_t) (last / 64000) << 8 | p->twcc_count++);
	for (uint16_t i = 0; i < n; i++)
	{
		uint64_t *arrival = &p->arrival_us[(uint16_t) (p->twcc_base + i) % TWCC_SPACE];
		int64_t delta = ((int64_t) *arrival - (int64_t) last) / 250;
		bool small = delta >= 0 && delta < 256;
		uint8_t *chunk = out + 20 + 2 * (i / 7);

		if (i % 7 == 0)
			chunk[0] = 0xc0;
		if (*arrival == 0)
			continue;
		put16(chunk, get16(chunk) | (small ? 1u : 2u) << (12 - 2 * (i % 7)));
		if (small)
			out[at++] = (uint8_t) delta;
		else
		{
			put16(out + at, (unsigned) delta & 0xffff);
			at += 2;
		}
		last = (uint64_t) ((int64_t) last + delta * 250);
		*arrival = 0;
	}
	p->twcc_base = (uint16_t) (p->twcc_highest + 1);
	p->twcc_started = false;
	while (at % 4 != 0)
		out[at++] = 0;
	out[0] = 0x8f;
	out[1] = 205;
	put16(out + 2, (unsigned) (at / 4 - 1));
	put32(out + 4, OWN_SSRC);
	put32(out + 8, p->ssrc);
	return at;
}

static void
send_reports(struct peer *p)
{
	uint8_t data[PACKET_MAX] = {0x81, 201, 0, 7};
	int len;

	put32(data + 4, OWN_SSRC);
	put32(data + 8, p->ssrc);
	put32(data + 16, p->highest);
	len = (int) (32 + write_twcc(p, data + 32, sizeof(data) - 32 - 64));
	if (srtp_protect_rtcp(p->srtp_out, data, &len) == srtp_err_status_ok)
		send_datagram(p, data, (size_t) len);
}

/* ---- what comes ----------------------------------------------------------------------------- */

/* The transport-wide number, -1 without one.  One-byte header extensions, RFC 8285, section 4.2. */
static int
find_twcc(const struct peer *p, const uint8_t *data, size_t len)
{
	size_t at = 12 + 4 * (size_t) (data[0] & 0xf), end;

	if ((data[0] & 0x10) == 0 || len < at + 4 || get16(data + at) != 0xbede)
		return -1;
	end = at + 4 + 4 * (size_t) get16(data + at + 2);
	for (at += 4; at < end && end <= len;)
	{
		if (data[at] == 0)
			at++;
		else if (data[at] >> 4 == p->twcc_id && at + 3 <= end)
			return (int) get16(data + at + 1);
		else
			at += 2 + (size_t) (data[at] & 0xf);
	}
	return -1;
}

static void
count_packet(struct peer *p, const uint8_t *data)
{
	unsigned seq = get16(data + 2);

	if (!p->started)
	{
		p->started = true;
		p->ssrc = get32(data + 8);
		p->base = p->highest = seq;
	}
	if ((int16_t) (seq - (p->highest & 0xffff)) > 0)
		p->highest += (uint16_t) (seq - p->highest);
	p->packets++;
}

static void
verify(struct peer *p, uint8_t *data, size_t len, uint64_t arrived_ns)
{
	uint64_t due_ns;
	int n = (int) len;

	if (srtp_unprotect(p->srtp_in, data, &n) != srtp_err_status_ok)
	{
		p->failed++;
		return;
	}
	p->verified++;
	memcpy(&due_ns, data + n - PEER_STAMP, PEER_STAMP);
	if (p->counting && p->on_latency != NULL)
		p->on_latency(p->arg, (double) (arrived_ns - due_ns) / 1e3);
}

/* RFC 5761, section 4: RTCP's packet types are 192 to 223.  The first stream is the one that counts; retransmissions
 * and padding have another. */
static void
take_srtp(struct peer *p, uint8_t *data, size_t len, uint64_t arrived_ns)
{
	int n = (int) len, twcc;

	if (p->state != PEER_UP)
		return;
	if (data[1] >= 192 && data[1] <= 223)
	{
		if (srtp_unprotect_rtcp(p->srtp_in, data, &n) != srtp_err_status_ok)
			p->failed++;
		for (size_t at = 0; at + 4 <= (size_t) n; at += 4 + 4 * (size_t) get16(data + at + 2))
			p->key_requested |= data[at + 1] == 206;
		return;
	}
	twcc = p->twcc_id == 0 ? -1 : find_twcc(p, data, len);
	if (twcc >= 0)
		note_twcc(p, (uint16_t) twcc, arrived_ns / 1000);
	if (p->started && get32(data + 8) != p->ssrc)
		return;
	count_packet(p, data);
	if (p->packets % VERIFY_EVERY == 1)
		verify(p, data, len, arrived_ns);
}

static uint64_t
arrival_of(struct msghdr *m)
{
	struct timespec t;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
	{
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS)
		{
			memcpy(&t, CMSG_DATA(c), sizeof(t));
			return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
		}
	}
	return peer_wall_ns();
}

/* RFC 7983, section 7: what a datagram is tells its first byte. */
static void
take_datagram(struct peer *p, uint8_t *data, size_t len, uint64_t arrived_ns)
{
	if (len >= 20 && data[0] == 1 && data[1] == 1)
	{
		if (p->state == PEER_CHECKING)
			start_dtls(p);
	}
	else if (len > 0 && data[0] >= 20 && data[0] <= 63 && p->state == PEER_SHAKING)
	{
		BIO_write(p->in, data, (int) len);
		shake(p);
	}
	else if (len > 12 && data[0] >= 128 && data[0] <= 191)
		take_srtp(p, data, len, arrived_ns);
}

static void
on_readable(void *arg)
{
	struct peer *p = arg;
	uint8_t data[PACKET_MAX];
	char control[CMSG_SPACE(sizeof(struct timespec))];
	struct iovec part = {data, sizeof(data)};
	ssize_t n;

	for (;;)
	{
		struct msghdr m = {
			.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

		n = recvmsg(p->fd, &m, MSG_DONTWAIT);
		if (n < 0)
			return;
		take_datagram(p, data, (size_t) n, arrival_of(&m));
	}
}

/* ---- a peer's life --------------------------------------------------------------------------- */

/* The port of the UDP candidate on 127.0.0.1.  A candidate is an object without objects inside. */
static int
find_port(const char *text, size_t len)
{
	const char *end = text + len;
	const char *at = text;

	while ((at = memchr(at, '{', (size_t) (end - at))) != NULL)
	{
		const char *close = memchr(at + 1, '}', (size_t) (end - at - 1));
		size_t n = (size_t) ((close == NULL ? end : close) - ++at);

		if (memmem(at, n, "\"127.0.0.1\"", 11) != NULL && memmem(at, n, "\"udp\"", 5) != NULL)
			return (int) packet_number(at, n, "port");
	}
	errx(1, "peer: no candidate on 127.0.0.1: %.*s", (int) len, text);
}

struct peer *
peer_new(struct peers *ps, const char *answer, size_t len)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t) find_port(answer, len))};
	struct peer *p = calloc(1, sizeof(*p));
	int one = 1, space = 4 << 20;

	if (p == NULL || (p->arrival_us = calloc(TWCC_SPACE, sizeof(*p->arrival_us))) == NULL)
		err(1, "calloc");
	p->peers = ps;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	packet_copy(p->ufrag, sizeof(p->ufrag), answer, len, "usernameFragment");
	packet_copy(p->password, sizeof(p->password), answer, len, "password");
	stun_agent_init(&p->stun, known_attributes, STUN_COMPATIBILITY_RFC5389,
					STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
	p->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || connect(p->fd, (struct sockaddr *) &to, sizeof(to)) < 0)
		err(1, "peer: socket");
	setsockopt(p->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
	setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &space, sizeof(space));
	swarm_watch(ps->swarm, p->fd, on_readable, p);
	return p;
}

void
peer_free(struct peer *p)
{
	SSL_free(p->ssl);
	if (p->state == PEER_UP)
	{
		srtp_dealloc(p->srtp_in);
		srtp_dealloc(p->srtp_out);
	}
	close(p->fd);
	free(p->arrival_us);
	free(p);
}

bool
peer_is_up(const struct peer *p)
{
	return p->state == PEER_UP;
}

uint64_t
peer_up_ns(const struct peer *p)
{
	return p->up_ns;
}

void
peer_go_on(struct peer *p, uint64_t now_ns)
{
	if (now_ns >= p->check_ns)
	{
		send_check(p);
		p->check_ns = now_ns + (p->state == PEER_CHECKING ? CHECK_NS : CONSENT_NS);
	}
	if (p->state == PEER_SHAKING && DTLSv1_handle_timeout(p->ssl) > 0)
		flush_dtls(p);
	if (p->started && now_ns >= p->report_ns)
	{
		send_reports(p);
		p->report_ns = now_ns + REPORT_NS;
	}
}

void
peer_set_twcc_id(struct peer *p, int id)
{
	p->twcc_id = id;
}

bool
peer_takes_key_request(struct peer *p)
{
	bool requested = p->key_requested;

	p->key_requested = false;
	return requested;
}

void
peer_send_rtp(struct peer *p, uint8_t *packet, size_t len)
{
	int n = (int) len;

	if (srtp_protect(p->srtp_out, packet, &n) != srtp_err_status_ok)
		errx(1, "peer: cannot protect a packet");
	send_datagram(p, packet, (size_t) n);
}

void
peer_start_counting(struct peer *p, void (*on_latency)(void *arg, double us), void *arg)
{
	p->on_latency = on_latency;
	p->arg = arg;
	p->counting = true;
	p->counted_packets = p->packets;
	p->counted_from = p->highest;
	p->verified = p->failed = 0;
}

void
peer_count(const struct peer *p, struct peer_counts *c)
{
	uint64_t expected = p->highest - p->counted_from;

	c->packets = p->packets - p->counted_packets;
	c->lost = expected > c->packets ? expected - c->packets : 0;
	c->verified = p->verified;
	c->failed = p->failed;
}

/* ---- what they share --------------------------------------------------------------------------- */

static X509 *
new_certificate(EVP_PKEY *key)
{
	X509 *x = X509_new();

	if (x == NULL || X509_gmtime_adj(X509_getm_notBefore(x), -86400) == NULL ||
		X509_gmtime_adj(X509_getm_notAfter(x), 86400) == NULL || X509_set_pubkey(x, key) != 1 ||
		X509_sign(x, key, EVP_sha256()) == 0)
		errx(1, "peer: no certificate");
	return x;
}

static int
take_any_certificate(X509_STORE_CTX *store, void *arg)
{
	(void) store;
	(void) arg;
	return 1;
}

struct peers *
peers_new(struct swarm *s)
{
	struct peers *ps = calloc(1, sizeof(*ps));
	EVP_PKEY *key = EVP_EC_gen("P-256");
	uint8_t digest[32];
	unsigned n = sizeof(digest);
	X509 *x;

	if (ps == NULL || key == NULL || srtp_init() != srtp_err_status_ok)
		errx(1, "peer: no keys");
	ps->swarm = s;
	x = new_certificate(key);
	X509_digest(x, EVP_sha256(), digest, &n);
	for (unsigned i = 0; i < n; i++)
		snprintf(ps->fingerprint + 3 * i, 4, i + 1 < n ? "%02X:" : "%02X", digest[i]);
	ps->ssl = SSL_CTX_new(DTLS_client_method());
	if (ps->ssl == NULL || SSL_CTX_use_certificate(ps->ssl, x) != 1 || SSL_CTX_use_PrivateKey(ps->ssl, key) != 1 ||
		SSL_CTX_set_tlsext_use_srtp(ps->ssl, "SRTP_AEAD_AES_128_GCM") != 0)
		errx(1, "peer: no DTLS context");
	SSL_CTX_set_options(ps->ssl, SSL_OP_NO_QUERY_MTU);
	SSL_CTX_set_verify(ps->ssl, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ps->ssl, take_any_certificate, NULL);
	X509_free(x);
	EVP_PKEY_free(key);
	return ps;
}

const char *
peers_fingerprint(const struct peers *ps)
{
	return ps->fingerprint;
}
