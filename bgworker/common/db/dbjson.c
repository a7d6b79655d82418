/* dbjson.c: see dbjson.h.  For requests that are few: the text is made, copied by db.c and freed. */
#include "dbjson.h"

#include <stdlib.h>
#include <string.h>

static void
call(struct rt_db *db, enum rt_db_lane lane, const char *fn, json_t *req, rt_db_cb cb, void *arg)
{
	char *text = json_dumps(req, JSON_COMPACT);

	json_decref(req);
	rt_db_call(db, lane, fn, NULL, text, strlen(text), cb, arg);
	free(text);
}

void
rt_dbjson_call(struct rt_db *db, const char *fn, json_t *req, rt_db_cb cb, void *arg)
{
	call(db, RT_DB_FAST, fn, req, cb, arg);
}

void
rt_dbjson_call_own(struct rt_db *db, const char *fn, json_t *req, rt_db_cb cb, void *arg)
{
	call(db, RT_DB_OWN, fn, req, cb, arg);
}
