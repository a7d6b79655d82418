/* unicode.c: classifies and folds characters; see unicode.h.  It keeps no state, reads no table and takes no
 * lock; results are allocated in the caller's context. */
#include "postgres.h"

#include "common/unicode_norm.h"
#include "fmgr.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "unicode.h"

struct range
{
	pg_wchar first, last;
	enum rt_unicode_class class;
};

struct fold
{
	pg_wchar from, to;
};

#include "unicode_table.h"

PG_FUNCTION_INFO_V1(rt_name_key);

static enum rt_unicode_class
class_of_ascii(pg_wchar c)
{
	if (c >= '0' && c <= '9')
		return RT_UNICODE_DIGIT;
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? RT_UNICODE_LETTER : RT_UNICODE_OTHER;
}

enum rt_unicode_class
rt_unicode_class(pg_wchar c)
{
	int low = 0;
	int high = lengthof(ranges);

	if (c < 0x80)
		return class_of_ascii(c);
	while (low < high)
	{
		int middle = (low + high) / 2;

		if (ranges[middle].last < c)
			low = middle + 1;
		else
			high = middle;
	}
	return low < lengthof(ranges) && ranges[low].first <= c ? ranges[low].class : RT_UNICODE_OTHER;
}

pg_wchar
rt_unicode_fold(pg_wchar c)
{
	int low = 0;
	int high = lengthof(folds);

	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
	while (low < high)
	{
		int middle = (low + high) / 2;

		if (folds[middle].from < c)
			low = middle + 1;
		else
			high = middle;
	}
	return low < lengthof(folds) && folds[low].from == c ? folds[low].to : c;
}

pg_wchar *
rt_unicode_decode(const char *text, int len, int *n, int **offsets)
{
	pg_wchar *chars = palloc((len + 1) * sizeof(*chars));
	int *at = offsets == NULL ? NULL : palloc((len + 1) * sizeof(*at));
	int count = 0;

	for (int i = 0; i < len; i += pg_utf_mblen((const unsigned char *) text + i))
	{
		if (at != NULL)
			at[count] = i;
		chars[count++] = utf8_to_unicode((const unsigned char *) text + i);
	}
	chars[count] = 0;
	if (at != NULL)
	{
		at[count] = len;
		*offsets = at;
	}
	*n = count;
	return chars;
}

text *
rt_unicode_encode(const pg_wchar *chars, int len)
{
	text *out = palloc(VARHDRSZ + len * 4);
	unsigned char *p = (unsigned char *) VARDATA(out);

	for (int i = 0; i < len; i++)
	{
		unicode_to_utf8(chars[i], p);
		p += pg_utf_mblen(p);
	}
	SET_VARSIZE(out, (char *) p - (char *) out);
	return out;
}

pg_wchar *
rt_unicode_key(const pg_wchar *chars, int len)
{
	pg_wchar *copy = palloc((len + 1) * sizeof(*copy));
	pg_wchar *key;

	memcpy(copy, chars, len * sizeof(*copy));
	copy[len] = 0;
	key = unicode_normalize(UNICODE_NFC, copy);
	for (pg_wchar *p = key; *p != 0; p++)
		*p = rt_unicode_fold(*p);
	/* A folded letter may combine where the capital did not. */
	copy = unicode_normalize(UNICODE_NFC, key);
	pfree(key);
	return copy;
}

/* rt_private.name_key(name text) returns text: names that differ in case or composition alone have one key. */
Datum
rt_name_key(PG_FUNCTION_ARGS)
{
	text *name = PG_GETARG_TEXT_PP(0);
	int n;
	pg_wchar *chars = rt_unicode_decode(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), &n, NULL);
	pg_wchar *key = rt_unicode_key(chars, n);

	n = 0;
	while (key[n] != 0)
		n++;
	PG_RETURN_TEXT_P(rt_unicode_encode(key, n));
}
