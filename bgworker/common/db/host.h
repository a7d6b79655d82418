/* host.h: a program on a host of its own, started with --config FILE instead of by the supervisor.
 *
 * The file says how the database is reached and where to listen; rt_api.hello says the rest, in the form of the
 * supervisor's line (conf.h).  Both are followed: the file at SIGHUP, the database's settings by the stamp that comes
 * with each answer to a report. */
#ifndef RT_HOST_H
#define RT_HOST_H

#include <stdbool.h>

#include "bgworker/common/conf.h"

struct rt_db;
struct rt_host;
struct rt_loop;

struct rt_host_program
{
	const char *name;         /* "rt_gateway", which is also the role whose rights it needs */
	const char *kind;         /* "gateway" */
	const char *const *keys;  /* of its file; NULL behind the last */
	const char *const *once;  /* settings that only its start reads; the same */
	const char *port_setting; /* the setting that the file's port stands for */
	int default_port;
};

/* Takes the arguments apart, and prints what --help and --version ask for.  -1: go on, with the file in *path, NULL
 * if the supervisor has started us; else what main() returns. */
int rt_host_arguments(const struct rt_host_program *program, int argc, char **argv, const char **path);

/* First of all in main(), before anything is opened or logged: standard error may be anything, SIGHUP waits. */
void rt_host_prepare(void);

/* Reads the file and asks the database, again and again while it is not there.  Not RT_OK: logged; a restart may
 * help. */
enum rt_result rt_host_start(struct rt_host **hp, const struct rt_host_program *program, const char *path,
							 struct rt_conf **cp);
void rt_host_free(struct rt_host *h); /* NULL is fine, here and below */

const char *rt_host_role(const struct rt_host *h);                   /* for rt_db_options; lent; NULL: none */
const char *const *rt_host_folders(const struct rt_host *h, int *n); /* that a reload reads; lent */

/* From then on the configuration is followed.  on_refused, once: the database does not want this program any more,
 * since its version is another one. */
void rt_host_follow(struct rt_host *h, struct rt_db *db, void (*on_refused)(void *arg), void *arg);
void rt_host_note_stamp(struct rt_host *h, const char *stamp); /* of an answer to a report; NULL: it had none */
void rt_host_reread(struct rt_host *h);                        /* SIGHUP */

#endif
