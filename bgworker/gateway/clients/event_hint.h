/* event_hint.h: what to do instead of an event that does not exist. */
#ifndef RT_EVENT_HINT_H
#define RT_EVENT_HINT_H

#include <stddef.h>

#include "bgworker/common/map.h"

/* Room for a message of rt_event_hint_unknown(). */
#define RT_EVENT_HINT_BYTES 320

/* `Unknown event "…"`, and a sentence that helps, if there is one.  `near` finds a known name that is written like an
 * unknown one, or NULL. */
void rt_event_hint_unknown(char out[RT_EVENT_HINT_BYTES], const char *name,
						   const char *(*near)(void *arg, const char *name), void *arg);

#define RT_EVENT_HINT_FAR 1000

/* How far a name is from a known one: case and separators do not count, a letter more, less or other counts one. From
 * `limit` on, or where more than a third of the letters differ, it is RT_EVENT_HINT_FAR. */
int rt_event_hint_distance(const char *name, const char *known, int limit);

#endif
