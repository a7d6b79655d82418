/* key.c: keys that sign and verify tokens; see key.h. */
#include "postgres.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "common/base64.h"
#include "fmgr.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "key.h"

#define RANDOM_LIMIT_BYTES 256
#define MIN_RSA_BITS 2048

PG_FUNCTION_INFO_V1(rt_pem_public);
PG_FUNCTION_INFO_V1(rt_random_text);

static const struct rt_algorithm ALGORITHMS[] = {
	{"HS256", EVP_sha256, 0, 0},
	{"HS384", EVP_sha384, 0, 0},
	{"HS512", EVP_sha512, 0, 0},
	{"RS256", EVP_sha256, EVP_PKEY_RSA, 0},
	{"RS384", EVP_sha384, EVP_PKEY_RSA, 0},
	{"RS512", EVP_sha512, EVP_PKEY_RSA, 0},
	{"ES256", EVP_sha256, EVP_PKEY_EC, 256},
	{"ES384", EVP_sha384, EVP_PKEY_EC, 384},
	{"ES512", EVP_sha512, EVP_PKEY_EC, 521},
};

const struct rt_algorithm *
rt_algorithm_find(const text *name)
{
	for (int i = 0; i < lengthof(ALGORITHMS); i++)
	{
		if (strlen(ALGORITHMS[i].name) == VARSIZE_ANY_EXHDR(name) &&
			memcmp(ALGORITHMS[i].name, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) == 0)
			return &ALGORITHMS[i];
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown algorithm \"%s\"", text_to_cstring(name)),
			 errhint("Known are HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384 and ES512.")));
	return NULL;
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

/* Why the key cannot be used with the algorithm, or NULL. */
static const char *
find_fault(EVP_PKEY *key, const struct rt_algorithm *algorithm)
{
	if (algorithm->key_type == 0)
		return "The algorithm takes a shared secret, not a key pair.";
	if (EVP_PKEY_base_id(key) != algorithm->key_type)
		return "The key is of another kind.";
	if (algorithm->curve_bits > 0 && EVP_PKEY_bits(key) != algorithm->curve_bits)
		return "The key is of another curve.";
	if (algorithm->curve_bits == 0 && EVP_PKEY_bits(key) < MIN_RSA_BITS)
		return "The key is too short.";
	return NULL;
}

/* rt_private.pem_public(alg text, pem text, is_private boolean) RETURNS text: the public half; NULL where pem is not
 * such a key */
Datum
rt_pem_public(PG_FUNCTION_ARGS)
{
	const struct rt_algorithm *algorithm = rt_algorithm_find(PG_GETARG_TEXT_PP(0));
	text *pem = PG_GETARG_TEXT_PP(1);
	EVP_PKEY *key = rt_key_read(pem, PG_GETARG_BOOL(2));
	const char *fault;
	BIO *public = NULL;

	if (key == NULL)
		PG_RETURN_NULL();
	fault = find_fault(key, algorithm);
	if (fault == NULL)
	public = write_public(key);
	EVP_PKEY_free(key);
	if (fault != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the key does not fit algorithm %s", algorithm->name), errdetail("%s", fault)));
	if (public == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
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
