/* auth.h: who a token says that you are.  Tokens are JWTs, signed by one of the database's keys. */
#ifndef RT_AUTH_H
#define RT_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#define RT_TOKEN_LIMIT_BYTES 8192 /* a longer one is invalid */

struct rt_auth;
struct rt_commands;
struct rt_db;
struct rt_loop;

enum rt_auth_verdict
{
	RT_AUTH_OK,
	RT_AUTH_MISSING,
	RT_AUTH_INVALID,
	RT_AUTH_EXPIRED
};

/* Obeys rt:keys, the keys have changed. */
struct rt_auth *rt_auth_new(struct rt_loop *l, struct rt_db *db, struct rt_commands *commands);
void rt_auth_free(struct rt_auth *a); /* NULL is fine */

void rt_auth_refresh(struct rt_auth *a);     /* reads the keys again; when the bus has (re)started */
bool rt_auth_ready(const struct rt_auth *a); /* keys have been read */

/* RT_AUTH_OK: *user is the token's subject; free() it; *expires_s, unless NULL, when it ends, in seconds since 1970,
 * 0: never.  token NULL or empty is RT_AUTH_MISSING. */
enum rt_auth_verdict rt_auth_verify(struct rt_auth *a, const char *token, char **user, double *expires_s);
const char *rt_auth_message(enum rt_auth_verdict v); /* the contract's texts */

#endif
