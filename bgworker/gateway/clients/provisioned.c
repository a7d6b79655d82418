/* provisioned.c: see provisioned.h
 *
 * A map from the user to the latest token's word.  The names that a token has count only where its user is created,
 * so they are not kept. */
#include "provisioned.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/map.h"

#define MAX_USERS 100000 /* beyond that all are forgotten, and told anew */

struct entry
{
	enum rt_provisioned_admin admin;
	double issued_s; /* of the latest token that said so; while it is unsaid, of none */
	char user[];
};

struct rt_provisioned
{
	struct rt_map *users;
	unsigned revision; /* rises when something is forgotten */
};

struct rt_provisioned *
rt_provisioned_new(void)
{
	struct rt_provisioned *p = rt_alloc(sizeof(*p));

	p->users = rt_map_new();
	return p;
}

void
rt_provisioned_free(struct rt_provisioned *p)
{
	if (p == NULL)
		return;
	rt_map_free_all(p->users);
	free(p);
}

bool
rt_provisioned_has(struct rt_provisioned *p, const char *user, enum rt_provisioned_admin admin, double issued_s)
{
	struct entry *e = rt_map_find_str(p->users, user);

	if (e == NULL || admin == RT_PROVISIONED_UNSAID)
		return e != NULL;
	if (e->admin == admin)
		e->issued_s = fmax(e->issued_s, issued_s);
	return e->admin == admin || (e->admin != RT_PROVISIONED_UNSAID && issued_s < e->issued_s);
}

static struct entry *
find_or_make(struct rt_provisioned *p, const char *user)
{
	struct entry *e = rt_map_find_str(p->users, user);

	if (e != NULL)
		return e;
	if (rt_map_count(p->users) >= MAX_USERS)
		rt_provisioned_forget_all(p);
	e = rt_alloc(sizeof(*e) + strlen(user) + 1);
	strcpy(e->user, user);
	rt_map_put_str(p->users, e->user, e);
	return e;
}

void
rt_provisioned_add(struct rt_provisioned *p, const char *user, enum rt_provisioned_admin admin, double issued_s,
				   unsigned revision)
{
	struct entry *e;

	if (revision != p->revision)
		return;
	e = find_or_make(p, user);
	if (admin == RT_PROVISIONED_UNSAID || (e->admin != RT_PROVISIONED_UNSAID && issued_s < e->issued_s))
		return;
	e->admin = admin;
	e->issued_s = issued_s;
}

unsigned
rt_provisioned_revision(const struct rt_provisioned *p)
{
	return p->revision;
}

void
rt_provisioned_forget(struct rt_provisioned *p, const char *user)
{
	p->revision++;
	free(rt_map_take_str(p->users, user));
}

void
rt_provisioned_forget_all(struct rt_provisioned *p)
{
	p->revision++;
	rt_map_free_all(p->users);
	p->users = rt_map_new();
}
