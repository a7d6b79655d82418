/* token.c: signs and verifies tokens (JSON Web Tokens, RFC 7519), and looks at keys.
 *
 * Which key, which claims, and what an error is called, is for the SQL functions of 25_keys.sql.  Here the rule is kept
 * that no token chooses how it is verified: its alg must be the one that the key was made for. */
#include "postgres.h"

#include <jwt.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "common/base64.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#define TOKEN_LIMIT_BYTES 8192
#define RANDOM_LIMIT_BYTES 256
#define MIN_RSA_BITS 2048

PG_FUNCTION_INFO_V1(rt_jwt_sign);
PG_FUNCTION_INFO_V1(rt_jwt_header);
PG_FUNCTION_INFO_V1(rt_jwt_claims);
PG_FUNCTION_INFO_V1(rt_pem_public);
PG_FUNCTION_INFO_V1(rt_random_text);

static const struct
{
	const char *name;
	jwt_alg_t alg;
	int key_type; /* EVP_PKEY_…; 0: a shared secret */
	int bits;     /* of an elliptic curve */
} ALGORITHMS[] = {
    {"HS256", JWT_ALG_HS256, 0, 0},
    {"HS384", JWT_ALG_HS384, 0, 0},
    {"HS512", JWT_ALG_HS512, 0, 0},
    {"RS256", JWT_ALG_RS256, EVP_PKEY_RSA, 0},
    {"RS384", JWT_ALG_RS384, EVP_PKEY_RSA, 0},
    {"RS512", JWT_ALG_RS512, EVP_PKEY_RSA, 0},
    {"ES256", JWT_ALG_ES256, EVP_PKEY_EC, 256},
    {"ES384", JWT_ALG_ES384, EVP_PKEY_EC, 384},
    {"ES512", JWT_ALG_ES512, EVP_PKEY_EC, 521},
};

/* The row of ALGORITHMS, or an error. */
static int
find_algorithm(const text *name)
{
	for (int i = 0; i < lengthof(ALGORITHMS); i++)
	{
		if (strlen(ALGORITHMS[i].name) == VARSIZE_ANY_EXHDR(name) &&
		    memcmp(ALGORITHMS[i].name, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) == 0)
			return i;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown algorithm \"%s\"", text_to_cstring(name)),
	                errhint("Known are HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384 and ES512.")));
	return -1;
}

/* The library works in UTF-8 and with malloc; frees what it gave. */
static text *
take_text(char *utf8)
{
	text *volatile result = NULL;

	PG_TRY();
	{
		result = cstring_to_text(pg_any_to_server(utf8, strlen(utf8), PG_UTF8));
	}
	PG_FINALLY();
	{
		free(utf8);
	}
	PG_END_TRY();
	return result;
}

/* ---- signing ------------------------------------------------------------------ */

static char *
sign(jwt_t *jwt, jwt_alg_t alg, const char *kid, const text *key, const char *claims)
{
	if (jwt_add_header(jwt, "kid", kid) != 0 || jwt_add_grants_json(jwt, claims) != 0 ||
	    jwt_set_alg(jwt, alg, (const unsigned char *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)) != 0)
		return NULL;
	return jwt_encode_str(jwt);
}

/* rt_private.jwt_sign(kid text, alg text, key text, claims json) RETURNS text */
Datum
rt_jwt_sign(PG_FUNCTION_ARGS)
{
	char *kid = text_to_cstring(PG_GETARG_TEXT_PP(0));
	jwt_alg_t alg = ALGORITHMS[find_algorithm(PG_GETARG_TEXT_PP(1))].alg;
	text *key = PG_GETARG_TEXT_PP(2);
	char *claims = text_to_cstring(PG_GETARG_TEXT_PP(3));
	jwt_t *jwt = NULL;
	char *token = NULL;

	claims = pg_server_to_any(claims, strlen(claims), PG_UTF8);
	if (jwt_new(&jwt) == 0)
		token = sign(jwt, alg, kid, key, claims);
	jwt_free(jwt);
	if (token == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("could not sign with key \"%s\"", kid)));
	PG_RETURN_TEXT_P(take_text(token));
}

/* ---- verifying ---------------------------------------------------------------- */

/* The token as a string, or NULL where it is too long to be one. */
static char *
token_string(const text *token)
{
	return VARSIZE_ANY_EXHDR(token) > TOKEN_LIMIT_BYTES ? NULL : text_to_cstring(token);
}

