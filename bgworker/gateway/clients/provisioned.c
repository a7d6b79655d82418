/* provisioned.c: see provisioned.h
 *
 * A map from the user to what was told of them.  Mostly that is one text; tokens of several clients or of two issuers
 * may say different things of one user, and each of these texts is told once. */
#include "provisioned.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/map.h"

#define MAX_USERS 100000 /* beyond that all are forgotten, and told anew */
#define MAX_TOLD 8       /* texts of a user; beyond that the user's are forgotten */

struct entry
{
	char *told[MAX_TOLD];
	unsigned ntold;
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

static void
clear(struct entry *e)
{
	while (e->ntold > 0)
		free(e->told[--e->ntold]);
}

static void
free_users(struct rt_map *users)
{
	struct entry *e;
	size_t pos = 0;

	while ((e = rt_map_next(users, &pos)) != NULL)
	{
		clear(e);
		free(e);
	}
	rt_map_free(users);
}

void
rt_provisioned_free(struct rt_provisioned *p)
{
	if (p == NULL)
		return;
	free_users(p->users);
	free(p);
}

static bool
has(const struct entry *e, const char *told)
{
	for (unsigned i = 0; i < e->ntold; i++)
	{
		if (strcmp(e->told[i], told) == 0)
			return true;
	}
	return false;
}

bool
rt_provisioned_has(const struct rt_provisioned *p, const char *user, const char *told)
{
	const struct entry *e = rt_map_find_str(p->users, user);

	return e != NULL && has(e, told);
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
rt_provisioned_add(struct rt_provisioned *p, const char *user, const char *told, unsigned revision)
{
	struct entry *e;

	if (revision != p->revision)
		return;
	e = find_or_make(p, user);
	if (has(e, told))
		return;
	if (e->ntold == MAX_TOLD)
		clear(e);
	e->told[e->ntold++] = rt_strdup(told);
}

unsigned
rt_provisioned_revision(const struct rt_provisioned *p)
{
	return p->revision;
}

void
rt_provisioned_forget(struct rt_provisioned *p, const char *user)
{
	struct entry *e = rt_map_take_str(p->users, user);

	p->revision++;
	if (e == NULL)
		return;
	clear(e);
	free(e);
}

void
rt_provisioned_forget_all(struct rt_provisioned *p)
{
	p->revision++;
	free_users(p->users);
	p->users = rt_map_new();
}
