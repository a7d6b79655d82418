/* search.c: see search.h.
 *
 * A word is a run of letters, digits and marks; so the parts of host-42.example.com are words.  It is folded: without
 * case, without the accents that compatibility decomposition (NFKD) splits off, and so without width and ligatures.
 * What begins with its first digit behind a letter is an entry of its own, at the same position: 1.2 finds v1.2.  Of
 * a run of characters of a script that does not divide words, composed (NFKC), each pair is an entry, and its last
 * character, so that any part of the run is found: two characters as a pair, more as pairs in a row, one as the
 * beginning of a pair.  Positions count words, and the characters of such runs.
 *
 * It reads the text alone: no lock, no table.  Allocates in the caller's context.  At a limit it cuts off: a word at
 * WORD_CHARS_MAX characters, a text where its words would fill a tsvector (1 MB: of a longer message only the
 * beginning is found), a query at QUERY_WORDS_MAX words, highlights at RANGES_MAX. */
#include "postgres.h"

#include "common/unicode_norm.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "tsearch/ts_type.h"
#include "tsearch/ts_utils.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "search.h"
#include "extension/text/unicode.h"

#define WORD_CHARS_MAX 100 /* longer ones are cut: nobody types them whole */
#define POSITION_MAX 16383 /* of a tsvector */
#define VECTOR_BYTES_MAX MAXSTRPOS
#define ENTRY_BYTES 5 /* of a tsvector, besides the word: padding, count of positions, position */
#define QUERY_WORDS_MAX 64
#define UNDIVIDED_GROWTH 4 /* at most so many characters for one, in NFKC */
#define RANGES_MAX 200     /* highlights of one message */

PG_FUNCTION_INFO_V1(rt_search_vector);
PG_FUNCTION_INFO_V1(rt_search_query);
PG_FUNCTION_INFO_V1(rt_search_highlights);

/* ---- words ------------------------------------------------------------------------ */

/* Accents, and what is written above, below or between letters of other scripts without making them others. */
static bool
is_accent(pg_wchar c)
{
	return c == 0x640 || (c >= 0x300 && c <= 0x36F) || (c >= 0x591 && c <= 0x5C7) || (c >= 0x64B && c <= 0x65F) ||
		   c == 0x670 || (c >= 0x1AB0 && c <= 0x1AFF) || (c >= 0x1DC0 && c <= 0x1DFF) ||
		   (c >= 0x20D0 && c <= 0x20FF) || (c >= 0xFE20 && c <= 0xFE2F);
}

/* Letters with a stroke or of two parts, which do not decompose. */
static const char *
spelled_out(pg_wchar c)
{
	switch (c)
	{
		case 0xDF:
			return "ss";
		case 0xE6:
			return "ae";
		case 0xF0:
		case 0x111:
			return "d";
		case 0xF8:
			return "o";
		case 0xFE:
			return "th";
		case 0x131:
			return "i";
		case 0x142:
			return "l";
		case 0x153:
			return "oe";
		default:
			return NULL;
	}
}

/* Written inside a word, and not seen: soft hyphen, joiners.  In scripts that do not divide words a space of no width
 * may stand between any two. */
static bool
is_unseen(pg_wchar c, bool undivided)
{
	return c == 0xAD || c == 0x200C || c == 0x200D || c == 0x2060 || (undivided && c == 0x200B);
}

static void
add_folded(struct rt_search_word *word, pg_wchar c)
{
	enum rt_unicode_class class = rt_unicode_class(c);

	if (word->len == WORD_CHARS_MAX || class == RT_UNICODE_OTHER || is_accent(c))
		return;
	if (class != RT_UNICODE_DIGIT)
		word->in_letters = true;
	else if (word->in_letters && word->digits == 0)
		word->digits = word->len;
	word->folded[word->len++] = rt_unicode_fold(c);
}

