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

/* A new-chat-message, as others than those in the room are told of it. */
struct rt_notice_message
{
	struct rt_span data; /* MESSAGE, an object */
	struct rt_span timestamp;
};

/* False: the event is none.  Lent from the notice's text, or from the frame. */
bool rt_notice_message(const struct rt_notice *n, struct rt_notice_message *m);
bool rt_notice_message_of(const struct rt_frame *f, struct rt_notice_message *m);

/* The chat-notification of type new-message that tells of it. */
struct rt_frame *rt_notice_notification(const struct rt_notice_message *m, uint64_t pos);

#define RT_NOTICE_SENDER_BYTES 1024 /* a user's id has 128 bytes, which are up to 768 in JSON */

/* Who sent it; "" if nobody did. */
void rt_notice_sender(const struct rt_notice_message *m, char sender[RT_NOTICE_SENDER_BYTES]);

#endif
