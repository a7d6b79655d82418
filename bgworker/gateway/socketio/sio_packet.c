/* sio_packet.c: packets of Socket.IO, read and written.  No other file knows how one looks.
 *
 *     <type>[<attachments>-][<namespace>,][<ack id>][<JSON>]      (socket.io-protocol, "Packet encoding")
 *
 * What goes out is a message packet of Engine.IO, so a 4 stands in front of all of it:
 *
 *     40{"sid":"…","pid":"…"}        CONNECT: accepted
 *     44{"message":"…","data":…}     CONNECT_ERROR; with a namespace, 44/admin,{…}
 *     41                             DISCONNECT
 *     42["name",{…},"123"]           EVENT: its argument, then its position, from which a client resumes
 *     4312[{…}]                      ACK of the event with the id 12
 *
 * A frame of an event remembers where its argument lies, and what of it was asked to be remembered: whoever needs a
 * part of it later takes it from there, and searches nothing.  Reading is by json_scan.c, which copies nothing; the
 * packet's spans point into the text. */
#include "sio_packet.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bgworker/common/text.h"

#define MAX_ACK_ID ((int64_t) 1 << 53) /* beyond it a JavaScript client could not have meant it */

struct cursor
{
	const char *p;
	const char *end;
};

/* ---- reading -------------------------------------------------------------------- */

static bool
is_binary(enum rt_sio_packet_type type)
{
	return type == RT_SIO_BINARY_EVENT || type == RT_SIO_BINARY_ACK;
}

static bool
at_digit(const struct cursor *c)
{
	return c->p < c->end && *c->p >= '0' && *c->p <= '9';
}

/* A run of digits; RT_BAD_INPUT if there is none, RT_LIMIT above max. */
static enum rt_result
read_number(struct cursor *c, int64_t max, int64_t *value)
{
	if (!at_digit(c))
		return RT_BAD_INPUT;
	*value = 0;
	while (at_digit(c))
	{
		*value = *value * 10 + (*c->p++ - '0');
		if (*value > max)
			return RT_LIMIT;
	}
	return RT_OK;
}

static enum rt_result
read_attachments(struct cursor *c, struct rt_sio_packet *p)
{
	int64_t n;
	enum rt_result rc = read_number(c, RT_SIO_MAX_ATTACHMENTS, &n);

	if (rc != RT_OK)
		return rc;
	if (c->p == c->end || *c->p != '-')
		return RT_BAD_INPUT;
	c->p++;
	p->attachments = (int) n;
	return RT_OK;
}

/* Up to the comma, or to the packet's end. */
static void
read_namespace(struct cursor *c, struct rt_sio_packet *p)
{
	const char *comma;

	if (c->p == c->end || *c->p != '/')
		return;
	comma = memchr(c->p, ',', (size_t) (c->end - c->p));
	p->namespace = c->p;
	p->namespace_len = (size_t) ((comma != NULL ? comma : c->end) - c->p);
	c->p = comma != NULL ? comma + 1 : c->end;
	if (p->namespace_len == 1)
		p->namespace = NULL;
}

/* Exactly one value of one of two kinds, and nothing behind it. */
static enum rt_result
check_value(const struct rt_sio_packet *p, enum rt_json_kind kind, enum rt_json_kind or_kind)
{
	const char *at = p->data;
	const char *end = p->data + p->data_len;
	struct rt_json_span value;
	enum rt_result rc = rt_json_scan(&at, end, &value);

	if (rc == RT_LIMIT)
		return rc;
	if (rc != RT_OK || at != end)
		return RT_BAD_INPUT;
	return value.kind == kind || value.kind == or_kind ? RT_OK : RT_BAD_INPUT;
}

static bool
skip_comma(struct cursor *c)
{
	if (c->p == c->end || *c->p != ',')
		return false;
	c->p++;
	return true;
}

