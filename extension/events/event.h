/* event.h: events of a transaction.  They are kept in the backend's memory, and leave through the ring when, and
 * only if, the transaction commits; a subtransaction that aborts takes its own along. */
#ifndef RT_EVENT_H
#define RT_EVENT_H

#include "postgres.h"

/* Text is not NUL-terminated; it is copied. */
struct rt_event
{
	const char *name; /* [A-Za-z0-9_.:-]{1,64} */
	Size name_len;
	const char *route; /* a JSON object of docs/protocols.md */
	Size route_len;
	const char *payload; /* a JSON object, first byte '{' */
	Size payload_len;
	int64 room_id; /* 0: none */
	int64 seq;     /* 0: none */
	bool logged;   /* false: soft state, which recovery does not give back */
};

extern void rt_event_emit(const struct rt_event *event);

/* The event new-chat-message of one message.  Its name and route follow from the room. */
extern void rt_event_emit_message(int64 room_id, int64 seq, const char *payload, Size payload_len);

/* Says that messages of one room may have been emitted out of order, which the commit then puts right. */
extern void rt_event_sort_messages(void);

/* Raises, with the hint, where rt is not in shared_preload_libraries. */
extern void rt_event_require_loaded(void);

/* For _PG_init. */
extern void rt_event_install(void);

#endif
