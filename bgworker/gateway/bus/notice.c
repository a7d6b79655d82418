/* notice.c: what the relay and the event log tell, by keys and not by places; and the frames that are made of it.
 *
 * A notice is read once, in one pass over its text, and its payload is copied once: into the frame that all its
 * sockets share.  Of a message the frame remembers where MESSAGE and the timestamp lie, so that a notification can be
 * made of it later, when the text of the notice is gone.  Who gets an event is not decided here: delivery/route.c. */
#include "notice.h"

#include <stdlib.h>
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

/* ---- sockets that have not joined the room ---------------------------------------- */

struct rt_frame *
rt_notice_notification(const struct rt_frame *message, uint64_t pos)
{
	struct rt_span data;
	struct rt_span timestamp;
	struct rt_text t;
	struct rt_frame *f;

	if (!rt_sio_packet_part(message, RT_SIO_DATA, &data) ||
		!rt_sio_packet_part(message, RT_SIO_TIMESTAMP, &timestamp))
		return NULL;
	rt_text_init(&t);
	rt_text_add(&t, "{\"type\":\"new-message\",\"data\":");
	rt_text_add_n(&t, data.p, (size_t) (data.end - data.p));
	rt_text_add(&t, ",\"timestamp\":");
	rt_text_add_n(&t, timestamp.p, (size_t) (timestamp.end - timestamp.p));
	rt_text_add(&t, "}");
	f = rt_sio_packet_event_of("chat-notification", t.data, t.len, pos);
	rt_text_fini(&t);
	return f;
}

struct rt_frame *
rt_notice_own(const struct rt_frame *notification, uint64_t pos)
{
	struct rt_span argument;
	struct rt_text t;
	struct rt_frame *f;

	if (!rt_sio_packet_part(notification, RT_SIO_ARGUMENT, &argument))
		return NULL;
	rt_text_init(&t);
	rt_text_add(&t, "{\"own\":true,");
	rt_text_add_n(&t, argument.p + 1, (size_t) (argument.end - argument.p - 1));
	f = rt_sio_packet_event_of("chat-notification", t.data, t.len, pos);
	rt_text_fini(&t);
	return f;
}

/* One of two keys of "data", decoded; false: it has neither, or what it has is no string of that size. */
static bool
take_data_string(const struct rt_frame *f, const char *key, const char *other, char *value, size_t size)
{
	struct rt_json_pick picks[2] = {{.key = key}, {.key = other}};
	struct rt_json_rest rest;
	struct rt_span data;
	const struct rt_json_span *found;

	*value = '\0';
	if (!rt_sio_packet_part(f, RT_SIO_DATA, &data) ||
		rt_json_scan_split(data.p, (size_t) (data.end - data.p), picks, 2, &rest) != RT_OK)
		return false;
	found = picks[0].value.text != NULL ? &picks[0].value : &picks[1].value;
	if (found->text == NULL || found->kind != RT_JSON_STRING || found->len > size)
		return false;
	rt_json_scan_decode(found->text, found->len, value);
	return true;
}

void
rt_notice_author(const struct rt_frame *f, char user[RT_NOTICE_USER_BYTES])
{
	(void) take_data_string(f, "senderId", "by", user, RT_NOTICE_USER_BYTES);
}

bool
rt_notice_message_id(const struct rt_frame *f, char id[RT_NOTICE_MESSAGE_ID_BYTES])
{
	return take_data_string(f, "messageId", "id", id, RT_NOTICE_MESSAGE_ID_BYTES);
}

/* ---- events that have grown old ----------------------------------------------------- */

static json_t *
argument_of(const struct rt_frame *f)
{
	struct rt_span argument;

	if (!rt_sio_packet_part(f, RT_SIO_ARGUMENT, &argument))
		return NULL;
	return rt_json_parse_object(argument.p, (size_t) (argument.end - argument.p));
}

/* A key that is not there stays away. */
static bool
replace(json_t *data, const char *key, json_t *value)
{
	if (json_object_get(data, key) == NULL || value == NULL)
		return false;
	json_object_set(data, key, value);
	return true;
}

static bool
make_deleted(json_t *data, const json_t *change)
{
	json_t *empty = json_string("");
	json_t *null = json_null();
	bool changed = replace(data, "content", empty);

	changed |= replace(data, "newContent", empty);
	changed |= replace(data, "metadata", null);
	changed |= replace(data, "deletedAt", json_object_get(change, "timestamp"));
	json_decref(empty);
	return changed;
}

static bool
make_edited(json_t *data, const json_t *change)
{
	json_t *content = json_object_get(change, "newContent");
	bool changed = replace(data, "content", content);

	changed |= replace(data, "newContent", content);
	changed |= replace(data, "metadata", json_object_get(change, "metadata"));
	changed |= replace(data, "editedAt", json_object_get(change, "timestamp"));
	return changed;
}

struct rt_frame *
rt_notice_as_now(const struct rt_frame *f, const struct rt_frame *change, bool deleted, uint64_t pos)
{
	json_t *old = argument_of(f);
	json_t *told = argument_of(change);
	json_t *data = rt_json_object(old, "data");
	const json_t *by = rt_json_object(told, "data");
	struct rt_frame *now = NULL;
	char *text = NULL;

	if (data != NULL && by != NULL && (deleted ? make_deleted(data, by) : make_edited(data, by)))
		text = json_dumps(old, JSON_COMPACT);
	if (text != NULL)
		now = rt_sio_packet_event_with(f, text, strlen(text), pos);
	free(text);
	json_decref(old);
	json_decref(told);
	return now;
}