/* The first argument is nearly always an object; it is read this once, and its members are kept. */
static enum rt_result
read_first(struct cursor *c, struct rt_sio_packet *p)
{
	enum rt_result rc;

	while (c->p < c->end && rt_span_is_space(*c->p))
		c->p++;
	if (c->p == c->end || *c->p != '{')
		return rt_json_scan(&c->p, c->end, &p->arg);
	rc = rt_json_scan_members(&c->p, c->end, &p->members);
	if (rc == RT_OK)
		p->arg = (struct rt_json_span){p->members.text, p->members.len, RT_JSON_OBJECT};
	else
		p->members.text = NULL;
	return rc;
}

/* The arguments behind the name, up to the closing bracket. */
static enum rt_result
read_args(struct cursor *c, struct rt_sio_packet *p)
{
	struct rt_json_span value;
	enum rt_result rc;

	while (skip_comma(c))
	{
		rc = p->nargs++ == 0 ? read_first(c, p) : rt_json_scan(&c->p, c->end, &value);
		if (rc != RT_OK)
			return rc;
	}
	return c->p < c->end && *c->p++ == ']' ? RT_OK : RT_BAD_INPUT;
}

/* `["name",arg,…]`.  Depth is counted within each argument. */
static enum rt_result
read_event(struct rt_sio_packet *p)
{
	struct cursor c;
	enum rt_result rc;

	if (p->data == NULL || p->data[0] != '[')
		return RT_BAD_INPUT;
	c.p = p->data + 1;
	c.end = p->data + p->data_len;
	if (rt_json_scan(&c.p, c.end, &p->name) != RT_OK)
		return RT_BAD_INPUT;
	if (p->name.kind != RT_JSON_STRING && p->name.kind != RT_JSON_NUMBER)
		return RT_BAD_INPUT;
	rc = read_args(&c, p);
	if (rc == RT_LIMIT)
	{
		p->over_limit = true;
		p->arg.text = p->members.text = NULL;
		p->nargs = 0;
		return RT_OK;
	}
	if (rc != RT_OK)
		return rc;
	while (c.p < c.end && rt_span_is_space(*c.p))
		c.p++;
	return c.p == c.end ? RT_OK : RT_BAD_INPUT;
}

/* Nobody reads what an acknowledgement carries, so its depth is no reason to close. */
static enum rt_result
read_ack(struct rt_sio_packet *p)
{
	enum rt_result rc = p->data == NULL ? RT_BAD_INPUT : check_value(p, RT_JSON_ARRAY, RT_JSON_ARRAY);

	return rc == RT_LIMIT ? RT_OK : rc;
}

static enum rt_result
read_data(struct rt_sio_packet *p)
{
	switch (p->type)
	{
		case RT_SIO_CONNECT:
			return p->data == NULL ? RT_OK : check_value(p, RT_JSON_OBJECT, RT_JSON_OBJECT);
		case RT_SIO_DISCONNECT:
			return p->data == NULL ? RT_OK : RT_BAD_INPUT;
		case RT_SIO_EVENT:
		case RT_SIO_BINARY_EVENT:
			return read_event(p);
		case RT_SIO_ACK:
		case RT_SIO_BINARY_ACK:
			return read_ack(p);
		case RT_SIO_CONNECT_ERROR:
			return p->data == NULL ? RT_BAD_INPUT : check_value(p, RT_JSON_OBJECT, RT_JSON_STRING);
	}
	return RT_BAD_INPUT;
}

enum rt_result
rt_sio_packet_parse(const char *text, size_t len, struct rt_sio_packet *p)
{
	struct cursor c = {text, text + len};
	enum rt_result rc;

	memset(p, 0, offsetof(struct rt_sio_packet, members));
	p->members.text = NULL;
	p->ack = -1;
	if (len == 0 || *c.p < '0' || *c.p > '0' + RT_SIO_BINARY_ACK)
		return RT_BAD_INPUT;
	p->type = (enum rt_sio_packet_type)(*c.p++ - '0');
	if (is_binary(p->type))
	{
		rc = read_attachments(&c, p);
		if (rc != RT_OK)
			return rc;
	}
	read_namespace(&c, p);
	if (at_digit(&c) && read_number(&c, MAX_ACK_ID, &p->ack) != RT_OK)
		return RT_BAD_INPUT;
	if (c.p < c.end)
	{
		p->data = c.p;
		p->data_len = (size_t) (c.end - c.p);
	}
	return read_data(p);
}

