/* provisioned.h: which users of other issuers are known to be in the database, and what their tokens said last of
 * their being administrators, so that a request of theirs asks for nothing.  The database may delete a user at any
 * time: then the gateway forgets them. */
#ifndef RT_PROVISIONED_H
#define RT_PROVISIONED_H

#include <stdbool.h>

struct rt_provisioned;

/* What a token says of its user. */
enum rt_provisioned_admin
{
	RT_PROVISIONED_UNSAID, /* its issuer makes no administrators */
	RT_PROVISIONED_ORDINARY,
	RT_PROVISIONED_ADMIN
};

struct rt_provisioned *rt_provisioned_new(void);
void rt_provisioned_free(struct rt_provisioned *p); /* NULL is fine */

/* Whether the database knows the user, and nothing newer of them than what this token says.  issued_s: when it was
 * issued; of two tokens the later one counts, in whatever order they are used. */
bool rt_provisioned_has(struct rt_provisioned *p, const char *user, enum rt_provisioned_admin admin, double issued_s);

/* revision: rt_provisioned_revision() when the database was asked.  If a user has been forgotten since then, its
 * answer may be older than their deletion, and is not remembered. */
void rt_provisioned_add(struct rt_provisioned *p, const char *user, enum rt_provisioned_admin admin, double issued_s,
						unsigned revision);
unsigned rt_provisioned_revision(const struct rt_provisioned *p);

void rt_provisioned_forget(struct rt_provisioned *p, const char *user);
void rt_provisioned_forget_all(struct rt_provisioned *p);

#endif
