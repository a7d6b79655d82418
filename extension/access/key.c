/* key.c: reads the keys that sign and verify tokens, for the SQL functions of 25_keys.sql and 26_issuers.sql.
 *
 * Which algorithms there are, and what fits them, is in bgworker/common/crypto/jws.c; here are PEM and JWK, and
 * random text. All of it runs in a backend and may raise; what OpenSSL allocates is freed before. */
#include "postgres.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "common/base64.h"
#include "fmgr.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "key.h"

#define RANDOM_LIMIT_BYTES 256
#define EXPONENT_LIMIT_BITS 64    /* OpenSSL takes no more of a large modulus */
#define COORDINATE_LIMIT_BYTES 66 /* of a point on P-521 */

PG_FUNCTION_INFO_V1(rt_pem_public);
PG_FUNCTION_INFO_V1(rt_jwk_public);
PG_FUNCTION_INFO_V1(rt_random_text);

const struct rt_jws_algorithm *
rt_key_algorithm(const text *name)
{
	const struct rt_jws_algorithm *a = rt_jws_algorithm_find(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));

	if (a == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown algorithm \"%s\"", text_to_cstring(name)),
				 errhint("The algorithms are HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, "
						 "ES384, ES512 and EdDSA.")));
	return a;
}

/* Otherwise the server's terminal would be asked. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

EVP_PKEY *
rt_key_read(const text *pem, bool is_private)
{
	BIO *bio = BIO_new_mem_buf(VARDATA_ANY(pem), VARSIZE_ANY_EXHDR(pem));
	EVP_PKEY *key = NULL;

	if (bio == NULL)
		return NULL;
	if (is_private)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	else
		key = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

/* The public half as PEM, in a BIO; NULL if there is no memory. */
static BIO *
write_public(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (bio != NULL && PEM_write_bio_PUBKEY(bio, key) != 1)
	{
		BIO_free(bio);
		bio = NULL;
	}
	return bio;
}

static text *
take_text(BIO *bio)
{
	text *volatile result = NULL;
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	PG_TRY();
	{
		result = cstring_to_text_with_len(data, len);
	}
	PG_FINALLY();
	{
		BIO_free(bio);
	}
	PG_END_TRY();
	return result;
}

