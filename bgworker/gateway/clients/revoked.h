/* revoked.h: what is refused though it has not expired: sessions, and of a user all tokens that are of no session of
 * ours and were issued until a time.  The database decides; the gateways hear of it by rt:revoked, and ask for all of
 * it when they begin. */
#ifndef RT_REVOKED_H
#define RT_REVOKED_H

#include <jansson.h>
#include <stdbool.h>

struct rt_revoked;

struct rt_revoked *rt_revoked_new(void);
void rt_revoked_free(struct rt_revoked *r); /* NULL is fine */

/* An answer of rt_api.revocations(): what it has comes to what is known, which a notification may have brought
 * meanwhile. */
bool rt_revoked_add_answer(struct rt_revoked *r, const json_t *answer); /* false: it is malformed */
void rt_revoked_add_session(struct rt_revoked *r, const char *sid, double until_s);
void rt_revoked_add_floor(struct rt_revoked *r, const char *user, double issued_after_s);
void rt_revoked_forget(struct rt_revoked *r, double now_s); /* sessions whose last token has expired */

/* sid NULL: the token has none.  One that a backend has made up says nothing of what is ours: ours begin with "rt-"
 * (27_sessions.sql).  issued_s 0: not known. */
bool rt_revoked_has(const struct rt_revoked *r, const char *sid, const char *user, double issued_s);

#endif
