/* expiry.h: the end of connected clients' tokens.
 *
 * Clients whose session has been revoked are disconnected for good.  Those whose token's key has been retired, or
 * withdrawn by its issuer, are cut off: with a new one they come back by themselves.  So they are at a rotation of
 * keys. With rt.disconnect_on_token_expiry those whose token has expired since they connected are cut off: with a new
 * one they come back by themselves, and their session is recovered; with the old one they are refused. */
#ifndef RT_EXPIRY_H
#define RT_EXPIRY_H

#include <stdbool.h>

struct rt_auth;
struct rt_clients;
struct rt_commands;
struct rt_conf;
struct rt_dbclock;
struct rt_expiry;
struct rt_loop;

struct rt_expiry_settings
{
	bool cut_off;
};

void rt_expiry_read_settings(struct rt_expiry_settings *s, struct rt_conf *c);

/* All is lent.  Obeys rt:revoked, and watches auth. */
struct rt_expiry *rt_expiry_new(struct rt_loop *l, const struct rt_clients *clients, struct rt_auth *auth,
								const struct rt_dbclock *clock, struct rt_commands *commands,
								const struct rt_expiry_settings *settings);
void rt_expiry_free(struct rt_expiry *e); /* NULL is fine */

#endif