static void
fold_char(struct rt_search_word *word, pg_wchar c)
{
	pg_wchar one[2] = {c, 0};
	pg_wchar *parts;
	const char *text;

	if (c < 0x80)
	{
		add_folded(word, c);
		return;
	}
	text = spelled_out(rt_unicode_fold(c));
	if (text != NULL)
	{
		for (; *text != '\0'; text++)
			add_folded(word, (pg_wchar) *text);
		return;
	}
	parts = unicode_normalize(UNICODE_NFKD, one);
	for (int i = 0; parts[i] != 0; i++)
		add_folded(word, parts[i]);
	pfree(parts);
}

static void
fold_word(struct rt_search_word *word, const pg_wchar *chars)
{
	word->folded = palloc(WORD_CHARS_MAX * sizeof(*word->folded));
	for (int i = word->start; i < word->end; i++)
		fold_char(word, chars[i]);
}

static bool
is_undivided(pg_wchar c)
{
	enum rt_unicode_class class = rt_unicode_class(c);

	return class == RT_UNICODE_UNDIVIDED || class == RT_UNICODE_UNDIVIDED_MARK;
}

/* Leading consonants of Hangul that is written letter by letter, and all its letters (Unicode, section 3.12). */
static bool
is_leading_jamo(pg_wchar c)
{
	return (c >= 0x1100 && c <= 0x115F) || (c >= 0xA960 && c <= 0xA97F);
}

static bool
is_jamo(pg_wchar c)
{
	return (c >= 0x1100 && c <= 0x11FF) || (c >= 0xA960 && c <= 0xA97F) || (c >= 0xD7B0 && c <= 0xD7FF);
}

/* Voice marks of kana, of both widths. */
static bool
is_voice_mark(pg_wchar c)
{
	return c == 0x3099 || c == 0x309A || c == 0xFF9E || c == 0xFF9F;
}

static bool
composes(pg_wchar before, pg_wchar c)
{
	return is_voice_mark(c) || (is_jamo(before) && is_jamo(c) && (is_leading_jamo(before) || !is_leading_jamo(c)));
}

/* Han, kana and Hangul as they are mostly written: their normal form. */
static bool
is_composed(pg_wchar c)
{
	return (c >= 0x3041 && c <= 0x3096) || (c >= 0x30A1 && c <= 0x30FE) || (c >= 0x4E00 && c <= 0x9FFF) ||
		   (c >= 0xAC00 && c <= 0xD7A3);
}

/* from to to: what makes one character.  It may become some, which stand for it together. */
static void
fold_cluster(struct rt_search_word *word, const pg_wchar *chars, int from, int to)
{
	pg_wchar *cluster;
	pg_wchar *composed;

	if (to == from + 1 && is_composed(chars[from]))
	{
		word->from[word->len] = from;
		word->folded[word->len++] = chars[from];
		return;
	}
	cluster = palloc0((to - from + 1) * sizeof(*cluster));
	memcpy(cluster, chars + from, (to - from) * sizeof(*cluster));
	composed = unicode_normalize(UNICODE_NFKC, cluster);
	for (int i = 0; composed[i] != 0 && i < UNDIVIDED_GROWTH * (to - from); i++)
	{
		word->from[word->len] = from;
		word->folded[word->len++] = rt_unicode_fold(composed[i]);
	}
	pfree(composed);
	pfree(cluster);
}

static void
fold_undivided(struct rt_search_word *word, const pg_wchar *chars)
{
	Size most = (Size) (word->end - word->start) * UNDIVIDED_GROWTH;
	int next;

	word->folded = MemoryContextAllocHuge(CurrentMemoryContext, most * sizeof(*word->folded));
	word->from = MemoryContextAllocHuge(CurrentMemoryContext, most * sizeof(*word->from));
	for (int i = word->start; i < word->end; i = next)
	{
		next = i + 1;
		if (is_unseen(chars[i], true))
			continue;
		while (next < word->end && composes(chars[next - 1], chars[next]))
			next++;
		fold_cluster(word, chars, i, next);
	}
}

