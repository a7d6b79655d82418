/* notice.h: one event as it comes from the bus, taken apart without being decoded.
 *
 *   {"event":"new-chat-message","offset":"123","route":{"room":"1"},"type":…}
 *
 * The spans are lent from the text.  The relay writes exactly this form (docs/architecture.md, "The relay"),
 * so anything else is refused rather than understood. */
#ifndef RT_NOTICE_H
#define RT_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/gateway/engineio/frame.h"

struct rt_notice
{
	const char *event;
	size_t event_len;
	bool logged; /* has a position */
	uint64_t pos;
	const char *route; /* a JSON object */
	size_t route_len;
	const char *body; /* the payload without its opening brace: `"type":…}` or `}` */
	size_t body_len;
	bool truncated; /* the payload must be read from the event log */
};

bool rt_notice_parse(struct rt_notice *n, const char *text, size_t len);
bool rt_notice_is(const struct rt_notice *n, const char *event);

/* `42["event",{payload},"pos"]` */
struct rt_frame *rt_notice_frame(const struct rt_notice *n, uint64_t pos);

/* The same event with another position at its end. */
struct rt_frame *rt_notice_reframe(const struct rt_frame *f, uint64_t pos);

/* The chat-notification of type new-message that tells of this new-chat-message; NULL if it is none. */
struct rt_frame *rt_notice_notification(const char *payload, size_t len, uint64_t pos);

#define RT_SENDER_SIZE 1024 /* a user's id has 128 bytes, which are up to 768 in JSON */

/* Who sent the message of a new-chat-message, "" if nobody did.  A quoted key cannot occur within a string, where its
 * quotes would be escaped, and what senders make up themselves comes behind it. */
void rt_notice_sender(const char *text, size_t len, char sender[RT_SENDER_SIZE]);

#endif
