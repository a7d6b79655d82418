/* json_scan.c: see json_scan.h. */
#include "json_scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bgworker/common/hex.h"

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

static bool
scan_string(struct scan *s)
{
	if (!skip_char(s, '"'))
		return false;
	while (s->p < s->end)
	{
		unsigned char c = (unsigned char) *s->p++;

		if (c == '"')
			return true;
		if (c < 0x20)
			return false;
		if (c == '\\' && !scan_escape(s))
			return false;
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

	if (s->depth == RT_JSON_MAX_DEPTH)
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

enum rt_result
rt_json_scan(const char **p, const char *end, struct rt_json_span *value)
{
	struct scan s = {.p = *p, .end = end};
	enum rt_result rc;
	bool whole;

	skip_space(&s);
	if (s.p == end)
		return RT_BAD_INPUT;
	value->text = s.p;
	value->kind = kind_of(*s.p);
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

static uint32_t
read_hex4(const char *p)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
		value = value << 4 | (uint32_t) rt_hex_value(p[i]);
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
	uint32_t c = read_hex4(*p);
	uint32_t low;

	*p += 4;
	if (c == 0 || (c >= 0xdc00 && c <= 0xdfff))
		return 0xfffd;
	if (c < 0xd800 || c > 0xdbff)
		return c;
	if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return 0xfffd;
	low = read_hex4(*p + 2);
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
