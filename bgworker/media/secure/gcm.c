/* gcm.c: see gcm.h.  srtp.c owns one for each peer.
 *
 *   SRTP   | header, CSRCs, extension: authenticated | payload: encrypted | tag (16) |           RFC 7714 section 8
 *   SRTCP  | header, SSRC: authenticated | rest: encrypted | tag (16) | E, index (4) |           section 9
 *   IV     | 0 (2) | SSRC (4) | ROC, SEQ or 0, index (6) |  xor salt                              sections 8.1, 9.1
 *
 * What must stay true: an IV is used once under a key.  For what goes out that is the callers' duty (consumer.c), and
 * for RTCP the index's, which ends at 2^31.  Of what comes in, nothing is noted before it has proved authentic. */
#include "gcm.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "bgworker/common/alloc.h"
#include "replay_window.h"
#include "bgworker/media/rtp/rtp.h"

#define KEY_LEN 16
#define SALT_LEN 12
#define IV_LEN 12
#define TAG_LEN 16
#define RTCP_HEADER 8
#define RTCP_INDEX 4
#define RTCP_ENCRYPTED 0x80000000 /* the E flag beside the index */

/* RFC 3711 section 4.3.2, of the keys; those of the salts are two above. */
#define LABEL_RTP 0x00
#define LABEL_RTCP 0x03

/* One kind of packets one way. */
struct cipher
{
	EVP_CIPHER_CTX *ctx;
	uint8_t salt[SALT_LEN];
};

/* An incoming SSRC. */
struct stream
{
	struct stream *next;
	uint32_t ssrc;
	struct rt_replay_window rtp, rtcp;
};

struct rt_gcm
{
	struct cipher rtp_out, rtcp_out, rtp_in, rtcp_in;
	uint32_t rtcp_index;    /* of the last one that was sent, 31 bits */
	struct stream *streams; /* the one that was heard last comes first */
	int nstreams;
};

/* ---- keys ---- */

/* RFC 3711 section 4.3: AES in counter mode over the label shifted into the salt, with the master key. */
static bool
derive(const uint8_t *master, uint8_t label, uint8_t *out, size_t len)
{
	uint8_t iv[16] = {0}, zeros[KEY_LEN] = {0};
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;
	bool ok;

	memcpy(iv, master + KEY_LEN, SALT_LEN);
	iv[7] ^= label;
	ok = c != NULL && EVP_EncryptInit_ex(c, EVP_aes_128_ctr(), NULL, master, iv) == 1 &&
		 EVP_EncryptUpdate(c, out, &n, zeros, (int) len) == 1;
	EVP_CIPHER_CTX_free(c);
	return ok;
}

static bool
set_up(struct cipher *c, const uint8_t *master, uint8_t label, bool encrypts)
{
	uint8_t key[KEY_LEN];
	bool ok;

	c->ctx = EVP_CIPHER_CTX_new();
	ok = c->ctx != NULL && derive(master, label, key, sizeof(key)) && derive(master, label + 2, c->salt, SALT_LEN) &&
		 EVP_CipherInit_ex(c->ctx, EVP_aes_128_gcm(), NULL, key, NULL, encrypts) == 1;
	OPENSSL_cleanse(key, sizeof(key));
	return ok;
}

struct rt_gcm *
rt_gcm_new(const uint8_t *local, const uint8_t *remote)
{
	struct rt_gcm *g = rt_alloc(sizeof(*g));

	if (set_up(&g->rtp_out, local, LABEL_RTP, true) && set_up(&g->rtcp_out, local, LABEL_RTCP, true) &&
		set_up(&g->rtp_in, remote, LABEL_RTP, false) && set_up(&g->rtcp_in, remote, LABEL_RTCP, false))
		return g;
	rt_gcm_free(g);
	return NULL;
}

void
rt_gcm_free(struct rt_gcm *g)
{
	if (g == NULL)
		return;
	while (g->streams != NULL)
	{
		struct stream *s = g->streams;

		g->streams = s->next;
		free(s);
	}
	EVP_CIPHER_CTX_free(g->rtp_out.ctx);
	EVP_CIPHER_CTX_free(g->rtcp_out.ctx);
	EVP_CIPHER_CTX_free(g->rtp_in.ctx);
	EVP_CIPHER_CTX_free(g->rtcp_in.ctx);
	OPENSSL_cleanse(g, sizeof(*g));
	free(g);
}

