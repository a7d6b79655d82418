/* token.c: signs tokens and checks their signatures (JSON Web Tokens: RFC 7515, RFC 7519).
 *
 * Which key, which claims, and what an error is called, is for the SQL functions of 25_keys.sql.  The algorithm is
 * always the key's: no token chooses how it is verified.
 *
 * OpenSSL alone does the work.  A JSON library such as jansson must not come into the server: it has functions of the
 * server's names (json_object), and the server's would be called in their place. */
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base64.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "key.h"

#define TOKEN_LIMIT_BYTES 8192
#define SIGNATURE_LIMIT_BYTES 2048 /* RSA with 16,384 bits */
#define PARTS 3

PG_FUNCTION_INFO_V1(rt_jwt_sign);
PG_FUNCTION_INFO_V1(rt_jwt_part);
PG_FUNCTION_INFO_V1(rt_jwt_is_signed);

struct bytes
{
	const unsigned char *data;
	size_t len;
};

static struct bytes
text_bytes(const text *t)
{
	return (struct bytes){(const unsigned char *) VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)};
}

/* ---- base64url without padding (RFC 7515, section 2) --------------------------- */

static void
append_base64url(StringInfo out, const void *data, int len)
{
	int start = out->len;

	enlargeStringInfo(out, pg_b64_enc_len(len) + 1);
	out->len += pg_b64_encode(data, len, out->data + start, pg_b64_enc_len(len));
	while (out->len > start && out->data[out->len - 1] == '=')
		out->len--;
	out->data[out->len] = '\0';
	for (int i = start; i < out->len; i++)
		out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
}

/* How much came out, or -1.  The room is for any token's part. */
static int
decode_base64url(const char *text, int len, unsigned char *out, int room)
{
	char plain[TOKEN_LIMIT_BYTES + 4];
	int n;

	if (len > TOKEN_LIMIT_BYTES || len % 4 == 1)
		return -1;
	for (n = 0; n < len; n++)
	{
		if (text[n] == '+' || text[n] == '/' || text[n] == '=')
			return -1;
		plain[n] = text[n] == '-' ? '+' : text[n] == '_' ? '/' : text[n];
	}
	while (n % 4 != 0)
		plain[n++] = '=';
	return pg_b64_decode(plain, n, (void *) out, room);
}

/* ---- signatures ---------------------------------------------------------------- */

/* Both give a length, or 0 on failure; out has room for SIGNATURE_LIMIT_BYTES. */
static size_t
sign_with_secret(const struct rt_algorithm *algorithm, struct bytes secret, struct bytes input, unsigned char *out)
{
	unsigned int len = 0;

	if (HMAC(algorithm->digest(), secret.data, secret.len, input.data, input.len, out, &len) == NULL)
		return 0;
	return len;
}

static size_t
sign_with_pair(const struct rt_algorithm *algorithm, EVP_PKEY *key, struct bytes input, unsigned char *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = SIGNATURE_LIMIT_BYTES;

	if (ctx == NULL || EVP_DigestSignInit(ctx, NULL, algorithm->digest(), NULL, key) != 1 ||
		EVP_DigestSign(ctx, out, &len, input.data, input.len) != 1)
		len = 0;
	EVP_MD_CTX_free(ctx);
	return len;
}

/* A token has the two numbers of an ECDSA signature side by side (RFC 7518, section 3.4), OpenSSL has them in DER.
 * Both functions rewrite the signature in place and give its new length, or 0. */
static size_t
curve_bytes(const struct rt_algorithm *algorithm)
{
	return (algorithm->curve_bits + 7) / 8;
}

static size_t
der_to_numbers(const struct rt_algorithm *algorithm, unsigned char *signature, size_t len)
{
	const unsigned char *at = signature;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, len);
	int size = curve_bytes(algorithm);
	bool done;

	if (sig == NULL)
		return 0;
	done = BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, size) == size &&
		   BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + size, size) == size;
	ECDSA_SIG_free(sig);
	return done ? 2 * size : 0;
}

static size_t
numbers_to_der(const struct rt_algorithm *algorithm, unsigned char *signature, size_t len)
{
	size_t size = curve_bytes(algorithm);
	ECDSA_SIG *sig = len == 2 * size ? ECDSA_SIG_new() : NULL;
	BIGNUM *r = BN_bin2bn(signature, size, NULL);
	BIGNUM *s = BN_bin2bn(signature + size, size, NULL);
	unsigned char *at = signature;
	int der_len = 0;

	if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1)
	{
		der_len = i2d_ECDSA_SIG(sig, &at);
		r = s = NULL; /* they are its own now */
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return Max(der_len, 0);
}

static size_t
make_signature(const struct rt_algorithm *algorithm, const text *key, struct bytes input, unsigned char *out)
{
	EVP_PKEY *pair;
	size_t len;

	if (algorithm->key_type == 0)
		return sign_with_secret(algorithm, text_bytes(key), input, out);
	pair = rt_key_read(key, true);
	if (pair == NULL)
		return 0;
	len = sign_with_pair(algorithm, pair, input, out);
	EVP_PKEY_free(pair);
	if (len > 0 && algorithm->curve_bits > 0)
		len = der_to_numbers(algorithm, out, len);
	return len;
}

