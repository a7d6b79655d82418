/* utf8.h: is a text well-formed UTF-8 (RFC 3629)?  Pure. */
#ifndef RT_UTF8_H
#define RT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool rt_utf8_valid(const char *text, size_t len); /* no overlong forms, no surrogates, nothing above U+10FFFF */

#endif
