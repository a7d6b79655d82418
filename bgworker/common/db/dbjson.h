/* dbjson.h: calls of the database whose request is a jansson object. */
#ifndef RT_DBJSON_H
#define RT_DBJSON_H

#include <jansson.h>

#include "db.h"

/* rt_api.<fn>(NULL, req) on a fast connection, as rt_db_call().  Takes req. */
void rt_dbjson_call(struct rt_db *db, const char *fn, json_t *req, rt_db_cb cb, void *arg);

/* The same on a connection for what the program does for itself. */
void rt_dbjson_call_own(struct rt_db *db, const char *fn, json_t *req, rt_db_cb cb, void *arg);

#endif
