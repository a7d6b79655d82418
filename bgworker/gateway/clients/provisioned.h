/* provisioned.h: which users of other issuers are known to be in the database, and with which claims, so that a
 * request of theirs asks for nothing.  The database may delete a user at any time: then the gateway forgets them. */
#ifndef RT_PROVISIONED_H
#define RT_PROVISIONED_H

#include <stdbool.h>

struct rt_provisioned;

struct rt_provisioned *rt_provisioned_new(void);
void rt_provisioned_free(struct rt_provisioned *p); /* NULL is fine */

bool rt_provisioned_has(const struct rt_provisioned *p, const char *user, const char *told);

/* revision: rt_provisioned_revision() when the database was asked.  If a user has been forgotten since then, its
 * answer may be older than their deletion, and is not remembered. */
void rt_provisioned_add(struct rt_provisioned *p, const char *user, const char *told, unsigned revision);
unsigned rt_provisioned_revision(const struct rt_provisioned *p);

void rt_provisioned_forget(struct rt_provisioned *p, const char *user);
void rt_provisioned_forget_all(struct rt_provisioned *p);

#endif