/* Frees the key. */
static text *
take_public(EVP_PKEY *key, const struct rt_jws_algorithm *algorithm)
{
	const char *fault = rt_jws_algorithm_fault(algorithm, key);
	BIO *pem = fault == NULL ? write_public(key) : NULL;

	EVP_PKEY_free(key);
	if (fault != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the key does not fit algorithm %s", algorithm->name), errdetail("%s", fault)));
	if (pem == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return take_text(pem);
}

/* rt_private.pem_public(alg text, pem text, is_private boolean) RETURNS text: the public half; NULL where pem is not
 * such a key */
Datum
rt_pem_public(PG_FUNCTION_ARGS)
{
	const struct rt_jws_algorithm *algorithm = rt_key_algorithm(PG_GETARG_TEXT_PP(0));
	EVP_PKEY *key = rt_key_read(PG_GETARG_TEXT_PP(1), PG_GETARG_BOOL(2));

	if (key == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(take_public(key, algorithm));
}

/* ---- JSON Web Keys (RFC 7517; RFC 7518, section 6; RFC 8037, section 2) ----------- */

static EVP_PKEY *
make_key(const char *type, OSSL_PARAM_BLD *build)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *ctx = params == NULL ? NULL : EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

static EVP_PKEY *
make_rsa(const bytea *n, const bytea *e)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *modulus = BN_bin2bn((const unsigned char *) VARDATA_ANY(n), VARSIZE_ANY_EXHDR(n), NULL);
	BIGNUM *exponent = BN_bin2bn((const unsigned char *) VARDATA_ANY(e), VARSIZE_ANY_EXHDR(e), NULL);
	EVP_PKEY *key = NULL;

	/* An even or tiny exponent makes any signature good. */
	if (build != NULL && modulus != NULL && exponent != NULL && BN_is_odd(modulus) && BN_is_odd(exponent) &&
		!BN_is_one(exponent) && BN_num_bits(exponent) <= EXPONENT_LIMIT_BITS &&
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
		key = make_key("RSA", build);
	OSSL_PARAM_BLD_free(build);
	BN_free(modulus);
	BN_free(exponent);
	return key;
}

/* An uncompressed point: 4, x, y (SEC 1, section 2.3.3). */
static EVP_PKEY *
make_ec(const char *curve, size_t size, const bytea *x, const bytea *y)
{
	unsigned char point[1 + 2 * COORDINATE_LIMIT_BYTES] = {4};
	OSSL_PARAM_BLD *build;
	EVP_PKEY *key = NULL;

	if (VARSIZE_ANY_EXHDR(x) != size || VARSIZE_ANY_EXHDR(y) != size)
		return NULL;
	memcpy(point + 1, VARDATA_ANY(x), size);
	memcpy(point + 1 + size, VARDATA_ANY(y), size);
	build = OSSL_PARAM_BLD_new();
	if (build != NULL && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) == 1 &&
		OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * size) == 1)
		key = make_key("EC", build);
	OSSL_PARAM_BLD_free(build);
	return key;
}

/* Whether the numbers are a key at all: for a curve, a point on it. */
static bool
is_sound(EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool sound = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;

	EVP_PKEY_CTX_free(ctx);
	return sound;
}

/* rt_private.jwk_public(alg text, a bytea, b bytea) RETURNS text: the key as PEM from the numbers of a JWK, n and e,
 * x and y, or x alone; NULL where they are no key */
Datum
rt_jwk_public(PG_FUNCTION_ARGS)
{
	const struct rt_jws_algorithm *algorithm = rt_key_algorithm(PG_GETARG_TEXT_PP(0));
	const bytea *a = PG_GETARG_BYTEA_PP(1);
	const bytea *b = PG_GETARG_BYTEA_PP(2);
	EVP_PKEY *key = NULL;

	if (algorithm->key_type == EVP_PKEY_RSA)
		key = make_rsa(a, b);
	else if (algorithm->key_type == EVP_PKEY_EC)
	{
		const char *curve = algorithm->curve_bits == 256 ? "P-256" : algorithm->curve_bits == 384 ? "P-384" : "P-521";

		key = make_ec(curve, (algorithm->curve_bits + 7) / 8, a, b);
	}
	else if (algorithm->key_type == EVP_PKEY_ED25519)
		key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *) VARDATA_ANY(a),
										  VARSIZE_ANY_EXHDR(a));
	if (key != NULL && !is_sound(key))
	{
		EVP_PKEY_free(key);
		key = NULL;
	}
	ERR_clear_error();
	if (key == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(take_public(key, algorithm));
}

/* rt_private.random_text(bytes integer) RETURNS text: base64url of that many random bytes */
Datum
rt_random_text(PG_FUNCTION_ARGS)
{
	int32 bytes = PG_GETARG_INT32(0);
	uint8 random[RANDOM_LIMIT_BYTES];
	char encoded[RANDOM_LIMIT_BYTES * 2];
	int len;

	if (bytes < 1 || bytes > RANDOM_LIMIT_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the number of bytes must be between 1 and %d", RANDOM_LIMIT_BYTES)));
	if (!pg_strong_random(random, bytes))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes")));
	len = pg_b64_encode((const void *) random, bytes, encoded, sizeof(encoded));
	while (len > 0 && encoded[len - 1] == '=')
		len--;
	for (int i = 0; i < len; i++)
		encoded[i] = encoded[i] == '+' ? '-' : encoded[i] == '/' ? '_' : encoded[i];
	PG_RETURN_TEXT_P(cstring_to_text_with_len(encoded, len));
}
