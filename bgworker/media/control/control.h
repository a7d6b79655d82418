/* control.h: the worker's part in signalling, through the database alone: it registers, fetches what waits for it,
 * answers, tells what happened, and beats.  When the database has given it up, it drops everything and registers
 * anew under another name. */
#ifndef RT_CONTROL_H
#define RT_CONTROL_H

#include <jansson.h>

#include "bgworker/common/conf.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/db/host.h"
#include "bgworker/media/forward/engine.h"

struct rt_control;

struct rt_control_options
{
	int slot; /* which worker this is */
	int port;
	int capacity;               /* producers and consumers */
	const char *announced;      /* comma-separated; "": the addresses that are bound */
	const struct rt_conf *conf; /* whose host this is */
	struct rt_host *host;       /* told of the stamp of the settings; NULL: the supervisor follows them */
};

typedef void (*rt_control_cb)(void *arg);

/* on_ready: once, when the database knows this worker. */
struct rt_control *rt_control_new(struct rt_loop *l, struct rt_db *db, const struct rt_control_options *o,
								  rt_control_cb on_ready, void *arg);
void rt_control_free(struct rt_control *c); /* no callback of the database may be open */
/* Of what the worker takes no more streams: percent of its core, and packets sent a second; 0: no limit. */
void rt_control_set_limits(struct rt_control *c, int64_t cpu_percent, int64_t packets_per_s);
void rt_control_set_engine(struct rt_control *c, struct rt_engine *e); /* before the loop runs */

/* What rt_engine_new() is given, with the control as its arg. */
void rt_control_event(void *arg, const char *json);

/* Takes no new meetings, and waits until those that it has are elsewhere: done is called when nothing is left, when
 * no other worker could take them, or after half a minute.  Then rt_control_stop() is due. */
void rt_control_drain(struct rt_control *c, rt_control_cb done, void *arg);

/* Says goodbye; done is called when the database has heard it, or after a second. */
void rt_control_stop(struct rt_control *c, rt_control_cb done, void *arg);

#endif
