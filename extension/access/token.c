/* token.c: signs tokens and checks their signatures (JSON Web Tokens: RFC 7515, RFC 7519), for the SQL functions of
 * 25_keys.sql and 28_tokens.sql.
 *
 * Which key, which claims, and what an error is called, is for those functions.  The algorithm is always the key's:
 * no token chooses how it is verified.  Verifying is bgworker/common/crypto/jws.c, the gateway's own code; only the
 * server signs.
 *
 * OpenSSL alone does the work.  A JSON library such as jansson must not come into the server: it has functions of the
 * server's names (json_object), and the server's would be called in their place.  Runs in a backend, and may raise.
 */
#include "postgres.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

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

PG_FUNCTION_INFO_V1(rt_jwt_sign);
PG_FUNCTION_INFO_V1(rt_jwt_part);
PG_FUNCTION_INFO_V1(rt_jwt_is_signed);
PG_FUNCTION_INFO_V1(rt_hmac_sha1);

static bool
split(const text *token, struct rt_jws *jws)
{
	return rt_jws_split(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), jws);
}

/* rt_private.jwt_part(token text, part integer) RETURNS text: 1 the header, 2 the claims; NULL where it is no token.
 * An error where it is no text in UTF-8, or beyond the limits of rt_jws_json_fits(). */
Datum
rt_jwt_part(PG_FUNCTION_ARGS)
{
	int32 part = PG_GETARG_INT32(1);
	struct rt_jws jws;
	char decoded[RT_JWS_LIMIT_BYTES + 1];
	int len;

	if (part < 1 || part > 2 || !split(PG_GETARG_TEXT_PP(0), &jws))
		PG_RETURN_NULL();
	len = rt_jws_decode(part == 1 ? jws.header : jws.claims, (unsigned char *) decoded, RT_JWS_LIMIT_BYTES);
	if (len < 0)
		PG_RETURN_NULL();
	decoded[len] = '\0';
	if (!rt_jws_json_fits(decoded))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("number out of range or JSON nested too deeply")));
	PG_RETURN_TEXT_P(cstring_to_text(pg_any_to_server(decoded, len, PG_UTF8)));
}

/* rt_private.jwt_is_signed(token text, alg text, key bytea) RETURNS boolean; key was text up to version 1.1, which
 * lies in memory alike */
Datum
rt_jwt_is_signed(PG_FUNCTION_ARGS)
{
	const struct rt_jws_algorithm *algorithm = rt_key_algorithm(PG_GETARG_TEXT_PP(1));
	bytea *key_bytes = PG_GETARG_BYTEA_PP(2);
	struct rt_jws_key *key;
	struct rt_jws jws;
	bool good;

	if (!split(PG_GETARG_TEXT_PP(0), &jws))
		PG_RETURN_BOOL(false);
	key = rt_jws_key_new(algorithm, VARDATA_ANY(key_bytes), VARSIZE_ANY_EXHDR(key_bytes));
	good = key != NULL && rt_jws_key_has_signed(key, &jws);
	rt_jws_key_free(key);
	PG_RETURN_BOOL(good);
}

/* ---- signing ------------------------------------------------------------------- */

/* Base64url without padding (RFC 7515, section 2). */
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

/* These give a length, or 0 on failure; out has room for RT_JWS_SIGNATURE_LIMIT_BYTES. */
static size_t
sign_with_secret(const struct rt_jws_algorithm *algorithm, const text *secret, const StringInfo input,
				 unsigned char *out)
{
	unsigned int len = 0;

	if (HMAC(algorithm->digest(), VARDATA_ANY(secret), VARSIZE_ANY_EXHDR(secret), (unsigned char *) input->data,
			 input->len, out, &len) == NULL)
		return 0;
	return len;
}

/* RFC 7518, section 3.5: a salt as long as the digest. */
static bool
set_padding(EVP_PKEY_CTX *ctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		   EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static size_t
sign_with_pair(const struct rt_jws_algorithm *algorithm, EVP_PKEY *key, const StringInfo input, unsigned char *out)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx = NULL; /* md owns it */
	size_t len = RT_JWS_SIGNATURE_LIMIT_BYTES;

	if (md == NULL ||
		EVP_DigestSignInit(md, &ctx, algorithm->digest == NULL ? NULL : algorithm->digest(), NULL, key) != 1 ||
		(algorithm->pss && !set_padding(ctx)) ||
		EVP_DigestSign(md, out, &len, (unsigned char *) input->data, input->len) != 1)
		len = 0;
	EVP_MD_CTX_free(md);
	return len;
}

/* A token has the two numbers of an ECDSA signature side by side (RFC 7518, section 3.4), OpenSSL gives them in DER.
 * The signature is rewritten in place; its new length, or 0. */
static size_t
der_to_numbers(const struct rt_jws_algorithm *algorithm, unsigned char *signature, size_t len)
{
	const unsigned char *at = signature;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, len);
	int size = (algorithm->curve_bits + 7) / 8;
	bool done;

	if (sig == NULL)
		return 0;
	done = BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, size) == size &&
		   BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + size, size) == size;
	ECDSA_SIG_free(sig);
	return done ? 2 * size : 0;
}

static size_t
make_signature(const struct rt_jws_algorithm *algorithm, const text *key, const StringInfo input, unsigned char *out)
{
	EVP_PKEY *pair;
	size_t len;

	if (algorithm->key_type == 0)
		return sign_with_secret(algorithm, key, input, out);
	pair = rt_key_read(key, true);
	if (pair == NULL)
		return 0;
	len = sign_with_pair(algorithm, pair, input, out);
	EVP_PKEY_free(pair);
	if (len > 0 && algorithm->curve_bits > 0)
		len = der_to_numbers(algorithm, out, len);
	return len;
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
	const struct rt_jws_algorithm *algorithm = rt_key_algorithm(PG_GETARG_TEXT_PP(1));
	text *key = PG_GETARG_TEXT_PP(2);
	unsigned char signature[RT_JWS_SIGNATURE_LIMIT_BYTES];
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
	len = make_signature(algorithm, key, &token, signature);
	ERR_clear_error();
	if (len == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("could not sign with key \"%s\"", kid)));
	appendStringInfoChar(&token, '.');
	append_base64url(&token, signature, len);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(token.data, token.len));
}

/* rt_private.hmac_sha1(key bytea, data bytea) RETURNS bytea: 20 bytes (RFC 2104), for time-based passwords */
Datum
rt_hmac_sha1(PG_FUNCTION_ARGS)
{
	bytea *key = PG_GETARG_BYTEA_PP(0);
	bytea *data = PG_GETARG_BYTEA_PP(1);
	bytea *result = palloc(VARHDRSZ + EVP_MAX_MD_SIZE);
	unsigned int len = 0;

	if (HMAC(EVP_sha1(), VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), (unsigned char *) VARDATA_ANY(data),
			 VARSIZE_ANY_EXHDR(data), (unsigned char *) VARDATA(result), &len) == NULL)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute an HMAC")));
	SET_VARSIZE(result, VARHDRSZ + len);
	PG_RETURN_BYTEA_P(result);
}
