/* settings_list.h: the lists that some settings are.  rt.databases is one of struct rt_served. */
#ifndef RT_SETTINGS_LIST_H
#define RT_SETTINGS_LIST_H

#include "postgres.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

/* One entry `name[:port[:media_port]]` of rt.databases, with the defaults filled in. */
struct rt_served
{
	char *name;
	int port;
	int media_port;
};

/* rt.databases as a list of struct rt_served, in the current memory context; NIL: every database that has
 * the extension is to be served. */
extern List *rt_settings_served(void);

/* Copies the next item of the list into item and moves *at behind its comma.  In double quotes a comma is no
 * separator, and the quotes stay.  False: the list has ended. */
extern bool rt_settings_next_item(const char **at, StringInfo item);

/* An item of rt.databases; NULL: it is not of the form. */
extern struct rt_served *rt_settings_parse_served(const char *item);

#endif
