/* plans.h: which programs should run for a database, and with what settings. */
#ifndef RT_PLANS_H
#define RT_PLANS_H

#include "postgres.h"

#include "child.h"
#include "credential.h"
#include "runner.h"
#include "extension/server/rt_shmem.h"

#define RT_PLANS_MAX_WORKERS RT_CHILD_MAX_SOCKETS

struct rt_plans;

extern struct rt_plans *rt_plans_new(rt_database *db, const char *database);

/* Makes them anew from the settings and ports of now; with stopping, nothing should run. */
extern void rt_plans_make(struct rt_plans *p, bool stopping);
extern bool rt_plans_are_outdated(const struct rt_plans *p); /* the launcher has given other ports */

/* How many programs of a kind should run, and the plan for one of them; lent until the plans are made anew. */
extern int rt_plans_count(const struct rt_plans *p, enum rt_program_kind kind);
extern struct rt_runner_plan rt_plans_get(struct rt_plans *p, enum rt_program_kind kind, int worker);

#endif
