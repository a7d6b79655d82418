/* turn.c: temporary credentials for TURN servers, as coturn's use-auth-secret takes them
 * (draft-uberti-behave-turn-rest-00), for rt_private.turn_servers() in 74_api_meetings.sql.
 *
 * The secret is read from the file in rt.turn_secret_file each time, so that a change needs no reload.  It stays in
 * this module: no function returns it, and no message has it.  Runs in a backend.
 */
#include "postgres.h"

#include <openssl/hmac.h>

#include "../config/setting_values.h"
#include "fmgr.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#define MAX_SECRET_BYTES 1024

PG_FUNCTION_INFO_V1(rt_turn_hmac);

/* Without the white space at its end.  0: there is no secret, for which a join is not to fail. */
static size_t
read_secret(char *secret)
{
	FILE *file;
	size_t len;

	if (rt_turn_secret_file == NULL || rt_turn_secret_file[0] == '\0')
		return 0;
	file = AllocateFile(rt_turn_secret_file, "r");
	if (file == NULL)
	{
		ereport(WARNING, (errcode_for_file_access(), errmsg("could not read the file in rt.turn_secret_file: %m"),
						  errdetail("Clients are not told of the TURN servers in rt.turn_urls.")));
		return 0;
	}
	len = fread(secret, 1, MAX_SECRET_BYTES, file);
	FreeFile(file);
	while (len > 0 && strchr(" \t\r\n", secret[len - 1]) != NULL)
		len--;
	return len;
}

/* rt_private.turn_hmac(username text) RETURNS bytea: HMAC with SHA-1 and the secret; NULL: there is none */
Datum
rt_turn_hmac(PG_FUNCTION_ARGS)
{
	text *username = PG_GETARG_TEXT_PP(0);
	bytea *result = palloc(VARHDRSZ + EVP_MAX_MD_SIZE);
	char secret[MAX_SECRET_BYTES];
	unsigned int len = 0;
	size_t secret_len = read_secret(secret);
	unsigned char *made;

	if (secret_len == 0)
		PG_RETURN_NULL();
	made = HMAC(EVP_sha1(), secret, (int) secret_len, (unsigned char *) VARDATA_ANY(username),
				VARSIZE_ANY_EXHDR(username), (unsigned char *) VARDATA(result), &len);
	explicit_bzero(secret, sizeof(secret));
	if (made == NULL)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute an HMAC")));
	SET_VARSIZE(result, VARHDRSZ + len);
	PG_RETURN_BYTEA_P(result);
}
