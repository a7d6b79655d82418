/* dbjson.c: see dbjson.h.  For requests that are few: the text is made, copied by db.c and freed. */
#include "dbjson.h"

#include <stdlib.h>
#include <string.h>

void
rt_dbjson_call(struct rt_db *db, const char *fn, json_t *req, rt_db_cb cb, void *arg)
{
	char *text = json_dumps(req, JSON_COMPACT);

	json_decref(req);
	rt_db_call(db, RT_DB_FAST, fn, NULL, text, strlen(text), cb, arg);
	free(text);
}
