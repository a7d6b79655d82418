/* span.h: a piece of a text that lies elsewhere. */
#ifndef RT_SPAN_H
#define RT_SPAN_H

#include <stdbool.h>

struct rt_span
{
	const char *p; /* NULL: none */
	const char *end;
};

static inline bool
rt_span_is_space(char c) /* of JSON (RFC 8259, section 2) */
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

#endif
