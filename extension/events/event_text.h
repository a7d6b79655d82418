/* event_text.h: the text of one event, as it is notified on rt_events and given back by rt_api.events_since. */
#ifndef RT_EVENT_TEXT_H
#define RT_EVENT_TEXT_H

#include "postgres.h"
#include "lib/stringinfo.h"

#define RT_MESSAGE_EVENT "new-chat-message"

/* The most that a notification carries; the server's own limit is 8,000 with the NUL. */
#define RT_NOTIFICATION_BYTES 7900

struct rt_event_text
{
	const char *name;
	int64 pos;           /* 0: soft, has no offset */
	const char *route;   /* JSON object; NULL: the room's */
	const char *payload; /* JSON object, first byte '{' */
	int64 room_id;       /* 0: none */
	int64 seq;           /* 0: none */
};

/* {"event":…,"offset":…,"route":…,<the payload without its brace> */
extern void rt_event_text_put(StringInfo out, const struct rt_event_text *e);

/* The same without the payload, for one that is too long, or private. */
extern void rt_event_text_put_truncated(StringInfo out, const struct rt_event_text *e);

/* The route says "private":true.  Any role may listen: such an event is notified without its payload, which
 * programs then read from the log. */
extern bool rt_event_text_is_private(const struct rt_event_text *e);

#endif
