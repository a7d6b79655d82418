/* utf8.h: whether a text is well-formed UTF-8 (RFC 3629), and where it can be cut.  Pure. */
#ifndef RT_UTF8_H
#define RT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool rt_utf8_valid(const char *text, size_t len); /* no overlong forms, no surrogates, nothing above U+10FFFF */

/* As many bytes of a NUL-terminated UTF-8 text as are whole characters, at most so many. */
size_t rt_utf8_cut(const char *text, size_t max_bytes);

#endif