static int
end_of_word(const pg_wchar *chars, int n, int at, bool undivided)
{
	int end = at;

	for (int i = at; i < n; i++)
	{
		if (is_unseen(chars[i], undivided))
			continue;
		if (rt_unicode_class(chars[i]) == RT_UNICODE_OTHER || is_undivided(chars[i]) != undivided)
			break;
		end = i + 1;
	}
	return end;
}

bool
rt_search_next(const pg_wchar *chars, int n, int *at, struct rt_search_word *word)
{
	int i = *at;

	while (i < n && (rt_unicode_class(chars[i]) == RT_UNICODE_OTHER || rt_unicode_class(chars[i]) == RT_UNICODE_MARK))
		i++;
	*at = i;
	if (i == n)
		return false;
	word->start = i;
	word->undivided = is_undivided(chars[i]);
	word->end = end_of_word(chars, n, i, word->undivided);
	word->len = 0;
	word->digits = 0;
	word->in_letters = false;
	word->from = NULL;
	if (word->undivided)
		fold_undivided(word, chars);
	else
		fold_word(word, chars);
	*at = word->end;
	return true;
}

void
rt_search_word_fini(struct rt_search_word *word)
{
	pfree(word->folded);
	if (word->from != NULL)
		pfree(word->from);
}

/* ---- the index's entries ------------------------------------------------------------ */

struct entry
{
	char *bytes;
	int len;
	int position;
};

/* A text's entries, by position. */
struct entries
{
	const char *operands; /* of the query */
	struct entry *of;
	int count;
	int size;
	Size bytes; /* that a tsvector of them takes at most */
};

static void
note_entry(struct entries *e, const pg_wchar *chars, int len, int position)
{
	struct entry *entry;
	unsigned char *at;

	if (e->count == e->size)
	{
		e->size *= 2;
		e->of = repalloc_huge(e->of, e->size * sizeof(*e->of));
	}
	entry = &e->of[e->count++];
	at = palloc((Size) len * 4 + 1);
	entry->bytes = (char *) at;
	for (int i = 0; i < len; i++)
	{
		unicode_to_utf8(chars[i], at);
		at += pg_utf_mblen(at);
	}
	entry->len = (int) ((char *) at - entry->bytes);
	entry->position = Min(position, POSITION_MAX);
	e->bytes += entry->len + ENTRY_BYTES;
}

/* False: `most` bytes do not hold this one. */
static bool
note_if_room(struct entries *e, const pg_wchar *chars, int len, int position, Size most)
{
	note_entry(e, chars, len, position);
	if (e->bytes <= most)
		return true;
	e->count--;
	return false;
}

/* Moves the position behind the word.  False: `most` bytes hold no more entries. */
static bool
note_word(struct entries *e, const struct rt_search_word *word, int *position, Size most)
{
	int at = (*position)++;

	if (word->len == 0)
	{
		*position = at;
		return true;
	}
	if (!word->undivided)
		return note_if_room(e, word->folded, word->len, at, most) &&
			   (word->digits == 0 ||
				note_if_room(e, word->folded + word->digits, word->len - word->digits, at, most));
	*position = at + word->len;
	for (int i = 0; i < word->len; i++)
	{
		if (!note_if_room(e, word->folded + i, Min(2, word->len - i), at + i, most))
			return false;
	}
	return true;
}

static void
read_entries(struct entries *e, text *content, Size most)
{
	struct rt_search_word word;
	bool has_room = true;
	int position = 1;
	int at = 0;
	int n;
	pg_wchar *chars = rt_unicode_decode(VARDATA_ANY(content), VARSIZE_ANY_EXHDR(content), &n, NULL);

	e->size = 64;
	e->of = palloc(e->size * sizeof(*e->of));
	while (has_room && rt_search_next(chars, n, &at, &word))
	{
		has_room = note_word(e, &word, &position, most);
		rt_search_word_fini(&word);
	}
}

