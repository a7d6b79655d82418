/* json_scan.c: where JSON values begin and end, and what their keys are, without copying or building anything.
 *
 * The grammar is RFC 8259's, to the letter: what passes here passes in PostgreSQL, whose parser sees the same bytes
 * later, but for what the limits below and those of jsonb exclude.  Two readers of one text must agree on it, or one
 * checks what the other does not use; so keys are compared as they read once decoded, and of a key that is given
 * twice the last one counts, as in jsonb.  Everybody may call this; it keeps no state. */
#include "json_scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/crypto/hex.h"

/* The database keeps a number to its last digit and writes it out in full: the eight bytes 1e-16383 become 16,385,
 * and beyond that it takes none.  What a double holds is well within. */
#define MAX_NUMBER_BYTES 400
#define MAX_EXPONENT 400

/* Where the scanner is, and which containers are open: a bit a level, set for an object. */
struct scan
{
	const char *p;
	const char *end;
	int depth;
	int outer; /* levels around the value, which count against the limit too */
	uint64_t objects[(RT_JSON_MAX_DEPTH + 63) / 64];
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void
skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

static bool
skip_char(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool
scan_escape(struct scan *s)
{
	if (s->p == s->end)
		return false;
	switch (*s->p++)
	{
		case '"':
		case '\\':
		case '/':
		case 'b':
		case 'f':
		case 'n':
		case 'r':
		case 't':
			return true;
		case 'u':
			for (int i = 0; i < 4; i++)
				if (s->p == s->end || rt_hex_value(*s->p++) < 0)
					return false;
			return true;
		default:
			return false;
	}
}

#define ONES 0x0101010101010101u
#define HIGH_BITS 0x8080808080808080u

/* The high bit of each of eight bytes that is a quote, a backslash or a control character: (x - 1) & ~x has it where
 * the byte is 0, (x - 0x20) & ~x where it is below 0x20.  A borrow may set it in bytes above such a one; the lowest
 * is right. */
static uint64_t
special_bytes(uint64_t word)
{
	uint64_t quote = word ^ (ONES * '"');
	uint64_t backslash = word ^ (ONES * '\\');

	return (((quote - ONES) & ~quote) | ((backslash - ONES) & ~backslash) | ((word - ONES * 0x20) & ~word)) &
		   HIGH_BITS;
}

/* Moves over what is neither a quote, a backslash nor a control character, or at least over most of it: most of a
 * message is within strings. */
static void
skip_plain(struct scan *s)
{
	uint64_t word;
	uint64_t special;

	while (s->end - s->p >= (ptrdiff_t) sizeof(word))
	{
		memcpy(&word, s->p, sizeof(word));
		special = special_bytes(word);
		if (special != 0)
		{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
			s->p += __builtin_ctzll(special) / 8;
#endif
			return;
		}
		s->p += sizeof(word);
	}
}

static bool
scan_string(struct scan *s)
{
	if (!skip_char(s, '"'))
		return false;
	skip_plain(s);
	while (s->p < s->end)
	{
		unsigned char c = (unsigned char) *s->p++;

		if (c == '"')
			return true;
		if (c < 0x20)
			return false;
		if (c == '\\' && !scan_escape(s))
			return false;
		if (c == '\\')
			skip_plain(s);
	}
	return false;
}

static bool
scan_digits(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && is_digit(*s->p))
		s->p++;
	return s->p > from;
}

/* Up to a limit: whatever is beyond counts as just beyond. */
static bool
scan_exponent(struct scan *s, int *exponent)
{
	const char *p;

	if (!skip_char(s, '+'))
		skip_char(s, '-');
	p = s->p;
	if (!scan_digits(s))
		return false;
	for (; p < s->p && *exponent <= MAX_EXPONENT; p++)
		*exponent = *exponent * 10 + (*p - '0');
	return true;
}

static enum rt_result
scan_number(struct scan *s)
{
	const char *from = s->p;
	int exponent = 0;

	skip_char(s, '-');
	if (!skip_char(s, '0') && !scan_digits(s))
		return RT_BAD_INPUT;
	if (skip_char(s, '.') && !scan_digits(s))
		return RT_BAD_INPUT;
	if ((skip_char(s, 'e') || skip_char(s, 'E')) && !scan_exponent(s, &exponent))
		return RT_BAD_INPUT;
	return s->p - from > MAX_NUMBER_BYTES || exponent > MAX_EXPONENT ? RT_LIMIT : RT_OK;
}

static bool
scan_literal(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t) (s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return false;
	s->p += len;
	return true;
}

static bool
in_object(const struct scan *s)
{
	int level = s->depth - 1;

	return (s->objects[level / 64] >> (level % 64) & 1) != 0;
}

static enum rt_result
open_container(struct scan *s, bool object)
{
	uint64_t bit;

	if (s->depth + s->outer == RT_JSON_MAX_DEPTH)
		return RT_LIMIT;
	bit = (uint64_t) 1 << (s->depth % 64);
	if (object)
		s->objects[s->depth / 64] |= bit;
	else
		s->objects[s->depth / 64] &= ~bit;
	s->depth++;
	return RT_OK;
}

static bool
scan_key(struct scan *s)
{
	skip_space(s);
	if (!scan_string(s))
		return false;
	skip_space(s);
	return skip_char(s, ':');
}

static enum rt_json_kind
kind_of(char c)
{
	switch (c)
	{
		case '{':
			return RT_JSON_OBJECT;
		case '[':
			return RT_JSON_ARRAY;
		case '"':
			return RT_JSON_STRING;
		case 't':
		case 'f':
		case 'n':
			return RT_JSON_LITERAL;
		default:
			return RT_JSON_NUMBER;
	}
}

/* A value's beginning: a whole scalar, or the bracket of a container. *whole tells whether the value is complete. */
static enum rt_result
begin_value(struct scan *s, bool *whole)
{
	enum rt_result rc;
	bool object;

	*whole = true;
	skip_space(s);
	if (s->p == s->end)
		return RT_BAD_INPUT;
	switch (*s->p)
	{
		case '"':
			return scan_string(s) ? RT_OK : RT_BAD_INPUT;
		case 't':
			return scan_literal(s, "true") ? RT_OK : RT_BAD_INPUT;
		case 'f':
			return scan_literal(s, "false") ? RT_OK : RT_BAD_INPUT;
		case 'n':
			return scan_literal(s, "null") ? RT_OK : RT_BAD_INPUT;
		case '{':
		case '[':
			break;
		default:
			return scan_number(s);
	}
	object = *s->p++ == '{';
	rc = open_container(s, object);
	if (rc != RT_OK)
		return rc;
	skip_space(s);
	if (skip_char(s, object ? '}' : ']'))
	{
		s->depth--;
		return RT_OK;
	}
	*whole = false;
	return object && !scan_key(s) ? RT_BAD_INPUT : RT_OK;
}

/* After a whole value: closes what ends here, up to a comma that announces the next value or the outermost end. */
static enum rt_result
end_value(struct scan *s)
{
	while (s->depth > 0)
	{
		bool object = in_object(s);

		skip_space(s);
		if (skip_char(s, ','))
			return object && !scan_key(s) ? RT_BAD_INPUT : RT_OK;
		if (!skip_char(s, object ? '}' : ']'))
			return RT_BAD_INPUT;
		s->depth--;
	}
	return RT_OK;
}

static bool
begin_span(struct scan *s, struct rt_json_span *value)
{
	skip_space(s);
	if (s->p == s->end)
		return false;
	value->text = s->p;
	value->kind = kind_of(*s->p);
	return true;
}

static enum rt_result
scan_value(const char **p, const char *end, int outer, struct rt_json_span *value)
{
	struct scan s = {.p = *p, .end = end, .outer = outer};
	enum rt_result rc;
	bool whole;

	if (!begin_span(&s, value))
		return RT_BAD_INPUT;
	do
	{
		rc = begin_value(&s, &whole);
		if (rc == RT_OK && whole)
			rc = end_value(&s);
		if (rc != RT_OK)
			return rc;
	} while (s.depth > 0);
	value->len = (size_t) (s.p - value->text);
	skip_space(&s);
	*p = s.p;
	return RT_OK;
}

enum rt_result
rt_json_scan(const char **p, const char *end, struct rt_json_span *value)
{
	return scan_value(p, end, 0, value);
}

/* ---- one level ------------------------------------------------------------------------ */

/* Behind the string that begins at s->p. */
static bool
skip_string(struct scan *s)
{
	s->p++;
	for (;;)
	{
		skip_plain(s);
		while (s->p < s->end && *s->p != '"' && *s->p != '\\')
			s->p++;
		if (s->p >= s->end)
			return false;
		if (*s->p++ == '"')
			return true;
		if (s->p == s->end)
			return false;
		s->p++; /* what is escaped */
	}
}

/* Behind the container that begins at s->p, by its brackets alone. */
static bool
skip_container(struct scan *s)
{
	do
	{
		char c = *s->p;

		if (c == '"')
		{
			if (!skip_string(s))
				return false;
			continue;
		}
		s->depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		s->p++;
	} while (s->depth > 0 && s->p < s->end);
	return s->depth == 0;
}

static bool
skip_scalar(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p != ',' && *s->p != '}' && *s->p != ']' && !rt_span_is_space(*s->p))
		s->p++;
	return s->p > from;
}

