/* command.h: events of the bus that are for the gateways and not for clients; their names begin with "rt:".
 *
 * Like client events they stand in static tables, one a file; main joins them at the start. */
#ifndef RT_COMMAND_H
#define RT_COMMAND_H

#include <jansson.h>
#include <stddef.h>

struct rt_app;
struct rt_notice;
struct rt_route;

struct rt_command_def
{
	const char *name;
	void (*run)(struct rt_app *app, const json_t *payload);
};

void rt_commands_add_table(const struct rt_command_def *defs, size_t n); /* static memory */
void rt_command_init(void);                                              /* adds those of command.c */

/* A route that names one gateway ("to") concerns that one alone. */
void rt_command_run(struct rt_app *app, const struct rt_notice *n, const struct rt_route *r);

#endif
