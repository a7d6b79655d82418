/* text.c: see text.h.  Grows by doubling and never fails (alloc.h): what goes in has passed a limit before.  Quoting
 * escapes as RFC 8259, section 7, demands, and nothing more. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

void
rt_text_init(struct rt_text *t)
{
	*t = (struct rt_text){0};
}

void
rt_text_fini(struct rt_text *t)
{
	free(t->data);
	rt_text_init(t);
}

void
rt_text_reset(struct rt_text *t)
{
	t->len = 0;
	if (t->data != NULL)
		t->data[0] = '\0';
}

static void
reserve(struct rt_text *t, size_t more)
{
	size_t room = t->room == 0 ? 256 : t->room;

	while (room < t->len + more + 1)
		room *= 2;
	if (room == t->room)
		return;
	t->data = rt_realloc(t->data, room);
	t->room = room;
}

void
rt_text_add_n(struct rt_text *t, const char *s, size_t len)
{
	reserve(t, len);
	memcpy(t->data + t->len, s, len);
	t->len += len;
	t->data[t->len] = '\0';
}

void
rt_text_add(struct rt_text *t, const char *s)
{
	rt_text_add_n(t, s, strlen(s));
}

void
rt_text_addf(struct rt_text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	reserve(t, (size_t) n);
	va_start(args, fmt);
	vsnprintf(t->data + t->len, (size_t) n + 1, fmt, args);
	va_end(args);
	t->len += (size_t) n;
}

static void
quote_char(struct rt_text *t, unsigned char c)
{
	char escape[2] = {'\\', (char) c};

	if (c == '"' || c == '\\')
		rt_text_add_n(t, escape, 2);
	else
		rt_text_addf(t, "\\u%04x", c);
}

void
rt_text_quote_n(struct rt_text *t, const char *s, size_t len)
{
	size_t done = 0;

	rt_text_add_n(t, "\"", 1);
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) s[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		rt_text_add_n(t, s + done, i - done);
		quote_char(t, c);
		done = i + 1;
	}
	rt_text_add_n(t, s + done, len - done);
	rt_text_add_n(t, "\"", 1);
}

void
rt_text_quote(struct rt_text *t, const char *s)
{
	if (s == NULL)
		rt_text_add(t, "null");
	else
		rt_text_quote_n(t, s, strlen(s));
}
