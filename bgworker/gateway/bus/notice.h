/* notice.h: one event as it comes from the bus, taken apart without being decoded.
 *
 *   {"event":"new-chat-message","offset":"123","route":{"room":"1"},"type":…,"data":{…}}
 *
 * The keys may come in any order.  "event", "offset" and "route" are the envelope: the first of each name, for a
 * payload may have keys of these names too, which the relay writes behind them.  All others are the payload.  Spans
 * are lent from the text.  Anything else than such an object is refused (docs/architecture.md, "The relay"). */
#ifndef RT_NOTICE_H
#define RT_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/text.h"
#include "bgworker/gateway/engineio/frame.h"
#include "bgworker/gateway/socketio/sio_packet.h"
#include "bgworker/gateway/text/json_scan.h"

struct rt_notice
{
	struct rt_sio_packet_source source; /* name and payload, of which frames are made */
	bool logged;                        /* has a position */
	uint64_t pos;
	struct rt_json_span route; /* an object */
	bool truncated;            /* the payload must be read from the event log */
};

bool rt_notice_parse(struct rt_notice *n, const char *text, size_t len);
bool rt_notice_is(const struct rt_notice *n, const char *event);
void rt_notice_payload(const struct rt_notice *n, struct rt_text *t); /* adds it as an object */

/* `42["event",{payload},"pos"]` */
struct rt_frame *rt_notice_frame(const struct rt_notice *n, uint64_t pos);

/* ---- what sockets are told that have not joined the room ------------------------- */

/* The chat-notification of type new-message that tells of a new-chat-message.  NULL: the frame is of none. */
struct rt_frame *rt_notice_notification(const struct rt_frame *message, uint64_t pos);

/* A chat-notification for the sockets of whoever did what it tells: with "own": true. */
struct rt_frame *rt_notice_own(const struct rt_frame *notification, uint64_t pos);

#define RT_NOTICE_USER_BYTES 1024 /* a user's id has 128 bytes, which are up to 768 in JSON */

/* Who did it: data's "senderId" of a message, "by" of what was done to one; "" if nobody did. */
void rt_notice_author(const struct rt_frame *f, char user[RT_NOTICE_USER_BYTES]);

#define RT_NOTICE_MESSAGE_ID_BYTES 48

/* data's "messageId"; false: it has none. */
bool rt_notice_message_id(const struct rt_frame *f, char id[RT_NOTICE_MESSAGE_ID_BYTES]);

/* An event about a message, as it is after an edit or a deletion of that message: with the new text, or without any.
 * NULL: nothing in it changes. */
struct rt_frame *rt_notice_as_now(const struct rt_frame *f, const struct rt_frame *change, bool deleted,
								  uint64_t pos);

#endif
