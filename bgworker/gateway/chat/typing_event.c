/* typing_event.c: see typing_event.h. */
#include "typing_event.h"

#include <stdio.h>
#include <stdlib.h>

#include "bgworker/common/json.h"
#include "bgworker/common/log.h"

static const char *const functions[] = {[RT_TYPING_ROOM] = "typing", [RT_TYPING_MEETING] = "meeting_typing"};

struct told
{
	struct rt_typings *typings;
	enum rt_typing_place place;
	char id[RT_ID_LEN + 1];
};

static void
on_told(void *arg, const struct rt_db_reply *reply)
{
	struct rt_event *e = arg;
	struct rt_client *c = rt_event_client(e);
	struct told *told = e->data;

	if (!reply->ok && c != NULL)
		rt_typing_stop(told->typings, c, told->place, told->id);
	free(told);
	rt_event_answer_reply(e, reply);
}

static void
tell(struct rt_typings *ts, struct rt_event *e, enum rt_typing_place place, const char *id)
{
	struct told *told = rt_alloc(sizeof(*told));

	told->typings = ts;
	told->place = place;
	snprintf(told->id, sizeof(told->id), "%s", id);
	e->data = told;
	rt_event_call(e, functions[place], on_told);
}

void
rt_typing_tell(struct rt_typings *ts, struct rt_event *e, enum rt_typing_place place, const char *id, bool typing)
{
	struct rt_client *c = rt_event_client(e);

	if (typing ? rt_typing_start(ts, c, place, id) : rt_typing_stop(ts, c, place, id))
		tell(ts, e, place, id);
	else
		rt_event_answer(e, "{}", 2);
}
