/* password.c: bcrypt, by the C library's crypt().  Hashes are those of pgcrypto's crypt() with gen_salt('bf'), so the
 * ones that an older version stored are good for ever, and no extension is needed that somebody could drop.
 *
 * Runs in the backend that checks a password, and keeps it busy for the time that the cost asks for: tens of
 * milliseconds, without a look for interrupts.  crypt_r()'s state is 32 kB, holds the password, and is wiped. */
#include "postgres.h"

#include <crypt.h>

#include "fmgr.h"
#include "utils/builtins.h"

#define COST_MIN 4
#define COST_MAX 31
#define SALT_BYTES 16
#define SALT_CHARS 22 /* 128 bits in 6 each */

PG_FUNCTION_INFO_V1(rt_crypt);
PG_FUNCTION_INFO_V1(rt_gen_salt);

/* rt_private.crypt(password text, salt text) RETURNS text; the salt may be a whole hash */
Datum
rt_crypt(PG_FUNCTION_ARGS)
{
	char *password = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *salt = text_to_cstring(PG_GETARG_TEXT_PP(1));
	struct crypt_data *state = palloc0(sizeof(*state));
	const char *hash;
	text *result;

	hash = crypt_r(password, salt, state);
	if (hash == NULL || hash[0] == '*')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid password hash")));
	result = cstring_to_text(hash);
	explicit_bzero(state, sizeof(*state));
	explicit_bzero(password, strlen(password));
	pfree(state);
	PG_RETURN_TEXT_P(result);
}

/* rt_private.gen_salt(kind text, rounds integer) RETURNS text; bcrypt's alphabet is ./A-Za-z0-9, its bits come in the
 * order of base64 */
Datum
rt_gen_salt(PG_FUNCTION_ARGS)
{
	static const char digits[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	char *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int cost = PG_GETARG_INT32(1);
	uint8 random[SALT_BYTES + 2] = {0};
	char salt[7 + SALT_CHARS + 1];

	if (strcmp(kind, "bf") != 0 || cost < COST_MIN || cost > COST_MAX)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("incorrect number of rounds")));
	if (!pg_strong_random(random, SALT_BYTES))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate a random salt")));
	snprintf(salt, sizeof(salt), "$2a$%02d$", cost);
	for (int i = 0; i < SALT_CHARS; i++)
	{
		int bit = i * 6;
		int two = random[bit / 8] << 8 | random[bit / 8 + 1];

		salt[7 + i] = digits[two >> (10 - bit % 8) & 0x3f];
	}
	salt[7 + SALT_CHARS] = '\0';
	PG_RETURN_TEXT_P(cstring_to_text(salt));
}
