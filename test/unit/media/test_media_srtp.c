/* test_media_srtp.c: our AES-GCM against libsrtp2, packet for packet; its own AES-CM path; tampering and replays. */
#include <stdlib.h>
#include <srtp2/srtp.h>

#include "bgworker/media/secure/gcm.h"
#include "bgworker/media/secure/replay_window.h"
#include "bgworker/media/rtp/rtcp.h"
#include "bgworker/media/rtp/rtp.h"
#include "bgworker/media/secure/srtp.h"
#include "tap.h"

static struct rt_dtls_keys
make_keys(enum rt_srtp_profile profile, bool mirrored)
{
	struct rt_dtls_keys k = {.profile = profile};

	for (int i = 0; i < RT_SRTP_KEY_LEN; i++)
	{
		(mirrored ? k.remote : k.local)[i] = (uint8_t) (i * 7 + 1);
		(mirrored ? k.local : k.remote)[i] = (uint8_t) (i * 11 + 3);
	}
	return k;
}

/* A session of libsrtp2 alone, with our sending key. */
static srtp_t
reference(srtp_ssrc_type_t direction)
{
	struct rt_dtls_keys k = make_keys(RT_SRTP_AEAD_AES_128_GCM, false);
	srtp_policy_t policy;
	srtp_t s = NULL;

	memset(&policy, 0, sizeof(policy));
	srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
	srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
	policy.ssrc.type = direction;
	policy.key = k.local;
	policy.window_size = RT_REPLAY_WINDOW_PACKETS;
	policy.allow_repeat_tx = 1;
	return srtp_create(&s, &policy) == srtp_err_status_ok ? s : NULL;
}

static struct rt_srtp *
session(enum rt_srtp_profile profile, bool mirrored)
{
	struct rt_dtls_keys keys = make_keys(profile, mirrored);
	struct rt_srtp *s = NULL;

	return rt_srtp_new(&s, &keys) == RT_OK ? s : NULL;
}

static int
below(int n)
{
	return (int) (random() % n);
}

static size_t
make_header(uint8_t *out, uint16_t seq, uint32_t ssrc)
{
	struct rt_rtp_ext_out ext = {1, 2, (const uint8_t *) "ab"};

	return rt_rtp_write_header(out, 96, false, seq, 3000 + seq, ssrc, &ext, seq % 3 ? 1 : 0);
}

/* With what a header may have: CSRCs, an extension of either form, of any length. */
static size_t
make_any_header(uint8_t *out, uint16_t seq, uint32_t ssrc)
{
	size_t n = RT_RTP_HEADER, csrcs = below(4) ? 0 : (size_t) below(16), words = (size_t) below(20);

	for (size_t i = 0; i < 200; i++)
		out[i] = (uint8_t) random();
	out[0] = (uint8_t) (0x80 | csrcs);
	rt_bytes_put16(out + 2, seq);
	rt_bytes_put32(out + 8, ssrc);
	n += 4 * csrcs;
	if (below(3) == 0)
		return n;
	out[0] |= 0x10;
	rt_bytes_put16(out + n, below(2) ? 0xBEDE : 0x1000);
	rt_bytes_put16(out + n + 2, (uint16_t) words);
	return n + 4 + 4 * words;
}

#define SIZES 1301 /* of payloads, from 0 */
#define ROOM 1700
static uint8_t noise[SIZES + 8];

