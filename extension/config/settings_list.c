/* settings_list.c: takes lists in settings apart; see settings_list.h.  Whether an entry is acceptable is
 * settings_check.c's to say: here an entry that cannot be read is left out.  Allocates in the caller's context;
 * no lock, no catalog, and no error but for want of memory. */
#include "postgres.h"

#include <ctype.h>

#include "setting_values.h"
#include "settings_list.h"

bool
rt_settings_next_item(const char **at, StringInfo item)
{
	const char *p = *at;
	bool quoted = false;

	resetStringInfo(item);
	if (*p == '\0')
		return false;
	while (isspace((unsigned char) *p))
		p++;
	for (; *p != '\0' && (quoted || *p != ','); p++)
	{
		if (*p == '"')
			quoted = !quoted;
		appendStringInfoChar(item, *p);
	}
	while (item->len > 0 && isspace((unsigned char) item->data[item->len - 1]))
		item->data[--item->len] = '\0';
	*at = *p == ',' ? p + 1 : p;
	return true;
}

/* A port after a colon.  False: it is none. */
static bool
parse_port(const char **at, int *port)
{
	char *end;
	long value;

	if (!isdigit((unsigned char) (*at)[1]))
		return false;
	value = strtol(*at + 1, &end, 10);
	if (value < 1 || value > RT_SETTINGS_HIGHEST_PORT || (*end != '\0' && *end != ':'))
		return false;
	*port = (int) value;
	*at = end;
	return true;
}

/* Takes the database's name off the item, its quotes removed.  NULL: there is no proper one. */
static char *
parse_name(const char **at)
{
	StringInfoData name;
	const char *p = *at;

	initStringInfo(&name);
	if (*p != '"')
	{
		size_t len = strcspn(p, ":\"");

		appendBinaryStringInfo(&name, p, len);
		*at = p + len;
		return name.len > 0 && name.len < NAMEDATALEN && p[len] != '"' ? name.data : NULL;
	}
	for (p++; *p != '\0' && (*p != '"' || p[1] == '"'); p++)
	{
		if (*p == '"')
			p++;
		appendStringInfoChar(&name, *p);
	}
	*at = p + 1;
	return *p == '"' && name.len > 0 && name.len < NAMEDATALEN ? name.data : NULL;
}

struct rt_served *
rt_settings_parse_served(const char *item)
{
	struct rt_served *served = palloc(sizeof(*served));
	const char *at = item;

	served->port = rt_port;
	served->media_port = rt_media_port;
	served->name = parse_name(&at);
	if (served->name == NULL)
		return NULL;
	if (*at == ':' && !parse_port(&at, &served->port))
		return NULL;
	if (*at == ':' && !parse_port(&at, &served->media_port))
		return NULL;
	return *at == '\0' ? served : NULL;
}

List *
rt_settings_served(void)
{
	List *list = NIL;
	StringInfoData item;
	const char *at = rt_databases;

	initStringInfo(&item);
	while (rt_settings_next_item(&at, &item))
	{
		struct rt_served *served = rt_settings_parse_served(item.data);

		if (served != NULL)
			list = lappend(list, served);
	}
	return list;
}
