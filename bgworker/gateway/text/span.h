/* span.h: a cheap look into JSON text that the database has written, without decoding it. */
#ifndef RT_SPAN_H
#define RT_SPAN_H

#include <stdbool.h>
#include <stddef.h>

struct rt_span
{
	const char *p;
	const char *end;
};

bool rt_span_is_space(char c); /* of JSON */

/* If the text goes on with `expected`, after white space, moves behind it. */
bool rt_span_skip(struct rt_span *s, const char *expected);

/* One object or array, with white space before it: hands it out and moves behind it. */
bool rt_span_take_nested(struct rt_span *s, struct rt_span *value);

/* An unsigned number, with white space before it. */
bool rt_span_take_number(struct rt_span *s, long *value);

/* Of `{"status":n, …}` takes n and moves behind the comma, to the keys that follow; otherwise moves behind the
 * brace, and *status stays. */
bool rt_span_enter(struct rt_span *s, long *status);

#endif