/* Two rollovers, every size, now and then a packet late or again, two streams: the bytes must be libsrtp2's. */
static void
test_sending(void)
{
	struct rt_srtp_roc roc[2] = {{0}, {0}};
	srtp_t theirs = reference(ssrc_any_outbound);
	struct rt_srtp *ours = session(RT_SRTP_AEAD_AES_128_GCM, false);
	uint8_t a[ROOM], b[ROOM];
	int wrong = 0, packets = 0;

	for (int i = 0; i < 150000 && !wrong; i++)
	{
		int late = i > 200 && below(20) == 0 ? below(100) : 0, stream = i & 1;
		size_t prefix = (size_t) below(8), size = (size_t) (i % SIZES), n;
		size_t header = make_any_header(a, (uint16_t) (1000 + i - late), 0x1000u + (uint32_t) stream);
		int m = (int) (header + prefix + size);

		memcpy(b, a, header);
		memcpy(b + header, noise, prefix);
		memcpy(b + header + prefix, noise + prefix, size);
		n = rt_srtp_protect(ours, &roc[stream], a, header, noise, prefix, noise + prefix, size);
		if (srtp_protect(theirs, b, &m) != srtp_err_status_ok)
			continue;
		packets++;
		wrong += n != (size_t) m || memcmp(a, b, n) != 0;
	}
	ok(wrong == 0 && packets > 149000, "%d packets out, over rollovers, late ones among them, as libsrtp2 makes them",
	   packets);
	srtp_dealloc(theirs);
	rt_srtp_free(ours);
}

/* What libsrtp2 has protected, for it and for us to open. */
#define SENT 4096
static struct sent
{
	int len;
	uint8_t data[ROOM];
} sent[SENT];

struct receivers
{
	srtp_t theirs;
	struct rt_srtp *ours;
	int accepted, refused, wrong;
};

static void
open_both(struct receivers *r, const struct sent *p, int broken_bit)
{
	uint8_t a[ROOM], b[ROOM];
	size_t n = (size_t) p->len;
	int m = p->len;
	bool accept;

	memcpy(a, p->data, n);
	if (broken_bit >= 0)
		a[broken_bit / 8] ^= (uint8_t) (1 << broken_bit % 8);
	memcpy(b, a, n);
	accept = srtp_unprotect(r->theirs, b, &m) == srtp_err_status_ok;
	if ((rt_srtp_unprotect(r->ours, a, &n) == RT_OK) != accept ||
		(accept && (n != (size_t) m || memcmp(a, b, n) != 0)))
		r->wrong++;
	*(accept ? &r->accepted : &r->refused) += 1;
}

/* Rollovers, gaps, all orders, replays, forgeries: taken and refused is what libsrtp2 takes and refuses. */
static void
test_receiving(void)
{
	srtp_t sender = reference(ssrc_any_outbound);
	struct receivers r = {.theirs = reference(ssrc_any_inbound), .ours = session(RT_SRTP_AEAD_AES_128_GCM, true)};
	uint16_t seq[3] = {20000, 5, 65000};

	for (int i = 0; i < 200000 && !r.wrong; i++)
	{
		struct sent *p = &sent[i % SENT];
		int stream = i % 3, kind = below(100);
		size_t size = (size_t) below(SIZES), header;

		seq[stream] = (uint16_t) (seq[stream] + (kind == 0 ? below(2500) : kind < 10 ? below(9) : 1));
		header = make_any_header(p->data, seq[stream], 0x2000u + (uint32_t) stream);
		memcpy(p->data + header, noise, size);
		p->len = (int) (header + size);
		srtp_protect(sender, p->data, &p->len);
		if (kind < 90) /* or it comes late, if ever */
			open_both(&r, p, kind == 20 ? below(8 * p->len) : -1);
		if (kind > 80)
			open_both(&r, &sent[below(i < SENT ? i + 1 : below(2) ? SENT : 300)], -1);
	}
	ok(r.wrong == 0 && r.accepted > 150000 && r.refused > 10000,
	   "%d packets in are opened, %d refused, as by libsrtp2", r.accepted, r.refused);
	srtp_dealloc(sender);
	srtp_dealloc(r.theirs);
	rt_srtp_free(r.ours);
}

