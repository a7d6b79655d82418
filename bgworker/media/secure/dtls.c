/* dtls.c: see dtls.h.  webrtc_transport.c owns one for each peer and drives its timer.
 *
 *   NEW ──> CONNECTING ──> CONNECTED ──> CLOSED        any ──> FAILED
 *
 * What must stay true: CONNECTED means that the handshake is over and the peer's certificate has the digest that
 * signalling gave (RFC 8122 section 5, RFC 5763 section 5); until that is known, a handshake that is over waits in
 * CONNECTING. libssl verifies no chain, so this comparison is all there is.
 *
 * libssl's object stays for the whole call: it answers a peer that repeats its last flight, and hears close_notify.
 * Its record buffers, 34 kB, are freed whenever it is idle, and the pages of what it puts messages together in, 22
 * kB, are given back after the handshake; see rt_dtls_save_memory(). */
#include "dtls.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"

#define RECORD_HEADER 13 /* bytes */
/* Of one handshake message.  libssl makes room for all of it at the first fragment, and for ten messages at once; its
 * own limit is 100 kB.  Browsers' certificates have some hundred bytes. */
#define MAX_MESSAGE 16384

struct rt_dtls_context
{
	SSL_CTX *ssl;
	BIO_METHOD *out;
	X509 *cert;
	EVP_PKEY *key;
	char fingerprint[3 * EVP_MAX_MD_SIZE];
};

struct rt_dtls
{
	SSL *ssl;
	BIO *in; /* owned by ssl */
	rt_dtls_send_cb send;
	void *arg;
	enum rt_dtls_state state;
	bool client;
	const EVP_MD *digest; /* NULL: no fingerprint yet */
	uint8_t fingerprint[EVP_MAX_MD_SIZE];
	uint8_t *assembly; /* libssl's; NULL: none, or not known */
	size_t assembly_bytes;
};

/* ---- libssl's memory ----
 *
 * Over datagrams libssl keeps the buffer in which it puts handshake messages together, and offers no way to have it
 * back: more than half of what an association takes. Between two messages it holds nothing. So it gets pages of its
 * own, and once the handshake is over they go back to the system; a message that comes later finds zeros there, and
 * writes over them. It is told from other memory by how it is asked for: a BUF_MEM grows by realloc() alone. */

#define PAGE 4096
#define LARGE 16384 /* bytes: what a handshake message may have, and nothing else that grows */

static struct rt_dtls *working; /* whose handshake libssl is at: there is one thread */

static void *
on_alloc(size_t bytes, const char *file, int line)
{
	(void) file;
	(void) line;
	return malloc(bytes);
}

static void *
on_realloc(void *old, size_t bytes, const char *file, int line)
{
	void *p;

	(void) file;
	(void) line;
	if (old != NULL && working != NULL && working->assembly == old)
		working->assembly = NULL;
	if (old != NULL || bytes < LARGE || working == NULL)
		return realloc(old, bytes);
	if (posix_memalign(&p, PAGE, bytes) != 0)
		return NULL;
	working->assembly = p;
	working->assembly_bytes = bytes;
	return p;
}

static void
on_free(void *p, const char *file, int line)
{
	(void) file;
	(void) line;
	if (p != NULL && working != NULL && working->assembly == p)
		working->assembly = NULL;
	free(p);
}

bool
rt_dtls_save_memory(void)
{
	return CRYPTO_set_mem_functions(on_alloc, on_realloc, on_free) == 1;
}

/* Whole pages within the block alone: what is around them is the allocator's. */
static void
give_pages_back(struct rt_dtls *d)
{
	if (d->assembly != NULL)
		madvise(d->assembly, d->assembly_bytes / PAGE * PAGE, MADV_DONTNEED);
	d->assembly = NULL;
}

/* ---- the BIO that datagrams leave through: each write is one ---- */

static int
on_bio_write(BIO *b, const char *data, int len)
{
	struct rt_dtls *d = BIO_get_data(b);

	d->send(d->arg, (const uint8_t *) data, (size_t) len);
	return len; /* what the network drops, the handshake's timer sends again */
}