/* A value of a text that is JSON. */
static enum rt_result
skip_value(const char **p, const char *end, struct rt_json_span *value)
{
	struct scan s = {.p = *p, .end = end};
	bool whole;

	if (!begin_span(&s, value))
		return RT_BAD_INPUT;
	if (value->kind == RT_JSON_STRING)
		whole = skip_string(&s);
	else
		whole = value->kind == RT_JSON_OBJECT || value->kind == RT_JSON_ARRAY ? skip_container(&s) : skip_scalar(&s);
	if (!whole)
		return RT_BAD_INPUT;
	value->len = (size_t) (s.p - value->text);
	skip_space(&s);
	*p = s.p;
	return RT_OK;
}

static enum rt_result
take_value(struct rt_json_level *l, struct rt_json_span *value)
{
	return l->strict ? scan_value(&l->p, l->end, 1, value) : skip_value(&l->p, l->end, value);
}

static void
skip_level_space(struct rt_json_level *l)
{
	while (l->p < l->end && rt_span_is_space(*l->p))
		l->p++;
}

static bool
skip_level_char(struct rt_json_level *l, char c)
{
	skip_level_space(l);
	if (l->p == l->end || *l->p != c)
		return false;
	l->p++;
	skip_level_space(l);
	return true;
}

bool
rt_json_scan_open(struct rt_json_level *l, const char *p, const char *end, enum rt_json_kind kind)
{
	*l = (struct rt_json_level){.p = p, .end = end};
	return skip_level_char(l, kind == RT_JSON_OBJECT ? '{' : '[');
}

