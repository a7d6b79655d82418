#include "srtp.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <srtp2/srtp.h>

#include "../common/log.h"
#include "rtp.h"

#define TAG_LEN 16
#define SALT_LEN 12

/* What encrypts one kind of packets that go out. */
struct gcm
{
	EVP_CIPHER_CTX *cipher;
	uint8_t salt[SALT_LEN];
};

struct rt_srtp
{
	srtp_t in;
	srtp_t out; /* NULL: by OpenSSL */
	struct gcm rtp, rtcp;
	uint32_t rtcp_index; /* 31 bits; of the last packet */
};

enum rt_result
rt_srtp_startup(void)
{
	return srtp_init() == srtp_err_status_ok ? RT_OK : RT_INTERNAL;
}

/* RFC 3711 section 4.3: AES in counter mode over (label shifted into the salt), with the master key. */
static bool
derive(const uint8_t *master, uint8_t label, uint8_t *out, size_t len)
{
	uint8_t iv[16] = {0}, zeros[32] = {0};
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;
	bool ok;

	memcpy(iv, master + 16, SALT_LEN);
	iv[7] ^= label;
	ok = c && EVP_EncryptInit_ex(c, EVP_aes_128_ctr(), NULL, master, iv) == 1 &&
	     EVP_EncryptUpdate(c, out, &n, zeros, (int) len) == 1;
	EVP_CIPHER_CTX_free(c);
	return ok;
}

/* The labels are those of RFC 3711 section 4.3.2: of the key; that of the salt is two above. */
static bool
set_up_gcm(struct gcm *g, const uint8_t *master, uint8_t label)
{
	uint8_t key[16];
	bool ok;

	g->cipher = EVP_CIPHER_CTX_new();
	ok = g->cipher && derive(master, label, key, sizeof key) && derive(master, label + 2, g->salt, SALT_LEN) &&
	     EVP_EncryptInit_ex(g->cipher, EVP_aes_128_gcm(), NULL, key, NULL) == 1;
	OPENSSL_cleanse(key, sizeof key);
	return ok;
}

static void
free_gcm(struct gcm *g)
{
	EVP_CIPHER_CTX_free(g->cipher);
	OPENSSL_cleanse(g->salt, sizeof g->salt);
}

static bool
set_up_libsrtp(srtp_t *session, enum rt_srtp_profile profile, const uint8_t *key, srtp_ssrc_type_t direction)
{
	srtp_policy_t policy;

	memset(&policy, 0, sizeof policy);
	if (profile == RT_SRTP_AEAD_AES_128_GCM)
	{
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
	}
	else
	{
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
	}
	policy.ssrc.type = direction;
	policy.key = (unsigned char *) (uintptr_t) key;
	policy.window_size = 1024;
	policy.allow_repeat_tx = direction == ssrc_any_outbound; /* retransmission without RTX */
	return srtp_create(session, &policy) == srtp_err_status_ok;
}

static bool
set_up_sending(struct rt_srtp *s, const struct rt_dtls_keys *keys)
{
	if (keys->profile != RT_SRTP_AEAD_AES_128_GCM)
		return set_up_libsrtp(&s->out, keys->profile, keys->local, ssrc_any_outbound);
	return set_up_gcm(&s->rtp, keys->local, 0x00) && set_up_gcm(&s->rtcp, keys->local, 0x03);
}

enum rt_result
rt_srtp_new(struct rt_srtp **sp, const struct rt_dtls_keys *keys)
{
	struct rt_srtp *s = rt_alloc(sizeof *s);

	if (!set_up_libsrtp(&s->in, keys->profile, keys->remote, ssrc_any_inbound) || !set_up_sending(s, keys))
	{
		rt_log(RT_LOG_ERROR, "srtp", "cannot set up the session");
		rt_srtp_free(s);
		return RT_INTERNAL;
	}
	*sp = s;
	return RT_OK;
}

void
rt_srtp_free(struct rt_srtp *s)
{
	if (!s)
		return;
	if (s->in)
		srtp_dealloc(s->in);
	if (s->out)
		srtp_dealloc(s->out);
	free_gcm(&s->rtp);
	free_gcm(&s->rtcp);
	free(s);
}

enum rt_result
rt_srtp_unprotect(struct rt_srtp *s, uint8_t *data, size_t *len)
{
	int n = (int) *len;

	if (srtp_unprotect(s->in, data, &n) != srtp_err_status_ok)
		return RT_BAD_INPUT;
	*len = (size_t) n;
	return RT_OK;
}

enum rt_result
rt_srtp_unprotect_rtcp(struct rt_srtp *s, uint8_t *data, size_t *len)
{
	int n = (int) *len;

	if (srtp_unprotect_rtcp(s->in, data, &n) != srtp_err_status_ok)
		return RT_BAD_INPUT;
	*len = (size_t) n;
	return RT_OK;
}

