/* dbturns.c: see dbturns.h.  A user is known as long as one of its calls has a turn; only then can others wait. */
#include "dbturns.h"

#include <stdlib.h>
#include <string.h>

#include "dbcall.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/map.h"

/* A quarter of what may wait of all users. */
#define MAX_WAITING 2500
#define MAX_WAITING_BYTES (32u << 20)

struct user
{
	char *id;
	int under_way;
	size_t waiting;
	size_t waiting_bytes;
	struct rt_dbcall *head; /* wait, the oldest first */
	struct rt_dbcall **tail;
};

struct rt_dbturns
{
	struct rt_map *users;
	int which; /* of a call's turns */
	int most;
};

struct rt_dbturns *
rt_dbturns_new(int which, int most)
{
	struct rt_dbturns *t = rt_alloc(sizeof(*t));

	t->users = rt_map_new();
	t->which = which;
	t->most = most;
	return t;
}

void
rt_dbturns_free(struct rt_dbturns *t)
{
	if (t == NULL)
		return;
	rt_map_free(t->users);
	free(t);
}

static struct user *
need_user(struct rt_dbturns *t, const char *id)
{
	struct user *u = rt_map_find_str(t->users, id);

	if (u != NULL)
		return u;
	u = rt_alloc(sizeof(*u));
	u->id = rt_strdup(id);
	u->tail = &u->head;
	rt_map_put_str(t->users, u->id, u);
	return u;
}

static struct rt_dbcall *
pop(struct user *u)
{
	struct rt_dbcall *call = u->head;

	if (call == NULL)
		return NULL;
	u->head = call->next;
	if (u->head == NULL)
		u->tail = &u->head;
	call->next = NULL;
	u->waiting--;
	u->waiting_bytes -= call->req_len;
	return call;
}

static enum rt_result
wait_for_turn(struct user *u, struct rt_dbcall *call)
{
	if (u->waiting == MAX_WAITING || u->waiting_bytes + call->req_len > MAX_WAITING_BYTES)
		return RT_LIMIT;
	u->waiting++;
	u->waiting_bytes += call->req_len;
	call->next = NULL;
	*u->tail = call;
	u->tail = &call->next;
	return RT_AGAIN;
}

enum rt_result
rt_dbturns_begin(struct rt_dbturns *t, struct rt_dbcall *call)
{
	struct user *u;

	if (call->turns[t->which] == NULL)
		return RT_OK;
	u = need_user(t, call->turns[t->which]);
	call->has_turn[t->which] = u->under_way < t->most;
	if (!call->has_turn[t->which])
		return wait_for_turn(u, call);
	u->under_way++;
	return RT_OK;
}

struct rt_dbcall *
rt_dbturns_end(struct rt_dbturns *t, struct rt_dbcall *call)
{
	struct user *u;
	struct rt_dbcall *next;

	if (!call->has_turn[t->which])
		return NULL;
	call->has_turn[t->which] = false;
	u = rt_map_find_str(t->users, call->turns[t->which]);
	next = pop(u);
	if (next != NULL)
	{
		next->has_turn[t->which] = true;
		return next;
	}
	if (--u->under_way == 0)
	{
		rt_map_take_str(t->users, u->id);
		free(u->id);
		free(u);
	}
	return NULL;
}

void
rt_dbturns_drop(struct rt_dbturns *t, uint64_t before_ms, rt_dbturns_cb cb, void *arg)
{
	struct user *u;
	size_t pos = 0;

	while ((u = rt_map_next(t->users, &pos)) != NULL)
	{
		while (u->head != NULL && u->head->since_ms < before_ms)
			cb(arg, pop(u));
	}
}
