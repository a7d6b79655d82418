#include "alert.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "bgworker/common/log.h"
#include "bgworker/media/rtp/rtp.h"

#define MAX_KEY 32
#define FIXED_IV 4 /* the implicit part of the nonce */
#define NONCE 12   /* with the explicit part, which begins the record's body */
#define EXPLICIT 8
#define TAG 16
#define RECORD_HEADER 13
#define ALERT_BODY 2
#define TYPE_ALERT 21
#define VERSION 0xfefd /* DTLS 1.2 */
#define EPOCH 1        /* of the keys; the handshake's was 0 */
/* libssl has numbered its last records of this epoch from 0 on; the peer's window goes forward with us. */
#define FIRST_SEQ 0x10000

struct direction
{
	uint8_t key[MAX_KEY];
	uint8_t iv[FIXED_IV];
};

struct rt_alerts
{
	bool aes256;
	struct direction in, out;
	uint64_t sent;
};

/* ---- keys ---- */

/* RFC 5246 section 6.3. */
static bool
expand_keys(SSL *ssl, uint8_t *block, size_t len)
{
	const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl));
	uint8_t secret[SSL_MAX_MASTER_KEY_LENGTH], client[SSL3_RANDOM_SIZE], server[SSL3_RANDOM_SIZE];
	size_t secret_len = SSL_SESSION_get_master_key(SSL_get_session(ssl), secret, sizeof(secret));
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
										 (char *) (uintptr_t) (md != NULL ? EVP_MD_get0_name(md) : ""), 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, secret, secret_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, "key expansion", strlen("key expansion")),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, server, sizeof(server)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, client, sizeof(client)),
		OSSL_PARAM_construct_end()};
	bool ok = ctx != NULL && SSL_get_client_random(ssl, client, sizeof(client)) == sizeof(client) &&
			  SSL_get_server_random(ssl, server, sizeof(server)) == sizeof(server) &&
			  EVP_KDF_derive(ctx, block, len, params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	OPENSSL_cleanse(secret, sizeof(secret));
	return ok;
}

struct rt_alerts *
rt_alerts_new(SSL *ssl)
{
	int nid = SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(ssl));
	size_t key_len = nid == NID_aes_256_gcm ? 32 : 16;
	uint8_t block[2 * (MAX_KEY + FIXED_IV)];
	struct rt_alerts *a;
	struct direction *client, *server;

	if ((nid != NID_aes_128_gcm && nid != NID_aes_256_gcm) || SSL_version(ssl) != DTLS1_2_VERSION ||
		!expand_keys(ssl, block, 2 * (key_len + FIXED_IV)))
		return NULL;
	a = rt_alloc(sizeof(*a));
	a->aes256 = key_len == 32;
	client = SSL_is_server(ssl) ? &a->in : &a->out;
	server = SSL_is_server(ssl) ? &a->out : &a->in;
	memcpy(client->key, block, key_len);
	memcpy(server->key, block + key_len, key_len);
	memcpy(client->iv, block + 2 * key_len, FIXED_IV);
	memcpy(server->iv, block + 2 * key_len + FIXED_IV, FIXED_IV);
	OPENSSL_cleanse(block, sizeof(block));
	return a;
}

void
rt_alerts_free(struct rt_alerts *a)
{
	if (a == NULL)
		return;
	OPENSSL_cleanse(a, sizeof(*a));
	free(a);
}

/* ---- records ---- */

/* Alerts are few: no context is kept for them. */
static EVP_CIPHER_CTX *
begin(const struct rt_alerts *a, const struct direction *d, const uint8_t *record, bool encrypts)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t nonce[NONCE], aad[RECORD_HEADER];
	int n;

	memcpy(nonce, d->iv, FIXED_IV);
	memcpy(nonce + FIXED_IV, record + RECORD_HEADER, EXPLICIT);
	/* RFC 5246 section 6.2.3.3: number, type, version, length of what is in it */
	memcpy(aad, record + 3, 8);
	memcpy(aad + 8, record, 3);
	rt_put16(aad + 11, ALERT_BODY);
	if (c != NULL &&
		EVP_CipherInit_ex(c, a->aes256 ? EVP_aes_256_gcm() : EVP_aes_128_gcm(), NULL, d->key, nonce, encrypts) == 1 &&
		EVP_CipherUpdate(c, NULL, &n, aad, sizeof(aad)) == 1)
		return c;
	EVP_CIPHER_CTX_free(c);
	return NULL;
}

static enum rt_alert
read_alert(const struct rt_alerts *a, const uint8_t *record)
{
	EVP_CIPHER_CTX *c = begin(a, &a->in, record, false);
	const uint8_t *body = record + RECORD_HEADER + EXPLICIT;
	uint8_t alert[ALERT_BODY], tag[TAG];
	int n;
	bool ok;

	memcpy(tag, body + ALERT_BODY, TAG);
	ok = c != NULL && EVP_CipherUpdate(c, alert, &n, body, ALERT_BODY) == 1 &&
		 EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, tag) == 1 && EVP_CipherFinal_ex(c, alert + n, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok)
		return RT_ALERT_NONE;
	if (alert[1] == SSL3_AD_CLOSE_NOTIFY)
		return RT_ALERT_CLOSE;
	return alert[0] == SSL3_AL_FATAL ? RT_ALERT_FATAL : RT_ALERT_NONE;
}

enum rt_alert
rt_alerts_read(struct rt_alerts *a, const uint8_t *data, size_t len)
{
	while (len >= RECORD_HEADER)
	{
		size_t body = rt_get16(data + 11), record = RECORD_HEADER + body;
		enum rt_alert said = RT_ALERT_NONE;

		if (len < record)
			return RT_ALERT_NONE;
		if (data[0] == TYPE_ALERT && rt_get16(data + 1) == VERSION && rt_get16(data + 3) == EPOCH &&
			body == EXPLICIT + ALERT_BODY + TAG)
			said = read_alert(a, data);
		if (said != RT_ALERT_NONE)
			return said;
		data += record;
		len -= record;
	}
	return RT_ALERT_NONE;
}

/* The explicit part of the nonce is random, as libssl's first one was: the two must not meet. */
size_t
rt_alerts_write_close(struct rt_alerts *a, uint8_t out[RT_ALERT_MAX])
{
	static const uint8_t close_notify[ALERT_BODY] = {SSL3_AL_WARNING, SSL3_AD_CLOSE_NOTIFY};
	uint64_t seq = FIRST_SEQ + a->sent++;
	uint8_t *body = out + RECORD_HEADER + EXPLICIT;
	EVP_CIPHER_CTX *c;
	int n;
	bool ok;

	out[0] = TYPE_ALERT;
	rt_put16(out + 1, VERSION);
	rt_put16(out + 3, EPOCH);
	rt_put16(out + 5, (uint16_t) (seq >> 32));
	rt_put32(out + 7, (uint32_t) seq);
	rt_put16(out + 11, EXPLICIT + ALERT_BODY + TAG);
	if (RAND_bytes(out + RECORD_HEADER, EXPLICIT) != 1)
		return 0;
	c = begin(a, &a->out, out, true);
	ok = c != NULL && EVP_CipherUpdate(c, body, &n, close_notify, ALERT_BODY) == 1 &&
		 EVP_CipherFinal_ex(c, body + ALERT_BODY, &n) == 1 &&
		 EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, body + ALERT_BODY) == 1;
	EVP_CIPHER_CTX_free(c);
	return ok ? RECORD_HEADER + EXPLICIT + ALERT_BODY + TAG : 0;
}
