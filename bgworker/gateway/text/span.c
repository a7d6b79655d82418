/* span.c: see span.h */
#include "span.h"

#include <string.h>

bool
rt_span_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void
skip_space(struct rt_span *s)
{
	while (s->p < s->end && rt_span_is_space(*s->p))
		s->p++;
}

bool
rt_span_skip(struct rt_span *s, const char *expected)
{
	size_t len = strlen(expected);

	skip_space(s);
	if ((size_t) (s->end - s->p) < len || memcmp(s->p, expected, len) != 0)
		return false;
	s->p += len;
	return true;
}

static const char *
end_of_string(const char *p, const char *end)
{
	for (p++; p < end; p++)
	{
		if (*p == '\\')
			p++;
		else if (*p == '"')
			return p + 1;
	}
	return NULL;
}

bool
rt_span_take_nested(struct rt_span *s, struct rt_span *value)
{
	const char *p;
	int depth = 0;

	skip_space(s);
	p = s->p;
	while (p != NULL && p < s->end)
	{
		if (*p == '"')
		{
			p = end_of_string(p, s->end);
			continue;
		}
		depth += *p == '{' || *p == '[' ? 1 : *p == '}' || *p == ']' ? -1 : 0;
		p++;
		if (depth <= 0)
			break;
	}
	if (p == NULL || depth != 0 || p == s->p || (*s->p != '{' && *s->p != '['))
		return false;
	*value = (struct rt_span){s->p, p};
	s->p = p;
	return true;
}

bool
rt_span_take_number(struct rt_span *s, long *value)
{
	long n = 0;
	const char *p;

	skip_space(s);
	for (p = s->p; p < s->end && p - s->p < 9 && *p >= '0' && *p <= '9'; p++)
		n = n * 10 + (*p - '0');
	if (p == s->p)
		return false;
	s->p = p;
	*value = n;
	return true;
}

bool
rt_span_enter(struct rt_span *s, long *status)
{
	struct rt_span look;

	if (!rt_span_skip(s, "{"))
		return false;
	look = *s;
	if (rt_span_skip(&look, "\"status\"") && rt_span_skip(&look, ":") && rt_span_take_number(&look, status))
	{
		*s = look;
		rt_span_skip(s, ",");
	}
	skip_space(s);
	return true;
}
