/* unicode.h: what rt knows of characters, the same in every database whatever its locale: mentions and search compare
 * by it. */
#ifndef RT_UNICODE_H
#define RT_UNICODE_H

#include "postgres.h"
#include "mb/pg_wchar.h"

enum rt_unicode_class
{
	RT_UNICODE_OTHER,
	RT_UNICODE_LETTER,
	RT_UNICODE_DIGIT,
	RT_UNICODE_MARK, /* combines with what stands before it */
	/* Of scripts that do not divide words by spaces: Han, kana, Hangul, Thai, Lao, Khmer, Myanmar. */
	RT_UNICODE_UNDIVIDED,
	RT_UNICODE_UNDIVIDED_MARK
};

extern enum rt_unicode_class rt_unicode_class(pg_wchar c);

/* Unicode's simple case folding: one character for one. */
extern pg_wchar rt_unicode_fold(pg_wchar c);

/* A text of a UTF-8 database as characters, palloc'd, with a 0 at the end.  offsets, if not NULL, gets where each
 * begins in the text, and its length at the end. */
extern pg_wchar *rt_unicode_decode(const char *text, int len, int *n, int **offsets);

/* len counts characters. */
extern text *rt_unicode_encode(const pg_wchar *chars, int len);

/* In NFC and folded, palloc'd, with a 0 at the end. */
extern pg_wchar *rt_unicode_key(const pg_wchar *chars, int len);

#endif