/* ---- the cipher ---- */

/* RFC 7714 sections 8.1 and 9.1: RTP and RTCP have one layout. */
static void
make_iv(uint8_t *iv, const struct cipher *c, uint32_t ssrc, uint64_t index)
{
	iv[0] = iv[1] = 0;
	rt_bytes_put32(iv + 2, ssrc);
	rt_bytes_put32(iv + 6, (uint32_t) (index >> 16));
	rt_bytes_put16(iv + 10, (uint16_t) index);
	for (int i = 0; i < IV_LEN; i++)
		iv[i] ^= c->salt[i];
}

static bool
begin(struct cipher *c, uint32_t ssrc, uint64_t index, const uint8_t *header, size_t len)
{
	uint8_t iv[IV_LEN];
	int n;

	make_iv(iv, c, ssrc, index);
	return EVP_CipherInit_ex(c->ctx, NULL, NULL, NULL, iv, -1) == 1 &&
		   EVP_CipherUpdate(c->ctx, NULL, &n, header, (int) len) == 1;
}

static bool
authenticate(struct cipher *c, const uint8_t *data, size_t len)
{
	int n;

	return EVP_CipherUpdate(c->ctx, NULL, &n, data, (int) len) == 1;
}

/* Encrypts or decrypts; *at moves on behind what it wrote. */
static bool
add(struct cipher *c, uint8_t **at, const uint8_t *data, size_t len)
{
	int n;

	if (len == 0)
		return true;
	if (EVP_CipherUpdate(c->ctx, *at, &n, data, (int) len) != 1)
		return false;
	*at += n;
	return true;
}

static bool
end(struct cipher *c, uint8_t **at)
{
	int n;

	if (EVP_CipherFinal_ex(c->ctx, *at, &n) != 1 ||
		EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, *at) != 1)
		return false;
	*at += TAG_LEN;
	return true;
}

static bool
check(struct cipher *c, uint8_t *tag)
{
	int n;

	return EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
		   EVP_CipherFinal_ex(c->ctx, tag, &n) == 1;
}

/* ---- out ---- */

/* The state moves forward only: what is late, or sent again, belongs to where it was sent first. */
static uint64_t
index_of(struct rt_srtp_roc *r, uint16_t seq)
{
	int16_t ahead = (int16_t) (seq - r->highest);
	uint32_t rollover = r->roc;

	if (!r->started || ahead >= 0)
	{
		if (r->started && seq < r->highest)
			rollover = ++r->roc;
		r->started = true;
		r->highest = seq;
	}
	else if (seq > r->highest)
		rollover--;
	return (uint64_t) rollover << 16 | seq;
}

size_t
rt_gcm_protect(struct rt_gcm *g, struct rt_srtp_roc *roc, uint8_t *out, size_t header_len, const uint8_t *prefix,
			   size_t prefix_len, const uint8_t *payload, size_t payload_len)
{
	struct cipher *c = &g->rtp_out;
	uint8_t *at = out + header_len;

	if (!begin(c, rt_bytes_get32(out + 8), index_of(roc, rt_bytes_get16(out + 2)), out, header_len) ||
		!add(c, &at, prefix, prefix_len) || !add(c, &at, payload, payload_len) || !end(c, &at))
		return 0;
	return (size_t) (at - out);
}

/* RFC 7714 section 9: header and index are authenticated; the index goes behind the tag. */
enum rt_result
rt_gcm_protect_rtcp(struct rt_gcm *g, uint8_t *data, size_t *len)
{
	struct cipher *c = &g->rtcp_out;
	uint8_t word[RTCP_INDEX], *at = data + RTCP_HEADER;

	if (*len < RTCP_HEADER || g->rtcp_index == ~RTCP_ENCRYPTED)
		return RT_INTERNAL;
	g->rtcp_index++;
	rt_bytes_put32(word, RTCP_ENCRYPTED | g->rtcp_index);
	if (!begin(c, rt_bytes_get32(data + 4), g->rtcp_index, data, RTCP_HEADER) ||
		!authenticate(c, word, sizeof(word)) || !add(c, &at, data + RTCP_HEADER, *len - RTCP_HEADER) || !end(c, &at))
		return RT_INTERNAL;
	memcpy(at, word, sizeof(word));
	*len = (size_t) (at - data) + sizeof(word);
	return RT_OK;
}

