/* sio_parse.c: see sio_parse.h.
 *
 *     <type>[<attachments>-][<namespace>,][<ack id>][<JSON>]      (socket.io-protocol, "Packet encoding")
 */
#include "sio_parse.h"

#include <string.h>

#define MAX_ACK_ID ((int64_t) 1 << 53) /* beyond it a JavaScript client could not have meant it */

struct cursor
{
	const char *p;
	const char *end;
};

static bool
is_binary(enum rt_sio_type type)
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

/* The arguments behind the name, up to the closing bracket. */
static enum rt_result
read_args(struct cursor *c, struct rt_sio_packet *p)
{
	struct rt_json_span value;
	enum rt_result rc;

	while (skip_comma(c))
	{
		rc = rt_json_scan(&c->p, c->end, &value);
		if (rc != RT_OK)
			return rc;
		if (p->nargs++ == 0)
			p->arg = value;
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
		p->arg.text = NULL;
		p->nargs = 0;
		return RT_OK;
	}
	if (rc != RT_OK)
		return rc;
	while (c.p < c.end && strchr(" \t\r\n", *c.p) != NULL && *c.p != '\0')
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
rt_sio_parse(const char *text, size_t len, struct rt_sio_packet *p)
{
	struct cursor c = {text, text + len};
	enum rt_result rc;

	memset(p, 0, sizeof(*p));
	p->ack = -1;
	if (len == 0 || *c.p < '0' || *c.p > '0' + RT_SIO_BINARY_ACK)
		return RT_BAD_INPUT;
	p->type = (enum rt_sio_type)(*c.p++ - '0');
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
rt_sio_is_reserved(const char *name)
{
	static const char *const names[] = {"connect",       "connect_error", "disconnect",
										"disconnecting", "newListener",   "removeListener"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}