/* Up to the next member or item.  RT_GONE: the bracket closes. */
static enum rt_result
go_on(struct rt_json_level *l, char bracket)
{
	if (l->p < l->end && *l->p == bracket)
	{
		l->close = l->p + 1;
		skip_level_char(l, bracket);
		return RT_GONE;
	}
	if (l->begun && !skip_level_char(l, ','))
		return RT_BAD_INPUT;
	l->begun = true;
	return RT_OK;
}

enum rt_result
rt_json_scan_member(struct rt_json_level *l, struct rt_json_span *key, struct rt_json_span *value)
{
	enum rt_result rc = go_on(l, '}');

	if (rc != RT_OK)
		return rc;
	rc = take_value(l, key);
	if (rc != RT_OK || key->kind != RT_JSON_STRING || !skip_level_char(l, ':'))
		return RT_BAD_INPUT;
	return take_value(l, value);
}

enum rt_result
rt_json_scan_item(struct rt_json_level *l, struct rt_json_span *value)
{
	enum rt_result rc = go_on(l, ']');

	return rc == RT_OK ? take_value(l, value) : rc;
}

/* ---- by key ---------------------------------------------------------------------------- */

static bool
is_escaped(const struct rt_json_span *key, const char *text)
{
	char *decoded = rt_alloc(key->len);
	bool same;

	rt_json_scan_decode(key->text, key->len, decoded);
	same = strcmp(decoded, text) == 0;
	free(decoded);
	return same;
}

