/* keyring.h: the keys that verify tokens, ours and those of other issuers, and the checks of a token by them.
 *
 * The same rules as the database's (28_tokens.sql, rt.verify_token), which a test holds against these.  A keyring is
 * made of one answer of rt_api.keys() and never changes: new keys are a new keyring. */
#ifndef RT_KEYRING_H
#define RT_KEYRING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "provisioned.h"

struct rt_keyring;

enum rt_keyring_verdict
{
	RT_KEYRING_OK,
	RT_KEYRING_INVALID,
	RT_KEYRING_EXPIRED
};

/* What a good token says.  The texts lie in `claims`, which the caller lets go by json_decref(). */
struct rt_keyring_token
{
	json_t *claims;
	const char *user;
	const char *sid;      /* the claim sid of a token by a key of ours; NULL: it has none, or another issuer's */
	const json_t *issuer; /* as rt_api.keys() has it, lent while the keyring is; NULL: ours */
	double issued_s, expires_s; /* since 1970; issued_s 0: not known */
	uint64_t key;               /* which has signed it: rt_keyring_has() */
};

struct rt_keyring *rt_keyring_new(const json_t *answer); /* NULL: the answer is malformed */
void rt_keyring_free(struct rt_keyring *k);              /* NULL is fine; secrets are overwritten */

/* *why: a sentence for the log at debug, where the token is refused; it names no part of the token that is secret. */
enum rt_keyring_verdict rt_keyring_verify(const struct rt_keyring *k, const char *token, double now_s,
										  struct rt_keyring_token *t, const char **why);

/* Whether a token that this key has signed would still be judged by the same rules: the key is there, and its
 * issuer's audiences, authorized parties and claim for the user are what they were. */
bool rt_keyring_has(const struct rt_keyring *k, uint64_t key);

/* Whether the claims make the user an administrator. */
enum rt_provisioned_admin rt_keyring_admin(const struct rt_keyring_token *t);

/* The body of rt_api.provision() for a token whose issuer creates users, or makes administrators, as JSON for the
 * caller to free(); NULL: it does neither. */
char *rt_keyring_provision(const struct rt_keyring_token *t);

#endif