/* A tsvector's order. */
static int
compare_entries(const void *a, const void *b)
{
	const struct entry *l = a;
	const struct entry *r = b;
	int order = tsCompareString(l->bytes, l->len, r->bytes, r->len, false);
	return order != 0 ? order : l->position - r->position;
}

static bool
is_same_word(const struct entry *a, const struct entry *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* The last position stands for all that follow it, once; of the others the first MAXNUMPOS are kept, as tsvectorin()
 * does. */
static int
put_positions(char *to, const struct entry *entries, int n)
{
	WordEntryPos *positions = (WordEntryPos *) (to + sizeof(uint16));
	uint16 count = 0;

	for (int i = 0; i < n && count < MAXNUMPOS; i++)
	{
		if (i > 0 && entries[i].position == entries[i - 1].position)
			continue;
		positions[count] = 0;
		WEP_SETPOS(positions[count], entries[i].position);
		count++;
	}
	*(uint16 *) to = count;
	return (int) (sizeof(count) + count * sizeof(*positions));
}

static int
count_different(const struct entry *sorted, int n)
{
	int count = Min(n, 1);

	for (int i = 1; i < n; i++)
		count += !is_same_word(&sorted[i], &sorted[i - 1]);
	return count;
}

/* Each word once, with its positions.  It is written here, and not as text for tsvectorin() to read, since each
 * message that is sent pays for it. */
static TSVector
make_vector(struct entries *e)
{
	TSVector vector;
	WordEntry *word;
	char *strings;
	int at = 0;
	int next;

	qsort(e->of, e->count, sizeof(*e->of), compare_entries);
	next = count_different(e->of, e->count);
	/* Of the bytes some are too many, where a word is there twice. */
	vector = palloc0(CALCDATASIZE(next, e->bytes));
	vector->size = next;
	word = ARRPTR(vector);
	strings = STRPTR(vector);
	for (int i = 0; i < e->count; i = next)
	{
		const struct entry *entry = &e->of[i];

		for (next = i + 1; next < e->count && is_same_word(&e->of[next], entry); next++)
			;
		word->haspos = 1;
		word->len = entry->len;
		word->pos = at;
		word++;
		memcpy(strings + at, entry->bytes, entry->len);
		at = SHORTALIGN(at + entry->len);
		at += put_positions(strings + at, entry, next - i);
	}
	SET_VARSIZE(vector, CALCDATASIZE(vector->size, at));
	return vector;
}

/* rt_private.search_vector(content text) returns tsvector */
Datum
rt_search_vector(PG_FUNCTION_ARGS)
{
	struct entries e = {.operands = NULL};

	read_entries(&e, PG_GETARG_TEXT_PP(0), VECTOR_BYTES_MAX);
	PG_RETURN_TSVECTOR(make_vector(&e));
}

/* ---- comparing without an index -------------------------------------------------------- */

static bool
is_operand(const struct entries *e, const struct entry *entry, const QueryOperand *operand)
{
	return (operand->prefix ? entry->len >= operand->length : entry->len == operand->length) &&
		   memcmp(entry->bytes, e->operands + operand->distance, operand->length) == 0;
}

/* TSExecuteCallback: data, if not NULL, gets the positions. */
static TSTernaryValue
on_operand(void *arg, QueryOperand *operand, ExecPhraseData *data)
{
	struct entries *e = arg;
	bool found = false;

	for (int i = 0; i < e->count; i++)
	{
		if (!is_operand(e, &e->of[i], operand))
			continue;
		found = true;
		if (data == NULL)
			break;
		if (data->pos == NULL)
		{
			data->pos = palloc((Size) (e->count - i) * sizeof(*data->pos));
			data->allocated = true;
		}
		if (data->npos == 0 || data->pos[data->npos - 1] < e->of[i].position)
			data->pos[data->npos++] = e->of[i].position;
	}
	return found ? TS_YES : TS_NO;
}

static void
count_words(struct entries *e, TSQuery query, int *counts)
{
	QueryItem *items = GETQUERY(query);

	for (int i = 0; i < query->size; i++)
		if (items[i].type == QI_VAL)
			counts[i] += on_operand(e, &items[i].qoperand, NULL) == TS_YES;
}

bool
rt_search_matches(TSQuery query, text *content, int *counts)
{
	MemoryContext own = AllocSetContextCreate(CurrentMemoryContext, "rt search", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(own);
	struct entries e = {.operands = GETOPERAND(query)};
	bool result;

	read_entries(&e, content, SIZE_MAX);
	if (counts != NULL)
		count_words(&e, query, counts);
	result = query->size > 0 && TS_execute(GETQUERY(query), &e, TS_EXEC_EMPTY, on_operand);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(own);
	return result;
}

/* ---- queries ------------------------------------------------------------------------ */

/* As tsquery reads it: between quotes.  Words have neither quotes nor backslashes. */
static void
put_lexeme(StringInfo out, const pg_wchar *chars, int len)
{
	unsigned char utf8[5];

	appendStringInfoChar(out, '\'');
	for (int i = 0; i < len; i++)
	{
		unicode_to_utf8(chars[i], utf8);
		appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
	}
	appendStringInfoChar(out, '\'');
}

/* What follows without a space is a compound: its parts in a row, the last one by its beginning. */
static void
put_query_word(StringInfo out, const struct rt_search_word *word, bool prefix)
{
	if (!word->undivided || word->len == 1)
	{
		put_lexeme(out, word->folded, word->len);
		appendStringInfoString(out, prefix || word->undivided ? ":*" : "");
		return;
	}
	for (int i = 0; i + 1 < word->len; i++)
	{
		appendStringInfoString(out, i > 0 ? "<->" : "");
		put_lexeme(out, word->folded + i, 2);
	}
}

/* Between two words in a row: behind a run of pairs the last character has a position of its own. */
static void
put_distance(StringInfo out, const struct rt_search_word *before)
{
	appendStringInfoString(out, before->undivided && before->len > 1 ? "<2>" : "<->");
}

static bool
goes_on(const pg_wchar *chars, const struct rt_search_word *before, const struct rt_search_word *word, bool quoted)
{
	for (int i = before->end; i < word->start; i++)
	{
		if (chars[i] == '"' || (!quoted && (chars[i] <= ' ' || chars[i] == 0xA0 || chars[i] == 0x3000)))
			return false;
	}
	return true;
}

static bool
is_quoted(const pg_wchar *chars, int at)
{
	bool quoted = false;

	for (int i = 0; i < at; i++)
		quoted ^= chars[i] == '"';
	return quoted;
}

static int
read_query(const pg_wchar *chars, int n, struct rt_search_word words[QUERY_WORDS_MAX])
{
	int count = 0;
	int at = 0;

	while (count < QUERY_WORDS_MAX && rt_search_next(chars, n, &at, &words[count]))
		count += words[count].len > 0;
	return count;
}

/* rt_private.search_query(q text) returns tsquery */
Datum
rt_search_query(PG_FUNCTION_ARGS)
{
	text *q = PG_GETARG_TEXT_PP(0);
	struct rt_search_word words[QUERY_WORDS_MAX];
	StringInfoData out;
	int n;
	pg_wchar *chars = rt_unicode_decode(VARDATA_ANY(q), VARSIZE_ANY_EXHDR(q), &n, NULL);
	int count = read_query(chars, n, words);

	initStringInfo(&out);
	for (int i = 0; i < count; i++)
	{
		bool quoted = is_quoted(chars, words[i].start);
		bool last = i + 1 == count || !goes_on(chars, &words[i], &words[i + 1], quoted);

		if (i == 0 || !goes_on(chars, &words[i - 1], &words[i], quoted))
			appendStringInfoString(&out, i == 0 ? "(" : ")&(");
		else
			put_distance(&out, &words[i - 1]);
		put_query_word(&out, &words[i], last && !quoted);
	}
	appendStringInfoString(&out, count > 0 ? ")" : "");
	return DirectFunctionCall3(tsqueryin, CStringGetDatum(out.data), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* ---- highlights ---------------------------------------------------------------------- */

static int
utf16_units(const pg_wchar *chars, int from, int to)
{
	int units = 0;

	for (int i = from; i < to; i++)
		units += chars[i] >= 0x10000 ? 2 : 1;
	return units;
}

static bool
begins_with(const struct rt_search_word *word, int at, const struct rt_search_word *asked)
{
	return asked->len <= word->len - at &&
		   memcmp(word->folded + at, asked->folded, asked->len * sizeof(pg_wchar)) == 0;
}

struct ranges
{
	StringInfoData out;
	const pg_wchar *chars;
	int count;
	int at, units; /* up to here the units have been counted */
};

static void
add_range(struct ranges *r, int start, int end)
{
	int from = r->units + utf16_units(r->chars, r->at, start);
	int to = from + utf16_units(r->chars, start, end);

	appendStringInfo(&r->out, "%s[%d,%d]", r->count > 0 ? "," : "", from, to);
	r->count++;
	r->at = end;
	r->units = to;
}

static void
highlight_word(struct ranges *r, const struct rt_search_word *word, const struct rt_search_word *asked, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (!asked[i].undivided && (begins_with(word, 0, &asked[i]) || begins_with(word, word->digits, &asked[i])))
		{
			add_range(r, word->start, word->end);
			return;
		}
	}
}

static void
highlight_parts(struct ranges *r, const struct rt_search_word *word, const struct rt_search_word *asked, int count)
{
	int end;

	for (int at = 0; at < word->len; at = end)
	{
		int len = 0;

		for (int i = 0; i < count && len == 0; i++)
		{
			if (asked[i].undivided && begins_with(word, at, &asked[i]))
				len = asked[i].len;
		}
		end = at + Max(len, 1);
		/* What one character became is marked as a whole. */
		while (len > 0 && end < word->len && word->from[end] == word->from[end - 1])
			end++;
		if (len > 0)
			add_range(r, word->from[at], end < word->len ? word->from[end] : word->end);
	}
}

static void
highlight(struct ranges *r, const struct rt_search_word *word, const struct rt_search_word *asked, int count)
{
	if (word->undivided)
		highlight_parts(r, word, asked, count);
	else
		highlight_word(r, word, asked, count);
}

/* rt_private.search_highlights(content text, q text) returns json: [[start, end]] in UTF-16 units */
Datum
rt_search_highlights(PG_FUNCTION_ARGS)
{
	text *content = PG_GETARG_TEXT_PP(0);
	text *q = PG_GETARG_TEXT_PP(1);
	struct rt_search_word asked[QUERY_WORDS_MAX];
	struct rt_search_word word;
	struct ranges r = {.count = 0};
	int at = 0;
	int n;
	pg_wchar *query = rt_unicode_decode(VARDATA_ANY(q), VARSIZE_ANY_EXHDR(q), &n, NULL);
	int count = read_query(query, n, asked);
	pg_wchar *chars = rt_unicode_decode(VARDATA_ANY(content), VARSIZE_ANY_EXHDR(content), &n, NULL);

	initStringInfo(&r.out);
	r.chars = chars;
	appendStringInfoChar(&r.out, '[');
	while (r.count < RANGES_MAX && rt_search_next(chars, n, &at, &word))
	{
		highlight(&r, &word, asked, count);
		rt_search_word_fini(&word);
	}
	appendStringInfoChar(&r.out, ']');
	PG_RETURN_TEXT_P(cstring_to_text_with_len(r.out.data, r.out.len));
}
