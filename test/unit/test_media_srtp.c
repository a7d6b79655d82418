/* test_media_srtp.c: our AES-GCM against libsrtp2, packet for packet; its own AES-CM path; tampering and replays. */
#include <stdlib.h>
#include <srtp2/srtp.h>

#include "bgworker/media/rtp.h"
#include "bgworker/media/srtp.h"
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

/* A session of libsrtp2 alone, that sends with our sending key. */
static srtp_t
reference_sender(void)
{
	struct rt_dtls_keys k = make_keys(RT_SRTP_AEAD_AES_128_GCM, false);
	srtp_policy_t policy;
	srtp_t s = NULL;

	memset(&policy, 0, sizeof policy);
	srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
	srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
	policy.ssrc.type = ssrc_any_outbound;
	policy.key = k.local;
	policy.window_size = 1024;
	policy.allow_repeat_tx = 1;
	return srtp_create(&s, &policy) == srtp_err_status_ok ? s : NULL;
}

static size_t
make_header(uint8_t *out, uint16_t seq, uint32_t ssrc)
{
	struct rt_rtp_ext_out ext = {1, 2, (const uint8_t *) "ab"};

	return rt_rtp_write_header(out, 96, false, seq, 3000 + seq, ssrc, &ext, seq % 3 ? 1 : 0);
}

/* Two rollovers, now and then a packet late or again, two streams: the bytes must be libsrtp2's. */
static void
test_gcm_oracle(void)
{
	struct rt_dtls_keys keys = make_keys(RT_SRTP_AEAD_AES_128_GCM, false);
	struct rt_srtp_roc roc[2] = {{0}, {0}};
	srtp_t reference = reference_sender();
	struct rt_srtp *s;
	uint8_t body[1200], ours[1600], theirs[1600];
	int wrong = 0, packets = 0;

	srandom(5);
	for (size_t i = 0; i < sizeof body; i++)
		body[i] = (uint8_t) random();
	ok(reference && rt_srtp_new(&s, &keys) == RT_OK, "sessions");
	for (int i = 0; i < 150000 && !wrong; i++)
	{
		int late = random() % 20 == 0 && i > 200 ? (int) (random() % 100) : 0, stream = i & 1;
		uint16_t seq = (uint16_t) (1000 + i - late);
		size_t prefix = (size_t) (i % 7), payload = (size_t) (random() % 1100), header, n;
		int m;

		header = make_header(ours, seq, 0x1000u + (uint32_t) stream);
		memcpy(theirs, ours, header);
		memcpy(theirs + header, body + 3, prefix);
		memcpy(theirs + header + prefix, body + 100, payload);
		m = (int) (header + prefix + payload);
		n = rt_srtp_protect(s, &roc[stream], ours, header, body + 3, prefix, body + 100, payload);
		if (srtp_protect(reference, theirs, &m) != srtp_err_status_ok)
			continue;
		packets++;
		wrong += n != (size_t) m || memcmp(ours, theirs, n) != 0;
	}
	ok(wrong == 0 && packets > 149000, "%d packets over two rollovers, late ones among them, as libsrtp2 makes them", packets);
	srtp_dealloc(reference);
	rt_srtp_free(s);
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

		n = rt_srtp_protect(out, &roc, p, header, clear, 5, clear + 5, sizeof clear - 5);
		if (rt_srtp_unprotect(in, p, &n) != RT_OK || n != header + sizeof clear || memcmp(p + header, clear, sizeof clear))
			lost++;
	}
	ok(lost == 0, "%s: what one end protects the other reads", name);
	n = rt_srtp_protect(out, &roc, p, make_header(p, (uint16_t) (30000 + 140007), 77), NULL, 0, clear, sizeof clear);
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
	size_t n = sizeof rr, m;

	rt_srtp_new(&out, &a);
	rt_srtp_new(&in, &b);
	memcpy(p, rr, n);
	ok(rt_srtp_protect_rtcp(out, p, &n) == RT_OK && n <= sizeof rr + RT_SRTP_OVERHEAD, "%s: RTCP grows within its room", name);
	memcpy(again, p, n);
	m = n;
	p[9] ^= 1;
	ok(rt_srtp_unprotect_rtcp(in, p, &m) == RT_BAD_INPUT, "%s: forged RTCP", name);
	memcpy(p, again, n);
	m = n;
	ok(rt_srtp_unprotect_rtcp(in, p, &m) == RT_OK && m == sizeof rr && memcmp(p, rr, m) == 0, "%s: RTCP", name);
	ok(rt_srtp_unprotect_rtcp(in, again, &n) == RT_BAD_INPUT, "%s: replayed RTCP", name);
	for (n = 0; n < 12; n++)
	{
		uint8_t *tiny = calloc(1, n + 1);

		memcpy(tiny, rr, n < sizeof rr ? n : sizeof rr);
		m = n;
		if (rt_srtp_unprotect_rtcp(in, tiny, &m) == RT_OK)
			ok(false, "%s: RTCP of %zu bytes", name, n);
		free(tiny);
	}
	rt_srtp_free(out);
	rt_srtp_free(in);
}

int
main(void)
{
	ok(rt_srtp_startup() == RT_OK, "libsrtp2 starts");
	test_gcm_oracle();
	test_pair(RT_SRTP_AEAD_AES_128_GCM, "GCM");
	test_pair(RT_SRTP_AES128_CM_SHA1_80, "AES-CM");
	test_rtcp(RT_SRTP_AEAD_AES_128_GCM, "GCM");
	test_rtcp(RT_SRTP_AES128_CM_SHA1_80, "AES-CM");
	srtp_shutdown();
	return tap_done();
}
