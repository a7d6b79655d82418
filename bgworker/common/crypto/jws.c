/* jws.c: see jws.h.
 *
 * Compiled into rt.so as well as into the programs, so it includes neither postgres.h nor anything of theirs,
 * allocates by OpenSSL alone, logs nothing, and leaves OpenSSL's error queue empty. */
#include "bgworker/common/crypto/jws.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define MIN_RSA_BITS 2048 /* RFC 7518, section 3.3 */

/* RFC 7518, section 3.1; EdDSA is RFC 8037, with Ed25519. */
static const struct rt_jws_algorithm algorithms[] = {
	{"HS256", EVP_sha256, 0, 0, false},
	{"HS384", EVP_sha384, 0, 0, false},
	{"HS512", EVP_sha512, 0, 0, false},
	{"RS256", EVP_sha256, EVP_PKEY_RSA, 0, false},
	{"RS384", EVP_sha384, EVP_PKEY_RSA, 0, false},
	{"RS512", EVP_sha512, EVP_PKEY_RSA, 0, false},
	{"PS256", EVP_sha256, EVP_PKEY_RSA, 0, true},
	{"PS384", EVP_sha384, EVP_PKEY_RSA, 0, true},
	{"PS512", EVP_sha512, EVP_PKEY_RSA, 0, true},
	{"ES256", EVP_sha256, EVP_PKEY_EC, 256, false},
	{"ES384", EVP_sha384, EVP_PKEY_EC, 384, false},
	{"ES512", EVP_sha512, EVP_PKEY_EC, 521, false},
	{"EdDSA", NULL, EVP_PKEY_ED25519, 0, false},
	{NULL, NULL, 0, 0, false},
};

struct rt_jws_key
{
	const struct rt_jws_algorithm *algorithm;
	EVP_PKEY *public;      /* NULL: a shared secret */
	unsigned char *secret; /* its bytes are the key */
	size_t len;
};

const struct rt_jws_algorithm *
rt_jws_algorithms(void)
{
	return algorithms;
}

const struct rt_jws_algorithm *
rt_jws_algorithm_find(const char *name, size_t len)
{
	for (const struct rt_jws_algorithm *a = algorithms; a->name != NULL; a++)
	{
		if (strlen(a->name) == len && memcmp(a->name, name, len) == 0)
			return a;
	}
	return NULL;
}

const char *
rt_jws_algorithm_fault(const struct rt_jws_algorithm *a, EVP_PKEY *key)
{
	if (a->key_type == 0)
		return "The algorithm takes a shared secret, not a key pair.";
	if (EVP_PKEY_base_id(key) != a->key_type)
		return "The key is of another kind.";
	if (a->curve_bits > 0 && EVP_PKEY_bits(key) != a->curve_bits)
		return "The key is of another curve.";
	if (a->key_type == EVP_PKEY_RSA && EVP_PKEY_bits(key) < MIN_RSA_BITS)
		return "The key is too short.";
	return NULL;
}

/* ---- tokens -------------------------------------------------------------------- */

bool
rt_jws_split(const char *token, size_t len, struct rt_jws *jws)
{
	const unsigned char *start = (const unsigned char *) token;
	const unsigned char *end = start + len;
	const unsigned char *first = len == 0 || len > RT_JWS_LIMIT_BYTES ? NULL : memchr(start, '.', len);
	const unsigned char *second = first == NULL ? NULL : memchr(first + 1, '.', (size_t) (end - first - 1));

	if (second == NULL || memchr(second + 1, '.', (size_t) (end - second - 1)) != NULL)
		return false;
	jws->header = (struct rt_jws_bytes){start, (size_t) (first - start)};
	jws->claims = (struct rt_jws_bytes){first + 1, (size_t) (second - first - 1)};
	jws->signature = (struct rt_jws_bytes){second + 1, (size_t) (end - second - 1)};
	jws->input = (struct rt_jws_bytes){start, (size_t) (second - start)};
	return true;
}

int
rt_jws_decode(struct rt_jws_bytes text, unsigned char *out, size_t room)
{
	unsigned char plain[RT_JWS_LIMIT_BYTES + 4];
	size_t n = 0;
	int len;

	/* EVP_DecodeBlock() writes whole groups of three. */
	if (text.len == 0 || text.len > RT_JWS_LIMIT_BYTES || text.len % 4 == 1 || (text.len + 3) / 4 * 3 > room)
		return -1;
	for (; n < text.len; n++)
	{
		unsigned char c = text.data[n];

		if (c == '+' || c == '/' || c == '=' || c <= ' ')
			return -1;
		plain[n] = c == '-' ? '+' : c == '_' ? '/' : c;
	}
	while (n % 4 != 0)
		plain[n++] = '=';
	len = EVP_DecodeBlock(out, plain, (int) n);
	ERR_clear_error();
	return len < 0 ? -1 : len - (int) (n - text.len);
}

static const char *
skip_string(const char *p)
{
	for (p++; *p != '\0' && *p != '"'; p++)
		p += p[0] == '\\' && p[1] != '\0';
	return *p == '"' ? p + 1 : p;
}