static void
test_rtcp_oracle(void)
{
	srtp_t sender = reference(ssrc_any_outbound), receiver = reference(ssrc_any_inbound);
	struct rt_srtp *out = session(RT_SRTP_AEAD_AES_128_GCM, false), *in = session(RT_SRTP_AEAD_AES_128_GCM, true);
	int wrong = 0;

	for (int i = 0; i < SIZES; i++)
	{
		uint8_t ours[ROOM] = {0x80, 201, 0, 1, 0, 0, 0, 9}, theirs[ROOM];
		size_t n = 8 + (size_t) i;
		int m = (int) n;

		memcpy(ours + 8, noise, (size_t) i);
		memcpy(theirs, ours, n);
		wrong += rt_srtp_protect_rtcp(out, ours, &n) != RT_OK ||
				 srtp_protect_rtcp(sender, theirs, &m) != srtp_err_status_ok || n != (size_t) m ||
				 memcmp(ours, theirs, n) != 0;
		wrong += srtp_unprotect_rtcp(receiver, ours, &m) != srtp_err_status_ok ||
				 rt_srtp_unprotect_rtcp(in, theirs, &n) != RT_OK || n != (size_t) m || n != 8 + (size_t) i ||
				 memcmp(ours, theirs, n) != 0;
	}
	ok(wrong == 0, "RTCP of every size, both ways, as libsrtp2 has it");
	srtp_dealloc(sender);
	srtp_dealloc(receiver);
	rt_srtp_free(out);
	rt_srtp_free(in);
}

/* An authentic peer cannot make us keep more and more. */
static void
test_stream_limit(void)
{
	struct rt_srtp *out = session(RT_SRTP_AEAD_AES_128_GCM, false), *in = session(RT_SRTP_AEAD_AES_128_GCM, true);
	uint8_t p[64];
	size_t n;
	int taken = 0;

	for (uint32_t ssrc = 0; ssrc < 2 * RT_GCM_MAX_STREAMS; ssrc++)
	{
		struct rt_srtp_roc roc = {0};

		n = rt_srtp_protect(out, &roc, p, make_header(p, 1, ssrc), NULL, 0, noise, 5);
		taken += rt_srtp_unprotect(in, p, &n) == RT_OK;
	}
	ok(taken == RT_GCM_MAX_STREAMS, "%d streams of a peer are followed", taken);
	rt_srtp_free(out);
	rt_srtp_free(in);
}

static void
test_pair(enum rt_srtp_profile profile, const char *name)
{
	struct rt_dtls_keys a = make_keys(profile, false), b = make_keys(profile, true);
	struct rt_srtp *out, *in;
	struct rt_srtp_roc roc = {0};
	uint8_t p[1600], kept[1600], clear[] = "some clear text";
	size_t n, m;
	int lost = 0;

	ok(rt_srtp_new(&out, &a) == RT_OK && rt_srtp_new(&in, &b) == RT_OK, "%s: two ends", name);
	for (int i = 0; i < 140000; i += 7) /* with gaps, over two rollovers */
	{
		size_t header = make_header(p, (uint16_t) (30000 + i), 77);

		n = rt_srtp_protect(out, &roc, p, header, clear, 5, clear + 5, sizeof(clear) - 5);
		if (rt_srtp_unprotect(in, p, &n) != RT_OK || n != header + sizeof(clear) ||
			memcmp(p + header, clear, sizeof(clear)))
			lost++;
	}
	ok(lost == 0, "%s: what one end protects the other reads", name);
	n = rt_srtp_protect(out, &roc, p, make_header(p, (uint16_t) (30000 + 140007), 77), NULL, 0, clear, sizeof(clear));
	for (size_t bit = 0; bit < 8 * n; bit += 5)
	{
		memcpy(kept, p, n);
		kept[bit / 8] ^= (uint8_t) (1 << bit % 8);
		m = n;
		if (rt_srtp_unprotect(in, kept, &m) == RT_OK)
			ok(false, "%s: bit %zu was flipped and nobody saw", name, bit);
	}
	for (size_t len = 0; len < n; len++)
	{
		uint8_t *cut = malloc(len + 1);

		memcpy(cut, p, len);
		m = len;
		if (len >= RT_RTP_HEADER && rt_srtp_unprotect(in, cut, &m) == RT_OK)
			ok(false, "%s: cut to %zu bytes", name, len);
		free(cut);
	}
	memcpy(kept, p, n);
	m = n;
	ok(rt_srtp_unprotect(in, p, &m) == RT_OK, "%s: forged ones before it do no harm", name);
	ok(rt_srtp_unprotect(in, kept, &n) == RT_BAD_INPUT, "%s: a replay is refused", name);
	rt_srtp_free(out);
	rt_srtp_free(in);
}