static bool
verify_with_pair(const struct rt_algorithm *algorithm, EVP_PKEY *key, struct bytes input,
				 const unsigned char *signature, size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good;

	good = ctx != NULL && EVP_PKEY_base_id(key) == algorithm->key_type &&
		   EVP_DigestVerifyInit(ctx, NULL, algorithm->digest(), NULL, key) == 1 &&
		   EVP_DigestVerify(ctx, signature, len, input.data, input.len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

/* The signature is changed. */
static bool
is_good(const struct rt_algorithm *algorithm, const text *key, struct bytes input, unsigned char *signature,
		size_t len)
{
	EVP_PKEY *pair;
	bool good;

	if (algorithm->key_type == 0)
	{
		unsigned char expected[SIGNATURE_LIMIT_BYTES];
		size_t expected_len = sign_with_secret(algorithm, text_bytes(key), input, expected);

		return expected_len > 0 && expected_len == len && CRYPTO_memcmp(expected, signature, len) == 0;
	}
	if (algorithm->curve_bits > 0)
		len = numbers_to_der(algorithm, signature, len);
	pair = len == 0 ? NULL : rt_key_read(key, false);
	if (pair == NULL)
		return false;
	good = verify_with_pair(algorithm, pair, input, signature, len);
	EVP_PKEY_free(pair);
	return good;
}

/* ---- tokens -------------------------------------------------------------------- */

/* Where the three parts are; false where it is no token. */
static bool
split(const text *token, struct bytes parts[PARTS])
{
	struct bytes rest = text_bytes(token);

	if (rest.len > TOKEN_LIMIT_BYTES)
		return false;
	for (int i = 0; i < PARTS; i++)
	{
		const unsigned char *dot = rest.len == 0 ? NULL : memchr(rest.data, '.', rest.len);

		if ((dot == NULL) != (i == PARTS - 1))
			return false;
		parts[i] = (struct bytes){rest.data, dot == NULL ? rest.len : (size_t) (dot - rest.data)};
		rest.data += parts[i].len + 1;
		rest.len -= dot == NULL ? rest.len : parts[i].len + 1;
	}
	return true;
}

/* rt_private.jwt_part(token text, part integer) RETURNS text: 1 the header, 2 the claims; NULL where it is no token.
 * An error where it is no text in UTF-8. */
Datum
rt_jwt_part(PG_FUNCTION_ARGS)
{
	text *token = PG_GETARG_TEXT_PP(0);
	int32 part = PG_GETARG_INT32(1);
	struct bytes parts[PARTS];
	char decoded[TOKEN_LIMIT_BYTES + 1];
	int len;

	if (part < 1 || part >= PARTS || !split(token, parts))
		PG_RETURN_NULL();
	len = decode_base64url((const char *) parts[part - 1].data, parts[part - 1].len, (unsigned char *) decoded,
						   TOKEN_LIMIT_BYTES);
	if (len < 0)
		PG_RETURN_NULL();
	decoded[len] = '\0';
	PG_RETURN_TEXT_P(cstring_to_text(pg_any_to_server(decoded, len, PG_UTF8)));
}

/* rt_private.jwt_is_signed(token text, alg text, key text) RETURNS boolean */
Datum
rt_jwt_is_signed(PG_FUNCTION_ARGS)
{
	text *token = PG_GETARG_TEXT_PP(0);
	const struct rt_algorithm *algorithm = rt_algorithm_find(PG_GETARG_TEXT_PP(1));
	text *key = PG_GETARG_TEXT_PP(2);
	struct bytes parts[PARTS];
	struct bytes input;
	unsigned char signature[SIGNATURE_LIMIT_BYTES];
	int len;

	if (VARSIZE_ANY_EXHDR(key) == 0 || !split(token, parts))
		PG_RETURN_BOOL(false);
	len = decode_base64url((const char *) parts[2].data, parts[2].len, signature, sizeof(signature));
	if (len <= 0)
		PG_RETURN_BOOL(false);
	input = (struct bytes){parts[0].data, parts[0].len + 1 + parts[1].len};
	PG_RETURN_BOOL(is_good(algorithm, key, input, signature, len));
}

static void
append_utf8_part(StringInfo out, const char *json)
{
	const char *utf8 = pg_server_to_any(json, strlen(json), PG_UTF8);

	append_base64url(out, utf8, strlen(utf8));
}

/* rt_private.jwt_sign(kid text, alg text, key text, claims json) RETURNS text */
Datum
rt_jwt_sign(PG_FUNCTION_ARGS)
{
	char *kid = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const struct rt_algorithm *algorithm = rt_algorithm_find(PG_GETARG_TEXT_PP(1));
	text *key = PG_GETARG_TEXT_PP(2);
	unsigned char signature[SIGNATURE_LIMIT_BYTES];
	StringInfoData header;
	StringInfoData token;
	size_t len;

	initStringInfo(&header);
	appendStringInfo(&header, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":", algorithm->name);
	escape_json(&header, kid);
	appendStringInfoChar(&header, '}');
	initStringInfo(&token);
	append_utf8_part(&token, header.data);
	appendStringInfoChar(&token, '.');
	append_utf8_part(&token, text_to_cstring(PG_GETARG_TEXT_PP(3)));
	len = make_signature(algorithm, key, (struct bytes){(unsigned char *) token.data, token.len}, signature);
	ERR_clear_error();
	if (len == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("could not sign with key \"%s\"", kid)));
	appendStringInfoChar(&token, '.');
	append_base64url(&token, signature, len);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(token.data, token.len));
}
