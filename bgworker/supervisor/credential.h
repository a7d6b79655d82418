/* credential.h: how the programs log in to the server that starts them.
 *
 * Zero configuration: the roles rt_gateway and rt_media get a SCRAM verifier of a secret that is made at each server
 * start and that only the supervisor and the program know. */
#ifndef RT_CREDENTIAL_H
#define RT_CREDENTIAL_H

#include "postgres.h"
#include "lib/stringinfo.h"

enum rt_program_kind
{
	RT_PROGRAM_GATEWAY,
	RT_PROGRAM_MEDIA
};

#define RT_PROGRAM_KINDS 2

extern const char *rt_program_name(enum rt_program_kind kind); /* "gateway" */
extern const char *rt_program_role(enum rt_program_kind kind); /* "rt_gateway"; the executable, too */

/* Runs a transaction of its own.  Stores the verifier where the stored one is not that of the secret, and resets the
 * role's settings; an error of the server's is logged. */
extern void rt_credential_store(enum rt_program_kind kind);

/* False where somebody has changed the settings of the role since.  In the caller's transaction. */
extern bool rt_credential_is_set_right(enum rt_program_kind kind);

/* The connection string, with the secret in it: not for any log. */
extern void rt_credential_conninfo(StringInfo out, enum rt_program_kind kind, const char *database);

/* Logs what a DBA can do about a failed login. */
extern void rt_credential_hint(enum rt_program_kind kind, const char *database);

#endif