/* 0 for all that is not known, BIO_CTRL_GET_KTLS_SEND among it: a 1 there makes libssl skip its write buffer. */
static long
on_bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void) b;
	(void) num;
	(void) ptr;
	return cmd == BIO_CTRL_FLUSH;
}

static int
on_bio_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

/* ---- context ---- */

static X509 *
new_certificate(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_NAME *name;
	uint64_t serial;

	if (cert == NULL || RAND_bytes((unsigned char *) &serial, sizeof(serial)) != 1)
		return cert;
	X509_set_version(cert, 2);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -86400);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3650L * 86400);
	name = X509_get_subject_name(cert);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *) "rt", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	if (!X509_sign(cert, key, EVP_sha256()))
	{
		X509_free(cert);
		return NULL;
	}
	return cert;
}

static void
format_fingerprint(char *out, const uint8_t *md, unsigned n)
{
	static const char hex[] = "0123456789ABCDEF";

	for (unsigned i = 0; i < n; i++)
	{
		*out++ = hex[md[i] >> 4];
		*out++ = hex[md[i] & 15];
		*out++ = i + 1 < n ? ':' : '\0';
	}
}

/* Any certificate is taken here; the fingerprint decides when the handshake is done. */
static int
on_verify_chain(X509_STORE_CTX *store, void *arg)
{
	(void) store;
	(void) arg;
	return 1;
}

static bool
set_up_ssl(struct rt_dtls_context *c)
{
	c->ssl = SSL_CTX_new(DTLS_method());
	if (c->ssl == NULL)
		return false;
	SSL_CTX_set_min_proto_version(c->ssl, DTLS1_2_VERSION);
	SSL_CTX_set_options(c->ssl,
						SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_SINGLE_ECDH_USE);
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_max_cert_list(c->ssl, MAX_MESSAGE);
	SSL_CTX_set_cert_verify_callback(c->ssl, on_verify_chain, NULL);
	return SSL_CTX_use_certificate(c->ssl, c->cert) == 1 && SSL_CTX_use_PrivateKey(c->ssl, c->key) == 1 &&
		   SSL_CTX_set_cipher_list(c->ssl, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
										   "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
										   "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA") == 1 &&
		   SSL_CTX_set1_groups_list(c->ssl, "X25519:P-256:P-384") == 1 &&
		   SSL_CTX_set_tlsext_use_srtp(c->ssl, "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80") == 0;
}

struct rt_dtls_context *
rt_dtls_context_new(void)
{
	struct rt_dtls_context *c = rt_alloc(sizeof(*c));
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	c->out = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rt datagram");
	c->key = EVP_EC_gen("P-256");
	c->cert = c->key != NULL ? new_certificate(c->key) : NULL;
	if (c->out == NULL || c->cert == NULL || !X509_digest(c->cert, EVP_sha256(), md, &n) || !set_up_ssl(c))
	{
		rt_log(RT_LOG_ERROR, "dtls", "no context: %s", ERR_reason_error_string(ERR_get_error()));
		rt_dtls_context_free(c);
		return NULL;
	}
	BIO_meth_set_write(c->out, on_bio_write);
	BIO_meth_set_ctrl(c->out, on_bio_ctrl);
	BIO_meth_set_create(c->out, on_bio_create);
	format_fingerprint(c->fingerprint, md, n);
	return c;
}

void
rt_dtls_context_free(struct rt_dtls_context *c)
{
	if (c == NULL)
		return;
	SSL_CTX_free(c->ssl);
	X509_free(c->cert);
	EVP_PKEY_free(c->key);
	BIO_meth_free(c->out);
	free(c);
}

const char *
rt_dtls_context_fingerprint(const struct rt_dtls_context *c)
{
	return c->fingerprint;
}

/* ---- endpoint ---- */

#define TIMER_FIRST_US 100000 /* a second, as RFC 6347 has it, is long for people who wait to see each other */
#define TIMER_MAX_US 4000000

static unsigned
on_timer(SSL *ssl, unsigned last_us)
{
	(void) ssl;
	if (last_us == 0)
		return TIMER_FIRST_US;
	return 2 * last_us < TIMER_MAX_US ? 2 * last_us : TIMER_MAX_US;
}