static void
test_rtcp(enum rt_srtp_profile profile, const char *name)
{
	struct rt_dtls_keys a = make_keys(profile, false), b = make_keys(profile, true);
	struct rt_srtp *out, *in;
	uint8_t p[64 + RT_SRTP_OVERHEAD], again[64 + RT_SRTP_OVERHEAD];
	const uint8_t rr[8] = {0x80, 201, 0, 1, 0, 0, 0, 9};
	size_t n = sizeof(rr), m;

	rt_srtp_new(&out, &a);
	rt_srtp_new(&in, &b);
	memcpy(p, rr, n);
	ok(rt_srtp_protect_rtcp(out, p, &n) == RT_OK && n <= sizeof(rr) + RT_SRTP_OVERHEAD,
	   "%s: RTCP grows within its room", name);
	memcpy(again, p, n);
	m = n;
	p[9] ^= 1;
	ok(rt_srtp_unprotect_rtcp(in, p, &m) == RT_BAD_INPUT, "%s: forged RTCP", name);
	memcpy(p, again, n);
	m = n;
	ok(rt_srtp_unprotect_rtcp(in, p, &m) == RT_OK && m == sizeof(rr) && memcmp(p, rr, m) == 0, "%s: RTCP", name);
	ok(rt_srtp_unprotect_rtcp(in, again, &n) == RT_BAD_INPUT, "%s: replayed RTCP", name);
	for (n = 0; n < 12; n++)
	{
		uint8_t *tiny = calloc(1, n + 1);

		memcpy(tiny, rr, n < sizeof(rr) ? n : sizeof(rr));
		m = n;
		if (rt_srtp_unprotect_rtcp(in, tiny, &m) == RT_OK)
			ok(false, "%s: RTCP of %zu bytes", name, n);
		free(tiny);
	}
	rt_srtp_free(out);
	rt_srtp_free(in);
}

/* A client that makes up one SSRC after the other: each costs libsrtp2 a context and longer searches. */
static void
test_many_sources(void)
{
	struct rt_dtls_keys a = make_keys(RT_SRTP_AES128_CM_SHA1_80, false),
						b = make_keys(RT_SRTP_AES128_CM_SHA1_80, true);
	struct rt_srtp_roc steady = {0};
	struct rt_srtp *out, *in;
	uint8_t p[200], body[20] = {0};
	int lost = 0, taken = 0;

	rt_srtp_new(&out, &a);
	rt_srtp_new(&in, &b);
	for (int i = 0; i < 2000; i++)
	{
		struct rt_srtp_roc roc = {0};
		size_t n =
			rt_srtp_protect(out, &steady, p, make_header(p, (uint16_t) (65000 + i), 7), NULL, 0, body, sizeof(body));

		lost += rt_srtp_unprotect(in, p, &n) != RT_OK;
		n = rt_srtp_protect(out, &roc, p, make_header(p, 1, 1000000u + (uint32_t) i), NULL, 0, body, sizeof(body));
		taken += rt_srtp_unprotect(in, p, &n) == RT_OK;
		n = rt_rtcp_write_pli(p, 100, 3000000u + (uint32_t) i, 1);
		rt_srtp_protect_rtcp(out, p, &n);
		taken += rt_srtp_unprotect_rtcp(in, p, &n) == RT_OK;
	}
	ok(taken > 100 && taken < 300, "AES-CM: of 4,000 sources %d are followed", taken);
	ok(lost == 0, "AES-CM: the first one to the end");
	rt_srtp_free(out);
	rt_srtp_free(in);
}

int
main(void)
{
	ok(rt_srtp_startup() == RT_OK, "libsrtp2 starts");
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t) random();
	test_sending();
	test_receiving();
	test_rtcp_oracle();
	test_stream_limit();
	test_pair(RT_SRTP_AEAD_AES_128_GCM, "GCM");
	test_pair(RT_SRTP_AES128_CM_SHA1_80, "AES-CM");
	test_rtcp(RT_SRTP_AEAD_AES_128_GCM, "GCM");
	test_rtcp(RT_SRTP_AES128_CM_SHA1_80, "AES-CM");
	test_many_sources();
	srtp_shutdown();
	return tap_done();
}
