/* command.c: from a command's name to the module that obeys it.
 *
 * Commands come in the order of the bus, among the events for clients, and are obeyed at once: what follows one on
 * the bus finds it done. Called by the dispatch of the bus's events alone. */
#include "command.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/json.h"
#include "bgworker/common/map.h"
#include "bgworker/common/text.h"
#include "notice.h"
#include "self.h"

struct command
{
	const struct rt_command_def *def;
	void *owner;
};

struct rt_commands
{
	const struct rt_self *self;
	struct rt_map *by_name;
};

struct rt_commands *
rt_commands_new(const struct rt_self *self)
{
	struct rt_commands *cs = rt_alloc(sizeof(*cs));

	cs->self = self;
	cs->by_name = rt_map_new();
	return cs;
}

void
rt_commands_free(struct rt_commands *cs)
{
	if (cs == NULL)
		return;
	rt_map_free_all(cs->by_name);
	free(cs);
}

void
rt_commands_add(struct rt_commands *cs, const struct rt_command_def *defs, size_t n, void *owner)
{
	for (size_t i = 0; i < n; i++)
	{
		struct command *c = rt_alloc(sizeof(*c));
		bool is_new;

		*c = (struct command){&defs[i], owner};
		is_new = rt_map_put_str(cs->by_name, defs[i].name, c);
		assert(is_new);
		(void) is_new;
	}
}

static json_t *
payload_of(const struct rt_notice *n)
{
	struct rt_text t;
	json_t *payload;

	rt_text_init(&t);
	rt_notice_payload(n, &t);
	payload = rt_json_parse_object(t.data, t.len);
	rt_text_fini(&t);
	return payload;
}

void
rt_commands_run(struct rt_commands *cs, const struct rt_notice *n, const char *to)
{
	const struct command *c = rt_map_find(cs->by_name, n->source.name, n->source.name_len);
	json_t *payload;

	if (c == NULL || (to != NULL && strcmp(to, cs->self->name) != 0))
		return;
	payload = payload_of(n);
	c->def->run(c->owner, payload);
	json_decref(payload);
}