bool
rt_json_scan_is(const struct rt_json_span *string, const char *text)
{
	size_t len;

	if (string->text[1] != text[0] && string->text[1] != '\\')
		return false;
	len = strlen(text);
	if (string->len == len + 2 && memcmp(string->text + 1, text, len) == 0)
		return true;
	/* An escape makes it longer than what it stands for. */
	return string->len > len + 2 && memchr(string->text, '\\', string->len) != NULL && is_escaped(string, text);
}

enum rt_result
rt_json_scan_members(const char **p, const char *end, struct rt_json_members *m)
{
	struct rt_json_level l;
	struct rt_json_span key;
	struct rt_json_span value;
	enum rt_result rc;

	m->n = 0;
	m->more = false;
	if (!rt_json_scan_open(&l, *p, end, RT_JSON_OBJECT))
		return RT_BAD_INPUT;
	l.strict = true;
	while ((rc = rt_json_scan_member(&l, &key, &value)) == RT_OK)
	{
		m->more = m->n == RT_JSON_MEMBERS;
		if (m->more)
			continue;
		m->list[m->n].key = key;
		m->list[m->n++].value = value;
	}
	if (rc != RT_GONE)
		return rc;
	for (m->text = *p; *m->text != '{'; m->text++)
		continue;
	m->len = (size_t) (l.close - m->text);
	*p = l.p;
	return RT_OK;
}

void
rt_json_scan_move(struct rt_json_members *m, const char *text)
{
	for (int i = 0; i < m->n; i++)
	{
		m->list[i].key.text = text + (m->list[i].key.text - m->text);
		m->list[i].value.text = text + (m->list[i].value.text - m->text);
	}
	m->text = text;
}

/* What did not fit into the list. */
static const struct rt_json_span *
find_in_text(const struct rt_json_members *m, const char *key, struct rt_json_span *buffer)
{
	struct rt_json_level l;
	struct rt_json_span name;
	struct rt_json_span value;
	bool found = false;

	rt_json_scan_open(&l, m->text, m->text + m->len, RT_JSON_OBJECT);
	while (rt_json_scan_member(&l, &name, &value) == RT_OK)
	{
		if (!rt_json_scan_is(&name, key))
			continue;
		*buffer = value;
		found = true;
	}
	return found ? buffer : NULL;
}

const struct rt_json_span *
rt_json_scan_find(const struct rt_json_members *m, const char *key, struct rt_json_span *buffer)
{
	if (m->more)
		return find_in_text(m, key, buffer);
	for (int i = m->n - 1; i >= 0; i--)
		if (rt_json_scan_is(&m->list[i].key, key))
			return &m->list[i].value;
	return NULL;
}

/* A member of the rest, which ends at `end` without the white space behind it. */
static void
keep(struct rt_json_rest *rest, const char *from, const char *end, bool joins)
{
	if (joins)
		rest->runs[rest->n - 1].end = end;
	else
		rest->runs[rest->n++] = (struct rt_span){from, end};
}

static bool
pick(struct rt_json_pick *picks, int npicks, const struct rt_json_span *key, const struct rt_json_span *value)
{
	for (int i = 0; i < npicks; i++)
	{
		if (!rt_json_scan_is(key, picks[i].key))
			continue;
		if (picks[i].cut && picks[i].value.text != NULL)
			return false;
		picks[i].value = *value;
		return picks[i].cut;
	}
	return false;
}

enum rt_result
rt_json_scan_split(const char *text, size_t len, struct rt_json_pick *picks, int npicks, struct rt_json_rest *rest)
{
	struct rt_json_level l;
	struct rt_json_span key;
	struct rt_json_span value;
	enum rt_result rc;
	bool joins = false;

	rest->n = 0;
	for (int i = 0; i < npicks; i++)
		picks[i].value.text = NULL;
	if (!rt_json_scan_open(&l, text, text + len, RT_JSON_OBJECT))
		return RT_BAD_INPUT;
	while ((rc = rt_json_scan_member(&l, &key, &value)) == RT_OK)
	{
		bool cut = pick(picks, npicks, &key, &value);

		if (!cut)
			keep(rest, key.text, value.text + value.len, joins);
		joins = !cut;
	}
	if (rc != RT_GONE)
		return rc;
	return l.p == text + len ? RT_OK : RT_BAD_INPUT;
}

