/* notice.c: see notice.h */
#include "notice.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bgworker/common/json.h"
#include "bgworker/gateway/text/json_scan.h"
#include "bgworker/gateway/text/span.h"

/* Up to the next quote; only for values that hold no escapes. */
static bool
take_plain_string(struct rt_span *c, const char **value, size_t *len)
{
	const char *quote = memchr(c->p, '"', (size_t) (c->end - c->p));

	if (quote == NULL || memchr(c->p, '\\', (size_t) (quote - c->p)) != NULL)
		return false;
	*value = c->p;
	*len = (size_t) (quote - c->p);
	c->p = quote + 1;
	return true;
}

static bool
take_offset(struct rt_span *c, struct rt_notice *n)
{
	const char *digits;
	size_t len;

	n->logged = rt_span_skip(c, ",\"offset\":\"");
	if (!n->logged)
		return true;
	return take_plain_string(c, &digits, &len) && rt_json_pos_text(digits, len, &n->pos);
}

static bool
ends_with(const char *text, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len >= n && memcmp(text + len - n, end, n) == 0;
}

bool
rt_notice_parse(struct rt_notice *n, const char *text, size_t len)
{
	struct rt_span c = {text, text + len};
	struct rt_span route;

	memset(n, 0, sizeof(*n));
	if (!rt_span_skip(&c, "{\"event\":\"") || !take_plain_string(&c, &n->event, &n->event_len))
		return false;
	if (!take_offset(&c, n) || !rt_span_skip(&c, ",\"route\":") || c.p == c.end || *c.p != '{' ||
		!rt_span_take_nested(&c, &route))
		return false;
	n->route = route.p;
	n->route_len = (size_t) (route.end - route.p);
	rt_span_skip(&c, ",");
	n->body = c.p;
	n->body_len = (size_t) (c.end - c.p);
	n->truncated = ends_with(n->body, n->body_len, "\"truncated\":true}") ||
				   (n->route_len == 18 && memcmp(n->route, "{\"truncated\":true}", 18) == 0);
	return n->body_len > 0 && n->body[n->body_len - 1] == '}';
}

bool
rt_notice_is(const struct rt_notice *n, const char *event)
{
	return n->event_len == strlen(event) && memcmp(n->event, event, n->event_len) == 0;
}

struct rt_frame *
rt_notice_frame(const struct rt_notice *n, uint64_t pos)
{
	char tail[32];
	int tail_len = snprintf(tail, sizeof(tail), ",\"%" PRIu64 "\"]", pos);
	struct rt_frame_part parts[] = {
		{"42[\"", 4}, {n->event, n->event_len}, {"\",{", 3}, {n->body, n->body_len}, {tail, (size_t) tail_len}};

	return rt_frame_new(parts, 5);
}

struct rt_frame *
rt_notice_reframe(const struct rt_frame *f, uint64_t pos)
{
	size_t len;
	const char *text = rt_frame_text(f, &len);
	const char *comma = memrchr(text, ',', len);
	char tail[32];
	int tail_len = snprintf(tail, sizeof(tail), ",\"%" PRIu64 "\"]", pos);
	struct rt_frame_part parts[] = {{text, (size_t) (comma - text)}, {tail, (size_t) tail_len}};

	return rt_frame_new(parts, 2);
}

struct rt_frame *
rt_notice_notification(const char *payload, size_t len, uint64_t pos)
{
	static const char head[] = "42[\"chat-notification\",{\"type\":\"new-message\",";
	const char *data = memmem(payload, len, "\"data\":{", 8);
	char tail[32];
	int tail_len = snprintf(tail, sizeof(tail), ",\"%" PRIu64 "\"]", pos);
	struct rt_frame_part parts[3] = {{head, sizeof(head) - 1}, {data, 0}, {tail, (size_t) tail_len}};

	/* From "data" on, which is MESSAGE, both have the same form: {…,"data":{…},"timestamp":…} */
	if (data == NULL)
		return NULL;
	parts[1].len = (size_t) (payload + len - data);
	return rt_frame_new(parts, 3);
}

void
rt_notice_sender(const char *text, size_t len, char sender[RT_SENDER_SIZE])
{
	static const char key[] = "\"senderId\":";
	const char *p = memmem(text, len, key, sizeof(key) - 1);
	struct rt_json_span value;

	*sender = '\0';
	if (p == NULL)
		return;
	p += sizeof(key) - 1;
	if (rt_json_scan(&p, text + len, &value) == RT_OK && value.kind == RT_JSON_STRING && value.len <= RT_SENDER_SIZE)
		rt_json_scan_decode(value.text, value.len, sender);
}