bool
rt_sio_packet_is_reserved(const char *name)
{
	static const char *const names[] = {"connect",       "connect_error", "disconnect",
										"disconnecting", "newListener",   "removeListener"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* ---- writing -------------------------------------------------------------------- */

static struct rt_frame *
frame_of_text(struct rt_text *t)
{
	struct rt_frame_part part = {t->data, t->len};
	struct rt_frame *f = rt_frame_new(&part, 1);

	rt_text_fini(t);
	return f;
}

struct rt_frame *
rt_sio_packet_connect(const char *sid, const char *pid, const char *epoch)
{
	struct rt_text t;

	rt_text_init(&t);
	rt_text_add(&t, "40{\"sid\":");
	rt_text_quote(&t, sid);
	if (pid != NULL)
	{
		rt_text_add(&t, ",\"pid\":");
		rt_text_quote(&t, pid);
	}
	if (epoch != NULL)
	{
		rt_text_add(&t, ",\"epoch\":");
		rt_text_quote(&t, epoch);
	}
	rt_text_add(&t, "}");
	return frame_of_text(&t);
}

struct rt_frame *
rt_sio_packet_connect_error(const struct rt_sio_packet *p, const char *message, const char *data)
{
	struct rt_text t;

	rt_text_init(&t);
	rt_text_add(&t, "44");
	if (p != NULL && p->namespace != NULL)
	{
		rt_text_add_n(&t, p->namespace, p->namespace_len);
		rt_text_add(&t, ",");
	}
	rt_text_add(&t, "{\"message\":");
	rt_text_quote(&t, message);
	if (data != NULL)
	{
		rt_text_add(&t, ",\"data\":");
		rt_text_add(&t, data);
	}
	rt_text_add(&t, "}");
	return frame_of_text(&t);
}

struct rt_frame *
rt_sio_packet_disconnect(void)
{
	static const struct rt_frame_part part = {"41", 2};

	return rt_frame_new(&part, 1);
}

struct rt_frame *
rt_sio_packet_ack(int64_t ack, const char *json, size_t len)
{
	char head[32];
	struct rt_frame_part parts[] = {{head, 0}, {json, len}, {"]", 1}};

	parts[0].len = (size_t) snprintf(head, sizeof(head), "43%" PRId64 "[", ack);
	return rt_frame_new(parts, 3);
}

/* The end of every event: its position, as a string. */
static struct rt_frame_part
position(uint64_t pos, char *text, size_t size)
{
	return (struct rt_frame_part){text, (size_t) snprintf(text, size, ",\"%" PRIu64 "\"]", pos)};
}

/* Notes where a part lies, which is within one of the members' runs. */
static void
note_part(struct rt_frame *f, int mark, const struct rt_span *part, const struct rt_frame_part *parts, int n)
{
	size_t at = 0;

	for (int i = 0; i < n; i++)
	{
		if (part->p >= parts[i].data && part->end <= parts[i].data + parts[i].len)
		{
			rt_frame_set_mark(f, mark, at + (size_t) (part->p - parts[i].data), (size_t) (part->end - part->p));
			return;
		}
		at += parts[i].len;
	}
}

struct rt_frame *
rt_sio_packet_event(const struct rt_sio_packet_source *e, uint64_t pos)
{
	struct rt_frame_part parts[4 + 2 * RT_JSON_RUNS] = {{"42[\"", 4}, {e->name, e->name_len}, {"\",{", 3}};
	char tail[32];
	struct rt_frame *f;
	size_t argument_len = 2;
	int n = 3;

	for (int i = 0; i < e->members.n; i++)
	{
		if (i > 0)
			parts[n++] = (struct rt_frame_part){",", 1};
		parts[n++] =
			(struct rt_frame_part){e->members.runs[i].p, (size_t) (e->members.runs[i].end - e->members.runs[i].p)};
		argument_len += (i > 0) + parts[n - 1].len;
	}
	parts[n++] = (struct rt_frame_part){"}", 1};
	parts[n] = position(pos, tail, sizeof(tail));
	f = rt_frame_new(parts, n + 1);
	rt_frame_set_mark(f, RT_SIO_ARGUMENT, 4 + e->name_len + 2, argument_len);
	for (int i = RT_SIO_DATA; i < RT_SIO_PARTS; i++)
		if (e->parts[i].p != NULL)
			note_part(f, i, &e->parts[i], parts, n);
	return f;
}

struct rt_frame *
rt_sio_packet_event_of(const char *name, const char *json, size_t len, uint64_t pos)
{
	size_t name_len = strlen(name);
	char tail[32];
	struct rt_frame_part parts[] = {
		{"42[\"", 4}, {name, name_len}, {"\",", 2}, {json, len}, position(pos, tail, sizeof(tail))};
	struct rt_frame *f = rt_frame_new(parts, 5);

	rt_frame_set_mark(f, RT_SIO_ARGUMENT, 4 + name_len + 2, len);
	return f;
}

/* Where the values of these keys lie in the argument that begins at `at` of the frame. */
static void
mark_parts(struct rt_frame *f, size_t at, const char *json, size_t len)
{
	struct rt_json_pick picks[RT_SIO_PARTS] = {
		[RT_SIO_ARGUMENT] = {.key = ""}, [RT_SIO_DATA] = {.key = "data"}, [RT_SIO_TIMESTAMP] = {.key = "timestamp"}};
	struct rt_json_rest rest;

	if (rt_json_scan_split(json, len, picks, RT_SIO_PARTS, &rest) != RT_OK)
		return;
	for (int i = RT_SIO_DATA; i < RT_SIO_PARTS; i++)
	{
		if (picks[i].value.text != NULL)
			rt_frame_set_mark(f, i, at + (size_t) (picks[i].value.text - json), picks[i].value.len);
	}
}

struct rt_frame *
rt_sio_packet_event_with(const struct rt_frame *f, const char *json, size_t len, uint64_t pos)
{
	size_t text_len;
	const char *text = rt_frame_text(f, &text_len);
	struct rt_span argument;
	char tail[32];
	size_t at;
	struct rt_frame *changed;

	if (!rt_sio_packet_part(f, RT_SIO_ARGUMENT, &argument))
		return NULL;
	at = (size_t) (argument.p - text);
	changed = rt_frame_new((struct rt_frame_part[]){{text, at}, {json, len}, position(pos, tail, sizeof(tail))}, 3);
	rt_frame_set_mark(changed, RT_SIO_ARGUMENT, at, len);
	mark_parts(changed, at, json, len);
	return changed;
}

struct rt_frame *
rt_sio_packet_event_plain(struct rt_frame *f)
{
	size_t len;
	const char *text = rt_frame_text(f, &len);
	struct rt_span argument;
	struct rt_frame_part parts[2];

	if (rt_frame_plain(f) != NULL)
		return rt_frame_plain(f);
	if (!rt_sio_packet_part(f, RT_SIO_ARGUMENT, &argument))
		return f; /* no event */
	parts[0] = (struct rt_frame_part){text, (size_t) (argument.end - text)};
	parts[1] = (struct rt_frame_part){"]", 1};
	rt_frame_set_plain(f, rt_frame_new(parts, 2));
	return rt_frame_plain(f);
}

struct rt_frame *
rt_sio_packet_event_at(const struct rt_frame *f, uint64_t pos)
{
	size_t len;
	const char *text = rt_frame_text(f, &len);
	struct rt_span argument;
	char tail[32];
	bool is_event = rt_sio_packet_part(f, RT_SIO_ARGUMENT, &argument);
	struct rt_frame_part parts[2] = {{text, (size_t) (argument.end - text)}, position(pos, tail, sizeof(tail))};
	struct rt_frame *moved;

	assert(is_event);
	(void) is_event;
	moved = rt_frame_new(parts, 2);
	rt_frame_copy_marks(moved, f);
	return moved;
}

bool
rt_sio_packet_part(const struct rt_frame *f, enum rt_sio_packet_part part, struct rt_span *span)
{
	size_t len;
	const char *p = rt_frame_mark(f, part, &len);

	*span = (struct rt_span){p, p == NULL ? NULL : p + len};
	return p != NULL;
}
