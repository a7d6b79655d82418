/* dblisten.h: the connection that LISTENs on one channel. */
#ifndef RT_DBLISTEN_H
#define RT_DBLISTEN_H

#include <stdbool.h>

#include "db.h"
#include "loop.h"

struct rt_dblisten;

struct rt_dblisten *rt_dblisten_new(struct rt_loop *l, const char *conninfo, const char *channel,
									rt_db_notify_cb on_notify, rt_db_listen_cb on_listen, void *arg);
void rt_dblisten_free(struct rt_dblisten *d); /* NULL is fine */
bool rt_dblisten_up(const struct rt_dblisten *d);

#endif
