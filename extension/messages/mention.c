/* mention.c: which names a message may mention.  Whose they are the tables tell (44_mentions.sql).
 *
 * A mention begins with an @ at the start, or after anything but a letter, a digit, '_', '/', '.' or '@'; letters of
 * scripts that do not divide words do not hinder it.  Behind it stands a name: each beginning of the text there that
 * a letter or digit of a script that divides words does not continue.  The tables take the longest that is one of the
 * room's.
 *
 * A SQL function, in any backend: it reads the text alone, takes no lock, and allocates in the call's context.  Once
 * a text has had NAMES_MAX names, the rest of it is not looked at. */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "extension/text/markup.h"
#include "extension/text/unicode.h"

#define NAMES_MAX 10000 /* possible ones, of one message */
#define NAME_CHARS_MAX 128

PG_FUNCTION_INFO_V1(rt_mention_names);

struct names
{
	ArrayBuildState *at; /* the position of the @, for each name */
	ArrayBuildState *keys;
	int count;
};

/* What stands before an @.  Marks belong to what they combine with: to a letter, which hinders, or to an emoji, whose
 * variation selector and keycap are marks too. */
static bool
hinders_before(const pg_wchar *chars, int n)
{
	enum rt_unicode_class class;
	int i = n - 1;
	pg_wchar c;

	while (i > 0 && rt_unicode_class(chars[i]) == RT_UNICODE_MARK)
		i--;
	c = chars[i];
	class = rt_unicode_class(c);
	if (class == RT_UNICODE_LETTER)
		return true;
	return i == n - 1 && (class == RT_UNICODE_DIGIT || c == '_' || c == '/' || c == '.' || c == '@');
}

/* A letter or digit right behind a name makes it another one; a mark changes its last letter. */
static bool
continues_name(pg_wchar c)
{
	enum rt_unicode_class class = rt_unicode_class(c);

	return class == RT_UNICODE_LETTER || class == RT_UNICODE_DIGIT || class == RT_UNICODE_MARK ||
		   class == RT_UNICODE_UNDIVIDED_MARK;
}

/* No name has these. */
static bool
ends_names(pg_wchar c)
{
	return c <= ' ' || c == 0x7F || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
		   c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static void
add_name(struct names *names, int at, const pg_wchar *chars, int len)
{
	pg_wchar *key = rt_unicode_key(chars, len);
	int n = 0;

	while (key[n] != 0)
		n++;
	names->at = accumArrayResult(names->at, Int32GetDatum(at), false, INT4OID, CurrentMemoryContext);
	names->keys = accumArrayResult(names->keys, PointerGetDatum(rt_unicode_encode(key, n)), false, TEXTOID,
								   CurrentMemoryContext);
	names->count++;
	pfree(key);
}

static void
add_names(struct names *names, const pg_wchar *chars, int at, int n)
{
	for (int len = 1; at + len < n && len <= NAME_CHARS_MAX && !ends_names(chars[at + len]); len++)
	{
		if (at + len + 1 == n || !continues_name(chars[at + len + 1]))
			add_name(names, at, chars + at + 1, len);
	}
}

static void
find_names(struct names *names, const pg_wchar *chars, int n)
{
	bool *quiet = rt_markup_quiet(chars, n);

	for (int i = 0; i < n && names->count < NAMES_MAX; i++)
	{
		if (chars[i] != '@' || quiet[i] || (i > 0 && hinders_before(chars, i)))
			continue;
		add_names(names, chars, i, n);
	}
	pfree(quiet);
}

static Datum
array_of(ArrayBuildState *state, Oid type)
{
	return state == NULL ? PointerGetDatum(construct_empty_array(type))
						 : makeArrayResult(state, CurrentMemoryContext);
}

/* rt_private.mention_names(content text, OUT at integer[], OUT keys text[]) */
Datum
rt_mention_names(PG_FUNCTION_ARGS)
{
	text *content = PG_GETARG_TEXT_PP(0);
	struct names names = {NULL, NULL, 0};
	bool nulls[2] = {false, false};
	Datum values[2];
	TupleDesc desc;
	int n;
	pg_wchar *chars = rt_unicode_decode(VARDATA_ANY(content), VARSIZE_ANY_EXHDR(content), &n, NULL);

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	find_names(&names, chars, n);
	values[0] = array_of(names.at, INT4OID);
	values[1] = array_of(names.keys, TEXTOID);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