/* ---- in ---- */

static struct stream *
find_stream(struct rt_gcm *g, uint32_t ssrc)
{
	for (struct stream **at = &g->streams; *at != NULL; at = &(*at)->next)
		if ((*at)->ssrc == ssrc)
		{
			struct stream *s = *at;

			*at = s->next;
			s->next = g->streams;
			g->streams = s;
			return s;
		}
	return NULL;
}

/* For a packet that proved authentic.  NULL: there are too many. */
static struct stream *
add_stream(struct rt_gcm *g, uint32_t ssrc)
{
	struct stream *s;

	if (g->nstreams == RT_GCM_MAX_STREAMS)
		return NULL;
	s = rt_alloc(sizeof(*s));
	s->ssrc = ssrc;
	s->next = g->streams;
	g->streams = s;
	g->nstreams++;
	return s;
}

/* How far the header goes, with CSRCs and extension, all of which is in the clear; 0: further than the packet. */
static size_t
header_length(const uint8_t *data, size_t len)
{
	size_t n = RT_RTP_HEADER;

	if (len < n)
		return 0;
	n += 4 * (size_t) (data[0] & 15);
	if (data[0] & 0x10)
	{
		if (len < n + 4)
			return 0;
		n += 4 + 4 * (size_t) rt_bytes_get16(data + n + 2);
	}
	return n <= len ? n : 0;
}

static bool
open_rtp(struct cipher *c, uint8_t *data, size_t header, size_t tag_at, uint64_t index)
{
	uint8_t *at = data + header;

	return begin(c, rt_bytes_get32(data + 8), index, data, header) && add(c, &at, at, tag_at - header) &&
		   check(c, data + tag_at);
}

enum rt_result
rt_gcm_unprotect(struct rt_gcm *g, uint8_t *data, size_t *len)
{
	static const struct rt_replay_window unheard;
	size_t header = header_length(data, *len), tag_at = *len - TAG_LEN;
	struct stream *s;
	uint64_t index;
	uint32_t ssrc;

	if (header == 0 || *len < header + TAG_LEN)
		return RT_BAD_INPUT;
	ssrc = rt_bytes_get32(data + 8);
	s = find_stream(g, ssrc);
	index = rt_replay_window_index(s != NULL ? &s->rtp : &unheard, rt_bytes_get16(data + 2));
	if ((s != NULL && !rt_replay_window_is_new(&s->rtp, index)) ||
		!open_rtp(&g->rtp_in, data, header, tag_at, index) || (s == NULL && (s = add_stream(g, ssrc)) == NULL))
		return RT_BAD_INPUT;
	rt_replay_window_note(&s->rtp, index);
	*len = tag_at;
	return RT_OK;
}

static bool
open_rtcp(struct cipher *c, uint8_t *data, size_t tag_at, uint32_t index)
{
	uint8_t *at = data + RTCP_HEADER;

	return begin(c, rt_bytes_get32(data + 4), index, data, RTCP_HEADER) &&
		   authenticate(c, data + tag_at + TAG_LEN, RTCP_INDEX) && add(c, &at, at, tag_at - RTCP_HEADER) &&
		   check(c, data + tag_at);
}

enum rt_result
rt_gcm_unprotect_rtcp(struct rt_gcm *g, uint8_t *data, size_t *len)
{
	struct stream *s;
	uint32_t ssrc, word;
	size_t tag_at;

	if (*len < RTCP_HEADER + TAG_LEN + RTCP_INDEX)
		return RT_BAD_INPUT;
	tag_at = *len - RTCP_INDEX - TAG_LEN;
	ssrc = rt_bytes_get32(data + 4);
	word = rt_bytes_get32(data + tag_at + TAG_LEN);
	if (!(word & RTCP_ENCRYPTED))
		return RT_BAD_INPUT;
	word &= ~RTCP_ENCRYPTED;
	s = find_stream(g, ssrc);
	if ((s != NULL && !rt_replay_window_is_new(&s->rtcp, word)) || !open_rtcp(&g->rtcp_in, data, tag_at, word) ||
		(s == NULL && (s = add_stream(g, ssrc)) == NULL))
		return RT_BAD_INPUT;
	rt_replay_window_note(&s->rtcp, word);
	*len = tag_at;
	return RT_OK;
}
