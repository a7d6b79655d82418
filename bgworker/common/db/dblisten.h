/* dblisten.h: the connection that LISTENs on one channel. */
#ifndef RT_DBLISTEN_H
#define RT_DBLISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "bgworker/common/loop.h"

struct rt_dbconn_login;
struct rt_dblisten;

/* pid: of the server process that notified.  Any role may NOTIFY on any channel: only the pid tells who it was. */
typedef void (*rt_db_notify_cb)(void *arg, int pid, const char *payload, size_t len);
typedef void (*rt_db_listen_cb)(void *arg, bool listening); /* true after each (re)connection's LISTEN */
typedef void (*rt_dblisten_silent_cb)(void *arg);           /* of several hosts, this one is silent, and was left */

struct rt_dblisten *rt_dblisten_new(struct rt_loop *l, struct rt_dbconn_login *login, const char *channel,
									rt_db_notify_cb on_notify, rt_db_listen_cb on_listen, void *arg,
									rt_dblisten_silent_cb on_silent, void *silent_arg);
void rt_dblisten_free(struct rt_dblisten *d); /* NULL is fine */
/* Drops the connection; the next one LISTENs anew.  The callback may run at once. */
void rt_dblisten_again(struct rt_dblisten *d, const char *why);
bool rt_dblisten_up(const struct rt_dblisten *d);

#endif