struct rt_dtls *
rt_dtls_new(struct rt_dtls_context *c, rt_dtls_send_cb send, void *arg)
{
	struct rt_dtls *d = rt_alloc(sizeof(*d));
	BIO *out = BIO_new(c->out);

	d->ssl = SSL_new(c->ssl);
	d->in = BIO_new(BIO_s_mem());
	if (d->ssl == NULL || d->in == NULL || out == NULL)
	{
		rt_log(RT_LOG_ERROR, "dtls", "out of memory");
		exit(1);
	}
	d->send = send;
	d->arg = arg;
	BIO_set_mem_eof_return(d->in, -1);
	BIO_set_data(out, d);
	SSL_set_bio(d->ssl, d->in, out);
	SSL_set_mtu(d->ssl, RT_DTLS_MTU);
	DTLS_set_timer_cb(d->ssl, on_timer);
	SSL_set_accept_state(d->ssl);
	return d;
}

void
rt_dtls_free(struct rt_dtls *d)
{
	if (d == NULL)
		return;
	SSL_free(d->ssl);
	OPENSSL_cleanse(d, sizeof(*d));
	free(d);
}

static const EVP_MD *
digest_of(const char *algorithm)
{
	static const struct
	{
		const char *name;
		const EVP_MD *(*md)(void);
	} known[] = {{"sha-1", EVP_sha1},
				 {"sha-224", EVP_sha224},
				 {"sha-256", EVP_sha256},
				 {"sha-384", EVP_sha384},
				 {"sha-512", EVP_sha512}};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcasecmp(known[i].name, algorithm) == 0)
			return known[i].md();
	return NULL;
}

/* The end of the handshake: connected only if the peer's certificate is the one that was announced. */
static void
finish(struct rt_dtls *d)
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	X509 *cert;
	bool same;

	if (d->digest == NULL)
		return; /* signalling is still on its way */
	cert = SSL_get1_peer_certificate(d->ssl);
	same = cert != NULL && X509_digest(cert, d->digest, md, &n) && CRYPTO_memcmp(md, d->fingerprint, n) == 0;
	X509_free(cert);
	d->state = same ? RT_DTLS_CONNECTED : RT_DTLS_FAILED;
}

enum rt_result
rt_dtls_set_fingerprint(struct rt_dtls *d, const char *algorithm, const uint8_t *digest, size_t len)
{
	const EVP_MD *md = digest_of(algorithm);

	if (md == NULL || len != (size_t) EVP_MD_get_size(md))
		return RT_BAD_INPUT;
	memcpy(d->fingerprint, digest, len);
	d->digest = md;
	if (d->state == RT_DTLS_CONNECTING && SSL_is_init_finished(d->ssl))
		finish(d);
	return RT_OK;
}

/* Drives the handshake, or reads what follows it: we expect no application data, only alerts, and those seldom; so
 * the buffers for records, 34 kB, are not kept.  Reading makes new ones before anything is written. */
static enum rt_result
advance(struct rt_dtls *d)
{
	char scratch[256];
	int rc, err;

	ERR_clear_error();
	if (!SSL_is_init_finished(d->ssl))
	{
		if (d->state == RT_DTLS_NEW)
			d->state = RT_DTLS_CONNECTING;
		working = d;
		rc = SSL_do_handshake(d->ssl);
		working = NULL;
		if (rc == 1)
		{
			finish(d);
			SSL_free_buffers(d->ssl);
			give_pages_back(d);
			return d->state == RT_DTLS_FAILED ? RT_BAD_INPUT : RT_OK;
		}
	}
	else
		while ((rc = SSL_read(d->ssl, scratch, sizeof(scratch))) > 0)
			;
	err = SSL_get_error(d->ssl, rc);
	if (SSL_is_init_finished(d->ssl))
		SSL_free_buffers(d->ssl);
	if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE)
		return RT_OK;
	d->state = err == SSL_ERROR_ZERO_RETURN ? RT_DTLS_CLOSED : RT_DTLS_FAILED;
	return err == SSL_ERROR_ZERO_RETURN ? RT_GONE : RT_BAD_INPUT;
}

void
rt_dtls_connect(struct rt_dtls *d)
{
	if (d->state != RT_DTLS_NEW)
		return;
	d->client = true;
	SSL_set_connect_state(d->ssl);
	advance(d);
}