/* rt_private.jwt_header(token text) RETURNS json: NULL where it is no token.  Nothing is verified. */
Datum
rt_jwt_header(PG_FUNCTION_ARGS)
{
	char *token = token_string(PG_GETARG_TEXT_PP(0));
	char *json = NULL;
	jwt_t *jwt = NULL;

	if (token != NULL && jwt_decode(&jwt, token, NULL, 0) == 0)
	{
		json = jwt_get_headers_json(jwt, NULL);
		jwt_free(jwt);
	}
	if (json == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(take_text(json));
}

/* True where the token says that this is its algorithm. */
static bool
names_algorithm(const char *token, const char *name)
{
	jwt_t *jwt = NULL;
	const char *alg;
	bool same;

	if (jwt_decode(&jwt, token, NULL, 0) != 0)
		return false;
	alg = jwt_get_header(jwt, "alg");
	same = alg != NULL && strcmp(alg, name) == 0;
	jwt_free(jwt);
	return same;
}

/* rt_private.jwt_claims(token text, alg text, key text) RETURNS json: NULL where the token was not signed with it */
Datum
rt_jwt_claims(PG_FUNCTION_ARGS)
{
	char *token = token_string(PG_GETARG_TEXT_PP(0));
	int algorithm = find_algorithm(PG_GETARG_TEXT_PP(1));
	text *key = PG_GETARG_TEXT_PP(2);
	char *json = NULL;
	jwt_t *jwt = NULL;

	if (token != NULL && VARSIZE_ANY_EXHDR(key) > 0 && names_algorithm(token, ALGORITHMS[algorithm].name) &&
	    jwt_decode(&jwt, token, (const unsigned char *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)) == 0)
	{
		if (jwt_get_alg(jwt) == ALGORITHMS[algorithm].alg)
			json = jwt_get_grants_json(jwt, NULL);
		jwt_free(jwt);
	}
	if (json == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(take_text(json));
}

/* ---- keys --------------------------------------------------------------------- */

/* A key with a passphrase is refused, instead of the server's terminal being asked for it. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

static EVP_PKEY *
read_key(const text *pem, bool private)
{
	BIO *bio = BIO_new_mem_buf(VARDATA_ANY(pem), VARSIZE_ANY_EXHDR(pem));
	EVP_PKEY *key = NULL;

	if (bio == NULL)
		return NULL;
	if (private)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	else
		key = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

/* The public half as PEM, from malloc; NULL if there is no memory. */
static char *
write_public(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;
	char *pem = NULL;

	if (bio != NULL && PEM_write_bio_PUBKEY(bio, key) == 1)
	{
		len = BIO_get_mem_data(bio, &data);
		pem = strndup(data, len);
	}
	BIO_free(bio);
	return pem;
}

static const char *
find_fault(EVP_PKEY *key, int algorithm)
{
	if (ALGORITHMS[algorithm].key_type == 0)
		return "the algorithm takes a shared secret, not a key pair";
	if (EVP_PKEY_base_id(key) != ALGORITHMS[algorithm].key_type)
		return "the key is of another kind";
	if (ALGORITHMS[algorithm].bits > 0 && EVP_PKEY_bits(key) != ALGORITHMS[algorithm].bits)
		return "the key is of another curve";
	if (ALGORITHMS[algorithm].bits == 0 && EVP_PKEY_bits(key) < MIN_RSA_BITS)
		return "the key is too short";
	return NULL;
}

/* rt_private.pem_public(alg text, pem text, is_private boolean) RETURNS text: the public half; NULL where pem is not
 * such a key */
Datum
rt_pem_public(PG_FUNCTION_ARGS)
{
	int algorithm = find_algorithm(PG_GETARG_TEXT_PP(0));
	text *pem = PG_GETARG_TEXT_PP(1);
	EVP_PKEY *key = read_key(pem, PG_GETARG_BOOL(2));
	const char *fault;
	char *public = NULL;

	if (key == NULL)
		PG_RETURN_NULL();
	fault = find_fault(key, algorithm);
	if (fault == NULL)
		public = write_public(key);
	EVP_PKEY_free(key);
	if (public == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("the key does not fit algorithm %s", ALGORITHMS[algorithm].name),
		                errdetail("%s.", fault == NULL ? "Out of memory" : fault)));
	PG_RETURN_TEXT_P(take_text(public));
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
