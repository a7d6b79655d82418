/* dbhosts.c: see dbhosts.h. */
#include "dbhosts.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/text.h"

#define LIMIT_MS 10000
#define FIRST_LIMIT_MS 2000 /* of several hosts */
#define LISTS 3             /* host, hostaddr, port */

int
rt_dbhosts_items(const char *list)
{
	int n = 1;

	if (list == NULL)
		return 0;
	for (const char *p = list; *p != '\0'; p++)
		n += *p == ',';
	return n;
}

static int
hosts_in(const PQconninfoOption *options)
{
	int most = 1;

	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
	{
		bool has_hosts = strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0;
		int n = has_hosts ? rt_dbhosts_items(o->val) : 0;

		most = n > most ? n : most;
	}
	return most;
}

/* The list from its item number `first` on, then those before.  A single item stands for all hosts. */
static char *
turned(const char *list, int first)
{
	const char *from = list;
	struct rt_text t;
	char *copy;

	for (; first > 0 && from != NULL; first--)
	{
		from = strchr(from, ',');
		from = from == NULL ? NULL : from + 1;
	}
	if (from == NULL || from == list)
		return rt_strdup(list);
	rt_text_init(&t);
	rt_text_addf(&t, "%s,%.*s", from, (int) (from - list - 1), list);
	copy = rt_strndup(t.data, t.len);
	rt_text_fini(&t);
	return copy;
}

/* Item number i alone.  A single item stands for all hosts. */
static char *
picked(const char *list, int i)
{
	const char *from = list;

	for (; i > 0 && from != NULL; i--)
	{
		from = strchr(from, ',');
		from = from == NULL ? NULL : from + 1;
	}
	if (from == NULL)
		from = list;
	return rt_strndup(from, strcspn(from, ","));
}

bool
rt_dbhosts_lists(const char *keyword)
{
	return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 || strcmp(keyword, "port") == 0;
}

static PGconn *
connect_with(const PQconninfoOption *options, char *(*edit)(const char *list, int i), int i)
{
	char *lists[LISTS];
	const char **keywords, **values;
	size_t room = 1;
	int n = 0, nlists = 0;
	PGconn *pg;

	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
		room++;
	keywords = rt_alloc(room * sizeof(*keywords));
	values = rt_alloc(room * sizeof(*values));
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
	{
		if (o->val == NULL)
			continue;
		keywords[n] = o->keyword;
		values[n++] = rt_dbhosts_lists(o->keyword) ? (lists[nlists++] = edit(o->val, i)) : o->val;
	}
	keywords[n] = values[n] = NULL;
	pg = PQconnectStartParams(keywords, values, 0);
	while (nlists > 0)
		free(lists[--nlists]);
	free(keywords);
	free(values);
	return pg;
}

PGconn *
rt_dbhosts_connect(struct rt_dbhosts *h, const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	PGconn *pg;

	h->count = options == NULL ? 1 : hosts_in(options);
	h->first %= h->count;
	pg = h->first == 0 ? PQconnectStart(conninfo) : connect_with(options, turned, h->first);
	PQconninfoFree(options);
	return pg;
}

/* What chooses between several hosts that would do can be left to libpq alone. */
static bool
chooses(const PQconninfoOption *o)
{
	if (strcmp(o->keyword, "target_session_attrs") == 0)
		return strcmp(o->val, "prefer-standby") == 0;
	return strcmp(o->keyword, "load_balance_hosts") == 0 && strcmp(o->val, "disable") != 0;
}

/* Where lists differ in length, libpq says so. */
static bool
fits(const PQconninfoOption *o, int nhosts)
{
	int n = rt_dbhosts_lists(o->keyword) ? rt_dbhosts_items(o->val) : 1;

	return n == nhosts || (n == 1 && strcmp(o->keyword, "port") == 0) || !rt_dbhosts_lists(o->keyword);
}

int
rt_dbhosts_count(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	int n;

	if (options == NULL)
		return 1;
	n = hosts_in(options);
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
	{
		if (o->val != NULL && (chooses(o) || !fits(o, hosts_in(options))))
			n = 1;
	}
	PQconninfoFree(options);
	return n > RT_DBHOSTS_MOST ? 1 : n;
}

PGconn *
rt_dbhosts_connect_to(const char *conninfo, int i)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	PGconn *pg = options == NULL ? PQconnectStart(conninfo) : connect_with(options, picked, i);

	PQconninfoFree(options);
	return pg;
}

uint64_t
rt_dbhosts_limit_ms(const struct rt_dbhosts *h)
{
	uint64_t limit_ms = FIRST_LIMIT_MS;

	if (h->count < 2)
		return LIMIT_MS;
	for (int turns = h->nlate / h->count; turns > 0 && limit_ms < LIMIT_MS; turns--)
		limit_ms *= 2;
	return limit_ms < LIMIT_MS ? limit_ms : LIMIT_MS;
}

void
rt_dbhosts_late(struct rt_dbhosts *h, const PGconn *pg, char reason[RT_DBHOSTS_REASON_BYTES])
{
	rt_dbhosts_explain(pg, h->count, reason);
	h->nlate++;
	h->first = (h->first + 1) % h->count;
}

void
rt_dbhosts_explain(const PGconn *pg, int count, char reason[RT_DBHOSTS_REASON_BYTES])
{
	snprintf(reason, RT_DBHOSTS_REASON_BYTES, "no answer in time");
	if (count > 1)
		snprintf(reason, RT_DBHOSTS_REASON_BYTES, "no answer in time from %.200s, port %.20s", PQhost(pg),
				 PQport(pg));
}