/* NULL: it does not fit. */
static const char *
skip_number(const char *p)
{
	size_t len = strspn(p, "0123456789+-.eE");
	size_t mantissa = strspn(p, "0123456789+-.");
	long exponent = mantissa < len ? strtol(p + mantissa + 1, NULL, 10) : 0;

	if (!isfinite(strtod(p, NULL)) || exponent > RT_JWS_EXPONENT_LIMIT || exponent < -RT_JWS_EXPONENT_LIMIT)
		return NULL;
	return p + len;
}

bool
rt_jws_json_fits(const char *json)
{
	int depth = 0;

	while (json != NULL && *json != '\0')
	{
		if (*json == '"')
			json = skip_string(json);
		else if (*json == '-' || (*json >= '0' && *json <= '9'))
			json = skip_number(json);
		else
		{
			depth += (*json == '[' || *json == '{') - (*json == ']' || *json == '}');
			json = depth > RT_JWS_DEPTH_LIMIT ? NULL : json + 1;
		}
	}
	return json != NULL;
}

/* ---- keys ---------------------------------------------------------------------- */

/* Otherwise a key with a passphrase would ask the terminal for it. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void) buf;
	(void) size;
	(void) rwflag;
	(void) arg;
	return -1;
}

static EVP_PKEY *
read_public(const char *pem, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, (int) len);
	EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);

	BIO_free(bio);
	ERR_clear_error();
	return key;
}

struct rt_jws_key *
rt_jws_key_new(const struct rt_jws_algorithm *a, const char *text, size_t len)
{
	struct rt_jws_key *k = OPENSSL_zalloc(sizeof(*k));

	if (k == NULL || len == 0)
	{
		OPENSSL_free(k);
		return NULL;
	}
	k->algorithm = a;
	if (a->key_type == 0)
	{
		k->secret = OPENSSL_memdup(text, len);
		k->len = len;
	}
	else
		k->public = read_public(text, len);
	if (k->secret == NULL && (k->public == NULL || rt_jws_algorithm_fault(a, k->public) != NULL))
	{
		rt_jws_key_free(k);
		return NULL;
	}
	return k;
}

void
rt_jws_key_free(struct rt_jws_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->public);
	OPENSSL_clear_free(k->secret, k->len);
	OPENSSL_free(k);
}

/* ---- signatures ---------------------------------------------------------------- */

/* A token has the two numbers of an ECDSA signature side by side (RFC 7518, section 3.4), OpenSSL takes them in DER.
 * The signature is rewritten in place; its new length, or 0. */
static size_t
numbers_to_der(const struct rt_jws_algorithm *a, unsigned char *signature, size_t len)
{
	size_t size = (size_t) (a->curve_bits + 7) / 8;
	ECDSA_SIG *sig = len == 2 * size ? ECDSA_SIG_new() : NULL;
	BIGNUM *r = sig == NULL ? NULL : BN_bin2bn(signature, (int) size, NULL);
	BIGNUM *s = sig == NULL ? NULL : BN_bin2bn(signature + size, (int) size, NULL);
	unsigned char *at = signature;
	int der_len = 0;

	if (r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1)
	{
		r = s = NULL; /* they are its own now */
		der_len = i2d_ECDSA_SIG(sig, &at);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return der_len < 0 ? 0 : (size_t) der_len;
}

static bool
has_signed_by_secret(const struct rt_jws_key *k, struct rt_jws_bytes input, const unsigned char *signature,
					 size_t len)
{
	unsigned char expected[EVP_MAX_MD_SIZE];
	unsigned expected_len = 0;

	return HMAC(k->algorithm->digest(), k->secret, (int) k->len, input.data, input.len, expected, &expected_len) !=
			   NULL &&
		   expected_len == len && CRYPTO_memcmp(expected, signature, len) == 0;
}

/* RFC 7518, section 3.5: a salt as long as the digest. */
static bool
set_padding(EVP_PKEY_CTX *ctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		   EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool
has_signed_by_pair(const struct rt_jws_key *k, struct rt_jws_bytes input, const unsigned char *signature, size_t len)
{
	const struct rt_jws_algorithm *a = k->algorithm;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx = NULL; /* md owns it */
	bool good;

	good = md != NULL &&
		   EVP_DigestVerifyInit(md, &ctx, a->digest == NULL ? NULL : a->digest(), NULL, k->public) == 1 &&
		   (!a->pss || set_padding(ctx)) && EVP_DigestVerify(md, signature, len, input.data, input.len) == 1;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return good;
}

bool
rt_jws_key_has_signed(const struct rt_jws_key *k, const struct rt_jws *jws)
{
	/* DER is longer than the numbers by a few bytes, which the limit has room for. */
	unsigned char signature[RT_JWS_SIGNATURE_LIMIT_BYTES];
	int decoded = rt_jws_decode(jws->signature, signature, sizeof(signature));
	size_t len = decoded < 0 ? 0 : (size_t) decoded;

	if (len > 0 && k->algorithm->curve_bits > 0)
		len = numbers_to_der(k->algorithm, signature, len);
	if (len == 0)
		return false;
	return k->public == NULL ? has_signed_by_secret(k, jws->input, signature, len)
							 : has_signed_by_pair(k, jws->input, signature, len);
}
