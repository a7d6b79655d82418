/* ready.h: whether this gateway can serve: what /readyz answers. */
#ifndef RT_READY_H
#define RT_READY_H

#include <stdbool.h>

struct rt_auth;
struct rt_bus;
struct rt_db;
struct rt_drain;
struct rt_loop;
struct rt_ready;
struct rt_self;

/* What it uses; all is lent, and must live as long. */
struct rt_ready_uses
{
	const struct rt_loop *loop;
	const struct rt_self *self;
	const struct rt_db *db;
	const struct rt_bus *bus;
	const struct rt_auth *auth;
	const struct rt_drain *drain;
};

struct rt_ready *rt_ready_new(const struct rt_ready_uses *uses);
void rt_ready_free(struct rt_ready *r); /* NULL is fine */

/* report.c tells whether the database knows this gateway. */
void rt_ready_set_known(struct rt_ready *r, bool known);
/* A report was answered just now.  Without one for RT_READY_SILENT_MS the database is out of reach. */
#define RT_READY_SILENT_MS 4000
void rt_ready_note_answer(struct rt_ready *r);
/* A report was refused because the server is a standby, or not. */
void rt_ready_set_standby(struct rt_ready *r, bool standby);

bool rt_ready_is_known(const struct rt_ready *r);

/* Events have waited for the relay longer than rt.max_relay_wait. */
void rt_ready_set_stalled(struct rt_ready *r, bool stalled);

/* Somebody has locked a table that all need for longer than rt.max_relay_wait. */
void rt_ready_set_locked(struct rt_ready *r, bool locked);

/* A worker of the server hangs: "supervisor", "launcher"; NULL: none. */
void rt_ready_set_silent(struct rt_ready *r, const char *worker);
/* What does not keep this gateway from serving, and is wrong: a static text as below.  NULL: nothing. */
const char *rt_ready_warning(const struct rt_ready *r);

/* New clients are let in: the database, the bus and the relay work, and it is not about to end. */
bool rt_ready_is(const struct rt_ready *r);
/* What is missing, for people: a static text without anything that JSON quotes.  NULL if nothing is. */
const char *rt_ready_why_not(const struct rt_ready *r);

#endif