/* An AEAD record has a tag, and with AES-GCM the explicit part of the nonce (RFC 5288 section 3).  libssl takes a
 * shorter one for an internal error and ends the association, though nothing of it is authentic: whoever can send
 * from the peer's address could end a call.  So such a datagram never reaches it. */
static bool
has_short_record(const struct rt_dtls *d, const uint8_t *data, size_t len)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(d->ssl);
	int nid = cipher != NULL ? SSL_CIPHER_get_cipher_nid(cipher) : NID_undef;
	size_t least = nid == NID_aes_128_gcm || nid == NID_aes_256_gcm ? 24 : nid == NID_chacha20_poly1305 ? 16 : 0;

	/* RFC 6347 section 4.1: type (1), version (2), epoch (2), number (6), length (2) */
	while (len >= RECORD_HEADER)
	{
		size_t body = (size_t) data[11] << 8 | data[12];

		if (data[3] | data[4] && body < least)
			return true;
		if (len - RECORD_HEADER < body)
			return false; /* libssl drops what is cut */
		data += RECORD_HEADER + body;
		len -= RECORD_HEADER + body;
	}
	return false;
}

enum rt_result
rt_dtls_receive(struct rt_dtls *d, const uint8_t *data, size_t len)
{
	if (d->state == RT_DTLS_FAILED || d->state == RT_DTLS_CLOSED)
		return RT_GONE;
	if (has_short_record(d, data, len))
		return RT_OK;
	if (BIO_write(d->in, data, (int) len) != (int) len)
		return RT_INTERNAL;
	return advance(d);
}

enum rt_dtls_state
rt_dtls_get_state(const struct rt_dtls *d)
{
	return d->state;
}

int
rt_dtls_timeout_ms(struct rt_dtls *d)
{
	struct timeval tv;

	if (d->state != RT_DTLS_CONNECTING || !DTLSv1_get_timeout(d->ssl, &tv))
		return -1;
	return (int) (tv.tv_sec * 1000 + tv.tv_usec / 1000);
}

void
rt_dtls_timeout(struct rt_dtls *d)
{
	ERR_clear_error();
	working = d;
	if (d->state == RT_DTLS_CONNECTING && DTLSv1_handle_timeout(d->ssl) < 0)
		d->state = RT_DTLS_FAILED;
	working = NULL;
}

bool
rt_dtls_export_keys(struct rt_dtls *d, struct rt_dtls_keys *keys)
{
	const SRTP_PROTECTION_PROFILE *p = SSL_get_selected_srtp_profile(d->ssl);
	uint8_t material[2 * RT_SRTP_KEY_LEN];
	uint8_t *client, *server;
	size_t salt;

	if (d->state != RT_DTLS_CONNECTED || p == NULL)
		return false;
	memset(keys, 0, sizeof(*keys));
	keys->profile = p->id == SRTP_AEAD_AES_128_GCM ? RT_SRTP_AEAD_AES_128_GCM : RT_SRTP_AES128_CM_SHA1_80;
	salt = keys->profile == RT_SRTP_AEAD_AES_128_GCM ? 12 : 14;
	/* RFC 5764 section 4.2: client key, server key, client salt, server salt */
	if (SSL_export_keying_material(d->ssl, material, 2 * (16 + salt), "EXTRACTOR-dtls_srtp", 19, NULL, 0, 0) != 1)
		return false;
	client = d->client ? keys->local : keys->remote;
	server = d->client ? keys->remote : keys->local;
	memcpy(client, material, 16);
	memcpy(server, material + 16, 16);
	memcpy(client + 16, material + 32, salt);
	memcpy(server + 16, material + 32 + salt, salt);
	OPENSSL_cleanse(material, sizeof(material));
	return true;
}

void
rt_dtls_close(struct rt_dtls *d)
{
	char scratch;

	ERR_clear_error();
	if (d->state == RT_DTLS_CONNECTED)
	{
		SSL_read(d->ssl, &scratch, sizeof(scratch)); /* brings back the buffers: OpenSSL 3.0 writes through none */
		SSL_shutdown(d->ssl);
	}
	d->state = RT_DTLS_CLOSED;
}