/* ---- scalars ----------------------------------------------------------------------------- */

/* Four digits, or a value that is none of a code unit. */
static uint32_t
read_hex4(const char *p, const char *end)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
	{
		int digit = p + i < end ? rt_hex_value(p[i]) : -1;

		if (digit < 0)
			return UINT32_MAX;
		value = value << 4 | (uint32_t) digit;
	}
	return value;
}

static char *
write_utf8(char *out, uint32_t c)
{
	if (c < 0x80)
		*out++ = (char) c;
	else if (c < 0x800)
	{
		*out++ = (char) (0xc0 | c >> 6);
		*out++ = (char) (0x80 | (c & 0x3f));
	}
	else if (c < 0x10000)
	{
		*out++ = (char) (0xe0 | c >> 12);
		*out++ = (char) (0x80 | (c >> 6 & 0x3f));
		*out++ = (char) (0x80 | (c & 0x3f));
	}
	else
	{
		*out++ = (char) (0xf0 | c >> 18);
		*out++ = (char) (0x80 | (c >> 12 & 0x3f));
		*out++ = (char) (0x80 | (c >> 6 & 0x3f));
		*out++ = (char) (0x80 | (c & 0x3f));
	}
	return out;
}

/* *p stands behind the "\u"; moves it behind the four digits, or behind both halves of a surrogate pair. */
static uint32_t
decode_unicode(const char **p, const char *end)
{
	uint32_t c = read_hex4(*p, end);
	uint32_t low;

	if (c == UINT32_MAX)
		return '?'; /* not within a text that has been scanned */
	*p += 4;
	if (c == 0 || (c >= 0xdc00 && c <= 0xdfff))
		return 0xfffd;
	if (c < 0xd800 || c > 0xdbff)
		return c;
	if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return 0xfffd;
	low = read_hex4(*p + 2, end);
	if (low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*p += 6;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

void
rt_json_scan_decode(const char *text, size_t len, char *out)
{
	static const char codes[] = "bfnrt";
	static const char values[] = "\b\f\n\r\t";
	const char *p = text + 1;
	const char *end = text + len - 1;

	while (p < end)
	{
		const char *code;

		if (*p != '\\')
		{
			*out++ = *p++;
			continue;
		}
		p++;
		if (*p == 'u')
		{
			p++;
			out = write_utf8(out, decode_unicode(&p, end));
			continue;
		}
		code = strchr(codes, *p);
		*out++ = code != NULL ? values[code - codes] : *p;
		p++;
	}
	*out = '\0';
}

bool
rt_json_scan_bool(const struct rt_json_span *value, bool *b)
{
	if (value == NULL || value->kind != RT_JSON_LITERAL || value->text[0] == 'n')
		return false;
	*b = value->text[0] == 't';
	return true;
}

bool
rt_json_scan_int(const struct rt_json_span *value, long *n)
{
	if (value == NULL || value->kind != RT_JSON_NUMBER || value->len > 9)
		return false;
	*n = 0;
	for (size_t i = 0; i < value->len; i++)
	{
		if (!is_digit(value->text[i]))
			return false;
		*n = *n * 10 + (value->text[i] - '0');
	}
	return true;
}

bool
rt_json_scan_id(const struct rt_json_span *value, char id[RT_ID_LEN + 1])
{
	char digits[RT_ID_LEN * 6 + 3]; /* each may be written as an escape */
	uint64_t n;

	if (value == NULL || value->len > RT_ID_LEN * 6 + 2)
		return false;
	if (value->kind == RT_JSON_STRING)
		rt_json_scan_decode(value->text, value->len, digits);
	else if (value->kind == RT_JSON_NUMBER)
		snprintf(digits, sizeof(digits), "%.*s", (int) value->len, value->text);
	else
		return false;
	if (!rt_json_pos_text(digits, strlen(digits), &n) || digits[0] == '0')
		return false;
	snprintf(id, RT_ID_LEN + 1, "%llu", (unsigned long long) n);
	return true;
}
