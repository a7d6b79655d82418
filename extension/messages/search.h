/* search.h: the words of a text, as the search index and its queries have them. */
#ifndef RT_SEARCH_H
#define RT_SEARCH_H

#include "postgres.h"
#include "mb/pg_wchar.h"
#include "tsearch/ts_type.h"

/* One word, or a run of a script that does not divide words. */
struct rt_search_word
{
	int start, end; /* characters of the text that it stands for */
	bool undivided;
	pg_wchar *folded; /* without case and accents */
	int len;
};

/* The next one at or behind *at, which moves behind it; false at the end.  folded is palloc'd. */
extern bool rt_search_next(const pg_wchar *chars, int n, int *at, struct rt_search_word *word);

/* What search_vector(content) @@ query gives, in a fifth of the time.  counts, if not NULL, has a number for each
 * item of the query: those of the words that the text has are raised by one. */
extern bool rt_search_matches(TSQuery query, text *content, int *counts);

#endif
