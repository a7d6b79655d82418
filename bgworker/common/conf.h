/* conf.h: what a program is told: by the supervisor in lines of JSON on descriptor 3, the first one at the start; or,
 * on a host of its own, by its file and the database (db/host.h), in the same form. */
#ifndef RT_CONF_H
#define RT_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"
#include "loop.h"
#include "result.h"

struct rt_conf;

typedef void (*rt_conf_cb)(void *arg); /* the settings have changed */

/* Waits for the first line.  The log's level follows the settings by itself. */
enum rt_result rt_conf_read(struct rt_conf **cp, int fd);
struct rt_conf *rt_conf_of(json_t *root); /* takes the reference; there is no descriptor */
/* As a reload does: RT_BAD_INPUT, and logged, where it lacks a setting.  Takes the reference. */
enum rt_result rt_conf_replace(struct rt_conf *c, json_t *root);
bool rt_conf_is_current(const struct rt_conf *c); /* false, and logged: the server's library is of another version */
void rt_conf_free(struct rt_conf *c);             /* NULL is fine */

/* From then on reads reload lines; one that lacks a setting which the line before had is logged and ignored.  on_end:
 * the pipe was closed, the supervisor is gone. */
enum rt_result rt_conf_watch(struct rt_conf *c, struct rt_loop *l, rt_conf_cb on_reload, rt_conf_cb on_end,
							 void *arg);

const char *rt_conf_database(const struct rt_conf *c);
bool rt_conf_is_own(const struct rt_conf *c);        /* the program runs on a host of its own */
const char *rt_conf_host(const struct rt_conf *c);   /* the name of the host, as told or as the kernel has it; lent */
const char *rt_conf_region(const struct rt_conf *c); /* "": none */
int rt_conf_number(const struct rt_conf *c);         /* of a gateway among all of the database */
const char *rt_conf_conninfo(const struct rt_conf *c);
const char *rt_conf_pem(const struct rt_conf *c, const char *name); /* "cert" or "key"; NULL: none could be read */
int rt_conf_worker(const struct rt_conf *c);
int rt_conf_workers(const struct rt_conf *c);
bool rt_conf_has_successor(const struct rt_conf *c); /* one is started as soon as we drain: see gateway/drain.h */
int rt_conf_socket_fds(const struct rt_conf *c, int *fds, int max); /* how many there are */

/* Settings by their names without "rt."; numbers in the unit that the name ends in, or milliseconds and bytes.
 * Strings are lent until the next reload.  There are no defaults here: the server sends every setting.  One that is
 * missing or of another type is logged, and 0, false or "" comes instead; a program reads all of its settings first
 * and ends when they are not complete. */
int64_t rt_conf_int(struct rt_conf *c, const char *name);
bool rt_conf_bool(struct rt_conf *c, const char *name);
const char *rt_conf_str(struct rt_conf *c, const char *name);
bool rt_conf_is_complete(const struct rt_conf *c); /* false: one of the above was missing */

#endif
