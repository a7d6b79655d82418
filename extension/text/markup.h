/* markup.h: which characters of a message are code (CommonMark 0.30, sections 4.4, 4.5 and 6.1) or part of a URL.
 * Nothing there mentions anybody. */
#ifndef RT_MARKUP_H
#define RT_MARKUP_H

#include "postgres.h"
#include "mb/pg_wchar.h"

/* true for each of the n characters that is code or URL; palloc'd. */
extern bool *rt_markup_quiet(const pg_wchar *chars, int n);

#endif
