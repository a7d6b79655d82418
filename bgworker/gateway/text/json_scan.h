/* json_scan.h: finds where JSON values begin and end, and that they are well-formed (RFC 8259).  Pure.
 *
 * Builds no tree and copies nothing: what a client sent is handed on as it came.  Iterative, so depth costs no stack.
 * Text must have been checked to be UTF-8; escapes of lone surrogates are well-formed JSON and pass. */
#ifndef RT_JSON_SCAN_H
#define RT_JSON_SCAN_H

#include <stddef.h>

#include "bgworker/common/result.h"

#define RT_JSON_MAX_DEPTH 100

enum rt_json_kind
{
	RT_JSON_OBJECT,
	RT_JSON_ARRAY,
	RT_JSON_STRING,
	RT_JSON_NUMBER,
	RT_JSON_LITERAL /* true, false, null */
};

struct rt_json_span
{
	const char *text; /* without white space around it */
	size_t len;
	enum rt_json_kind kind;
};

/* One value, with white space before and after it, from *p on; *p is moved behind.  RT_BAD_INPUT: malformed;
 * RT_LIMIT: nested deeper than RT_JSON_MAX_DEPTH, or a number far beyond what a double holds; *p is undefined and the
 * rest was not looked at. */
enum rt_result rt_json_scan(const char **p, const char *end, struct rt_json_span *value);

/* Decodes the string (with its quotes) that rt_json_scan() found into out, which has room for `len` bytes, and ends
 * it with a NUL.  U+0000 and lone surrogates become U+FFFD. */
void rt_json_scan_decode(const char *text, size_t len, char *out);

#endif
