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
	bool in_letters; /* there is one in folded */
	int digits;      /* where in folded the first digit behind a letter is; 0: there is none */
	int *from;       /* of such a run: where in the text each of folded begins; else NULL */
};

/* The next one at or behind *at, which moves behind it; false at the end.  It allocates folded and from. */
extern bool rt_search_next(const pg_wchar *chars, int n, int *at, struct rt_search_word *word);

/* Frees what the word has allocated. */
extern void rt_search_word_fini(struct rt_search_word *word);

/* What search_vector(content) @@ query gives, in a fifth of the time.  counts, if not NULL, has a number for each
 * item of the query: those of the words that the text has are raised by one. */
extern bool rt_search_matches(TSQuery query, text *content, int *counts);

#endif
