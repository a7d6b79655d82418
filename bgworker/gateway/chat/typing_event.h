/* typing_event.h: what the events chat-typing and meeting typing have in common. */
#ifndef RT_TYPING_EVENT_H
#define RT_TYPING_EVENT_H

#include <stdbool.h>

#include "bgworker/gateway/clients/event.h"
#include "typing.h"

/* Notes it and answers.  The others are told by the database, unless they were within the last second. */
void rt_typing_tell(struct rt_typings *ts, struct rt_event *e, enum rt_typing_place place, const char *id,
					bool typing);

#endif
