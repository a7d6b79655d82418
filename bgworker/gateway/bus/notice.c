/* notice.c: what the relay and the event log tell, by keys and not by places; and the frames that are made of it.
 *
 * A notice is read once, in one pass over its text, and its payload is copied once: into the frame that all its
 * sockets share.  Of a message the frame remembers where MESSAGE and the timestamp lie, so that a notification can be
 * made of it later, when the text of the notice is gone.  Who gets an event is not decided here: delivery/route.c. */
#include "notice.h"

#include <string.h>

#include "bgworker/common/json.h"

/* ---- reading ------------------------------------------------------------------------ */

enum
{
	EVENT,
	OFFSET,
	ROUTE,
	DATA,
	TIMESTAMP,
	TRUNCATED,
	NPICKS
};

static bool
is_true(const struct rt_json_span *value)
{
	bool b;

	return value->text != NULL && rt_json_scan_bool(value, &b) && b;
}

/* A name that SQL chose, so it has no escapes. */
static bool
take_name(struct rt_notice *n, const struct rt_json_span *value)
{
	if (value->text == NULL || value->kind != RT_JSON_STRING || memchr(value->text, '\\', value->len) != NULL)
		return false;
	n->source.name = value->text + 1;
	n->source.name_len = value->len - 2;
	return true;
}

static bool
take_offset(struct rt_notice *n, const struct rt_json_span *value)
{
	n->logged = value->text != NULL;
	return !n->logged ||
		   (value->kind == RT_JSON_STRING && rt_json_pos_text(value->text + 1, value->len - 2, &n->pos));
}

/* A route that is itself too long for a notification is {"truncated":true}. */
static bool
take_route(struct rt_notice *n, const struct rt_json_span *value)
{
	struct rt_json_pick pick = {.key = "truncated"};
	struct rt_json_rest rest;

	if (value->text == NULL || value->kind != RT_JSON_OBJECT)
		return false;
	n->route = *value;
	if (memmem(value->text, value->len, "truncated", strlen("truncated")) != NULL)
		n->truncated = rt_json_scan_split(value->text, value->len, &pick, 1, &rest) == RT_OK && is_true(&pick.value);
	return true;
}

static struct rt_span
span_of(const struct rt_json_span *value)
{
	return (struct rt_span){value->text, value->text == NULL ? NULL : value->text + value->len};
}

bool
rt_notice_parse(struct rt_notice *n, const char *text, size_t len)
{
	struct rt_json_pick picks[NPICKS] = {
		[EVENT] = {.key = "event", .cut = true}, [OFFSET] = {.key = "offset", .cut = true},
		[ROUTE] = {.key = "route", .cut = true}, [DATA] = {.key = "data"},
		[TIMESTAMP] = {.key = "timestamp"},      [TRUNCATED] = {.key = "truncated"}};

	memset(n, 0, sizeof(*n));
	if (rt_json_scan_split(text, len, picks, NPICKS, &n->source.members) != RT_OK)
		return false;
	if (!take_name(n, &picks[EVENT].value) || !take_offset(n, &picks[OFFSET].value) ||
		!take_route(n, &picks[ROUTE].value))
		return false;
	if (picks[DATA].value.text != NULL && picks[DATA].value.kind == RT_JSON_OBJECT)
		n->source.parts[RT_SIO_DATA] = span_of(&picks[DATA].value);
	n->source.parts[RT_SIO_TIMESTAMP] = span_of(&picks[TIMESTAMP].value);
	n->truncated = n->truncated || is_true(&picks[TRUNCATED].value);
	return true;
}

bool
rt_notice_is(const struct rt_notice *n, const char *event)
{
	return n->source.name_len == strlen(event) && memcmp(n->source.name, event, n->source.name_len) == 0;
}

void
rt_notice_payload(const struct rt_notice *n, struct rt_text *t)
{
	const struct rt_json_rest *members = &n->source.members;

	rt_text_add(t, "{");
	for (int i = 0; i < members->n; i++)
	{
		rt_text_add(t, i == 0 ? "" : ",");
		rt_text_add_n(t, members->runs[i].p, (size_t) (members->runs[i].end - members->runs[i].p));
	}
	rt_text_add(t, "}");
}

/* ---- frames --------------------------------------------------------------------------- */

struct rt_frame *
rt_notice_frame(const struct rt_notice *n, uint64_t pos)
{
	return rt_sio_packet_event(&n->source, pos);
}

bool
rt_notice_message(const struct rt_notice *n, struct rt_notice_message *m)
{
	m->data = n->source.parts[RT_SIO_DATA];
	m->timestamp = n->source.parts[RT_SIO_TIMESTAMP];
	return m->data.p != NULL && m->timestamp.p != NULL && rt_notice_is(n, "new-chat-message");
}

bool
rt_notice_message_of(const struct rt_frame *f, struct rt_notice_message *m)
{
	return rt_sio_packet_part(f, RT_SIO_DATA, &m->data) && rt_sio_packet_part(f, RT_SIO_TIMESTAMP, &m->timestamp);
}

struct rt_frame *
rt_notice_notification(const struct rt_notice_message *m, uint64_t pos)
{
	struct rt_text t;
	struct rt_frame *f;

	rt_text_init(&t);
	rt_text_add(&t, "{\"type\":\"new-message\",\"data\":");
	rt_text_add_n(&t, m->data.p, (size_t) (m->data.end - m->data.p));
	rt_text_add(&t, ",\"timestamp\":");
	rt_text_add_n(&t, m->timestamp.p, (size_t) (m->timestamp.end - m->timestamp.p));
	rt_text_add(&t, "}");
	f = rt_sio_packet_event_of("chat-notification", t.data, t.len, pos);
	rt_text_fini(&t);
	return f;
}

void
rt_notice_sender(const struct rt_notice_message *m, char sender[RT_NOTICE_SENDER_BYTES])
{
	struct rt_json_pick pick = {.key = "senderId"};
	struct rt_json_rest rest;

	*sender = '\0';
	if (rt_json_scan_split(m->data.p, (size_t) (m->data.end - m->data.p), &pick, 1, &rest) == RT_OK &&
		pick.value.text != NULL && pick.value.kind == RT_JSON_STRING && pick.value.len <= RT_NOTICE_SENDER_BYTES)
		rt_json_scan_decode(pick.value.text, pick.value.len, sender);
}
