/* command.h: events of the bus that are for the gateways and not for clients; their names begin with "rt:".
 *
 * Each module that obeys some has a static table of them, and adds it with itself as their owner. This one knows none
 * of them. */
#ifndef RT_COMMAND_H
#define RT_COMMAND_H

#include <jansson.h>
#include <stddef.h>

struct rt_commands;
struct rt_notice;
struct rt_self;

struct rt_command_def
{
	const char *name;
	void (*run)(void *owner, const json_t *payload); /* what is wrong in the payload is ours: SQL wrote it */
};

struct rt_commands *rt_commands_new(const struct rt_self *self); /* lent */
void rt_commands_free(struct rt_commands *cs);                   /* NULL is fine */

/* The table is static memory; the owner must live as long as commands are run. A name may stand in one table only. */
void rt_commands_add(struct rt_commands *cs, const struct rt_command_def *defs, size_t n, void *owner);

/* to: the one gateway that the command is for; NULL: all. An unknown one is of a newer release, and ignored. */
void rt_commands_run(struct rt_commands *cs, const struct rt_notice *n, const char *to);

#endif
