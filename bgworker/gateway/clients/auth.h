/* auth.h: who a token says that you are.  Tokens are JWTs, signed by one of the database's keys or by an issuer that
 * it knows. */
#ifndef RT_AUTH_H
#define RT_AUTH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "provisioned.h"

#define RT_TOKEN_LIMIT_BYTES 8192 /* a longer one is invalid */

struct rt_auth;
struct rt_commands;
struct rt_db;
struct rt_dbclock;
struct rt_loop;

enum rt_auth_verdict
{
	RT_AUTH_OK,
	RT_AUTH_MISSING,
	RT_AUTH_INVALID,
	RT_AUTH_EXPIRED
};

/* What a good token says. */
struct rt_auth_token
{
	char *user;
	char *sid;       /* the claim sid of a token by a key of ours; NULL: it has none, or another issuer's */
	char *provision; /* the user may have to be created first: rt_auth_provision(); NULL: not */
	enum rt_provisioned_admin admin; /* by its claims */
	bool is_ours;                    /* signed by a key of ours; else another issuer's */
	double issued_s, expires_s;      /* since 1970; issued_s 0: not known */
	uint64_t key;                    /* which has signed it */
};

/* Obeys rt:keys, the keys have changed, and rt:admin, what is known of a user's rights has. */
struct rt_auth *rt_auth_new(struct rt_loop *l, struct rt_db *db, struct rt_dbclock *clock,
							struct rt_commands *commands);
void rt_auth_free(struct rt_auth *a); /* NULL is fine */

void rt_auth_refresh(struct rt_auth *a);     /* reads keys and revocations again; when the bus has (re)started */
bool rt_auth_ready(const struct rt_auth *a); /* both have been read */

/* RT_AUTH_OK fills *t, which rt_auth_token_fini() empties; else it is empty.  token NULL or empty is RT_AUTH_MISSING.
 * Which check failed is in the log at debug, and never the client's to know. */
enum rt_auth_verdict rt_auth_verify(struct rt_auth *a, const char *token, struct rt_auth_token *t);
void rt_auth_token_fini(struct rt_auth_token *t);
/* Whether the token's issuer may make administrators: rt itself, or an issuer with an admin_claim. */
bool rt_auth_may_administer(const struct rt_auth_token *t);
const char *rt_auth_message(enum rt_auth_verdict v); /* the contract's texts */

/* The payload of rt:revoked is remembered. */
void rt_auth_revoke(struct rt_auth *a, const json_t *payload);
/* A session that has ended, as rt:revoked is about to say. */
void rt_auth_end_session(struct rt_auth *a, const char *sid);
bool rt_auth_is_revoked(const struct rt_auth *a, const struct rt_auth_token *t);
bool rt_auth_is_withdrawn(const struct rt_auth *a,
						  const struct rt_auth_token *t); /* its key, or its issuer's rules */

/* Calls back once keys or revocations have been read anew: tokens that were good may be revoked or withdrawn.  cb
 * NULL ends it. */
void rt_auth_watch(struct rt_auth *a, void (*cb)(void *arg), void *arg);

/* Whether the token's user need not be created, or has been. */
bool rt_auth_is_provisioned(struct rt_auth *a, const struct rt_auth_token *t);
typedef void (*rt_auth_provision_cb)(void *arg, bool ok);
void rt_auth_provision(struct rt_auth *a, const struct rt_auth_token *t, rt_auth_provision_cb cb, void *arg);
void rt_auth_forget_user(struct rt_auth *a, const char *user); /* may have been deleted, and is to be created again */

#endif