/* RFC 7714 sections 8.1 and 9.1: the two have one layout. */
static void
make_iv(uint8_t *iv, const uint8_t *salt, uint32_t ssrc, uint32_t high, uint16_t low)
{
	iv[0] = iv[1] = 0;
	rt_put32(iv + 2, ssrc);
	rt_put32(iv + 6, high);
	rt_put16(iv + 10, low);
	for (int i = 0; i < SALT_LEN; i++)
		iv[i] ^= salt[i];
}

static bool
begin_gcm(struct gcm *g, const uint8_t *iv, const uint8_t *header, size_t len)
{
	int n;

	return EVP_EncryptInit_ex(g->cipher, NULL, NULL, NULL, iv) == 1 &&
	       EVP_EncryptUpdate(g->cipher, NULL, &n, header, (int) len) == 1;
}

static bool
add_gcm(struct gcm *g, uint8_t **at, const uint8_t *data, size_t len)
{
	int n;

	if (len == 0)
		return true;
	if (EVP_EncryptUpdate(g->cipher, *at, &n, data, (int) len) != 1)
		return false;
	*at += n;
	return true;
}

static bool
end_gcm(struct gcm *g, uint8_t **at)
{
	int n;

	if (EVP_EncryptFinal_ex(g->cipher, *at, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(g->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, *at) != 1)
		return false;
	*at += TAG_LEN;
	return true;
}

/* RFC 7714 section 9: header and index are authenticated; the index goes behind the tag, with the E flag. */
static enum rt_result
protect_rtcp_gcm(struct rt_srtp *s, uint8_t *data, size_t *len)
{
	uint8_t iv[SALT_LEN], word[4], *at = data + 8;
	uint32_t index = s->rtcp_index + 1;
	int n;

	if (*len < 8 || index > 0x7fffffff)
		return RT_INTERNAL;
	s->rtcp_index = index;
	rt_put32(word, 0x80000000 | index);
	make_iv(iv, s->rtcp.salt, rt_get32(data + 4), index >> 16, (uint16_t) index);
	if (!begin_gcm(&s->rtcp, iv, data, 8) || EVP_EncryptUpdate(s->rtcp.cipher, NULL, &n, word, sizeof word) != 1 ||
	    !add_gcm(&s->rtcp, &at, data + 8, *len - 8) || !end_gcm(&s->rtcp, &at))
		return RT_INTERNAL;
	memcpy(at, word, sizeof word);
	*len = (size_t) (at - data) + sizeof word;
	return RT_OK;
}

enum rt_result
rt_srtp_protect_rtcp(struct rt_srtp *s, uint8_t *data, size_t *len)
{
	int n = (int) *len;

	if (!s->out)
		return protect_rtcp_gcm(s, data, len);
	if (srtp_protect_rtcp(s->out, data, &n) != srtp_err_status_ok)
		return RT_INTERNAL;
	*len = (size_t) n;
	return RT_OK;
}

/* RFC 3711 section 3.3.1 and appendix A: which rollover the number belongs to; the state moves forward only. */
static uint32_t
rollover_of(struct rt_srtp_roc *r, uint16_t seq)
{
	int16_t ahead = (int16_t) (seq - r->highest);

	if (!r->started)
	{
		r->started = true;
		r->highest = seq;
		return r->roc;
	}
	if (ahead < 0)
		return seq > r->highest ? r->roc - 1 : r->roc;
	if (seq < r->highest)
		r->roc++;
	r->highest = seq;
	return r->roc;
}

static size_t
protect_by_libsrtp(struct rt_srtp *s, uint8_t *out, size_t header_len, const uint8_t *prefix, size_t prefix_len,
                   const uint8_t *payload, size_t payload_len)
{
	int n = (int) (header_len + prefix_len + payload_len);

	if (prefix_len)
		memcpy(out + header_len, prefix, prefix_len);
	memcpy(out + header_len + prefix_len, payload, payload_len);
	return srtp_protect(s->out, out, &n) == srtp_err_status_ok ? (size_t) n : 0;
}

size_t
rt_srtp_protect(struct rt_srtp *s, struct rt_srtp_roc *roc, uint8_t *out, size_t header_len, const uint8_t *prefix,
                size_t prefix_len, const uint8_t *payload, size_t payload_len)
{
	uint16_t seq = rt_get16(out + 2);
	uint8_t iv[SALT_LEN], *at = out + header_len;

	if (s->out)
		return protect_by_libsrtp(s, out, header_len, prefix, prefix_len, payload, payload_len);
	make_iv(iv, s->rtp.salt, rt_get32(out + 8), rollover_of(roc, seq), seq);
	if (!begin_gcm(&s->rtp, iv, out, header_len) || !add_gcm(&s->rtp, &at, prefix, prefix_len) ||
	    !add_gcm(&s->rtp, &at, payload, payload_len) || !end_gcm(&s->rtp, &at))
		return 0;
	return (size_t) (at - out);
}
