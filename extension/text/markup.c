/* markup.c: see markup.h.
 *
 * Blocks first, line by line: fences, indented code, and what remains, in segments of lines that belong together, in
 * which code spans and URLs are looked for.  Quotes are looked through; of lists only the indentation of their
 * content counts.
 *
 * It reads the characters alone: no lock, no table, no error but for want of memory. */
#include "postgres.h"

#include "markup.h"
#include "unicode.h"

#define TAB_STOP 4
#define CODE_INDENT 4
#define FENCE_MIN 3

struct scan
{
	const pg_wchar *chars;
	int n;
	bool *quiet;
	pg_wchar fence;    /* the character of the open fence; 0: none */
	int fence_len;     /* its length */
	int fence_quotes;  /* how many quote markers its lines have, */
	int fence_indent;  /* and where the content of its list item begins */
	bool in_paragraph; /* an indented line goes on with it and is no code (4.4) */
	int list_indent;   /* where the content of the innermost list item begins; 0: in no list */
	int segment;       /* where the text began that goes on; -1: none */
};

struct line
{
	int start, end; /* end: of the line break, or the text */
	int at;         /* the first character that is neither quote marker nor white space */
	int indent;     /* columns before it, behind the quote markers */
	int quotes;
};

static bool
is_space(pg_wchar c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool
is_break(const struct scan *s, int i)
{
	return i >= s->n || s->chars[i] == '\n';
}

static void
measure_indent(const struct scan *s, struct line *l)
{
	l->indent = 0;
	for (; l->at < l->end && is_space(s->chars[l->at]); l->at++)
		l->indent = s->chars[l->at] == '\t' ? (l->indent / TAB_STOP + 1) * TAB_STOP : l->indent + 1;
}

static struct line
read_line(const struct scan *s, int start)
{
	struct line l = {.start = start, .end = start, .at = start};

	while (!is_break(s, l.end))
		l.end++;
	measure_indent(s, &l);
	while (l.at < l.end && s->chars[l.at] == '>' && l.indent < CODE_INDENT)
	{
		l.quotes++;
		l.at++;
		if (l.at < l.end && s->chars[l.at] == ' ')
			l.at++; /* belongs to the marker (5.1) */
		measure_indent(s, &l);
	}
	return l;
}

static int
run_length(const struct scan *s, int at, int end)
{
	int i = at;

	while (i < end && s->chars[i] == s->chars[at])
		i++;
	return i - at;
}

static void
silence(struct scan *s, int from, int to)
{
	for (int i = from; i < to && i < s->n; i++)
		s->quiet[i] = true;
}

/* ---- inside a segment of text ----------------------------------------------------- */

/* A code span ends with a run of backticks of the same length (6.1); without one its first run is text. */
static int
end_of_span(const struct scan *s, int at, int len, int end)
{
	for (int i = at + len; i < end; i++)
	{
		int run;

		if (s->chars[i] != '`')
			continue;
		run = run_length(s, i, end);
		if (run == len)
			return i + run;
		i += run - 1;
	}
	return -1;
}

static bool
ends_url(pg_wchar c)
{
	/* Fullwidth forms and CJK punctuation stand behind a URL, not in it. */
	return c <= ' ' || c == '<' || c == '>' || c == '"' || c == '`' || c == 0xA0 || (c >= 0x2000 && c <= 0x200B) ||
		   (c >= 0x2018 && c <= 0x201F) || (c >= 0x3000 && c <= 0x3004) || (c >= 0x3008 && c <= 0x301F) ||
		   (c >= 0xFF01 && c <= 0xFF0F) || (c >= 0xFF1A && c <= 0xFF1F);
}

/* A closing bracket that the URL has not opened stands behind it: [text](URL), (URL). */
static int
end_of_url(const struct scan *s, int at, int end)
{
	int depth = 0;

	for (; at < end && !ends_url(s->chars[at]); at++)
	{
		pg_wchar c = s->chars[at];

		if (c == '(' || c == '[')
			depth++;
		else if ((c == ')' || c == ']') && depth-- == 0)
			break;
	}
	return at;
}

static bool
is_scheme_char(pg_wchar c)
{
	return c < 0x80 && (rt_unicode_class(c) != RT_UNICODE_OTHER || c == '+' || c == '-' || c == '.');
}

/* The URL that "://" at i belongs to, if a scheme stands before it (RFC 3986, section 3.1). */
static int
silence_url(struct scan *s, int i, int start, int end)
{
	int from = i;
	int to;

	while (from > start && is_scheme_char(s->chars[from - 1]))
		from--;
	if (from == i)
		return i;
	to = end_of_url(s, i, end);
	silence(s, from, to);
	return to > i ? to - 1 : i;
}

static bool
stands_at(const struct scan *s, int i, int end, const char *text)
{
	for (; *text != '\0'; text++, i++)
	{
		if (i >= end || rt_unicode_fold(s->chars[i]) != (pg_wchar) *text)
			return false;
	}
	return true;
}

static bool
begins_word(const struct scan *s, int i, int start)
{
	return i == start || (rt_unicode_class(s->chars[i - 1]) == RT_UNICODE_OTHER && s->chars[i - 1] != '.' &&
						  s->chars[i - 1] != '_');
}

static void
end_segment(struct scan *s, int end)
{
	int start = s->segment;

	s->segment = -1;
	if (start < 0)
		return;
	for (int i = start; i < end; i++)
	{
		if (s->chars[i] == '\\' && i + 1 < end && s->chars[i + 1] == '`')
			i++;
		else if (s->chars[i] == '`')
		{
			int run = run_length(s, i, end);
			int to = end_of_span(s, i, run, end);

			if (to > 0)
				silence(s, i, to);
			i = (to > 0 ? to : i + run) - 1;
		}
		else if (stands_at(s, i, end, "://"))
			i = silence_url(s, i, start, end);
		else if (stands_at(s, i, end, "www.") && begins_word(s, i, start))
		{
			int to = end_of_url(s, i, end);

			silence(s, i, to);
			i = to - 1;
		}
	}
}

/* ---- blocks ------------------------------------------------------------------------ */

static bool
opens_fence(const struct scan *s, const struct line *l)
{
	pg_wchar c = l->at < l->end ? s->chars[l->at] : 0;

	if ((c != '`' && c != '~') || run_length(s, l->at, l->end) < FENCE_MIN)
		return false;
	/* The info string of a fence of backticks has none (4.5), else it is a code span. */
	for (int i = l->at + run_length(s, l->at, l->end); c == '`' && i < l->end; i++)
	{
		if (s->chars[i] == '`')
			return false;
	}
	return true;
}

static bool
closes_fence(const struct scan *s, const struct line *l)
{
	int i = l->at;

	if (l->indent - s->list_indent >= CODE_INDENT || i >= l->end || s->chars[i] != s->fence ||
		run_length(s, i, l->end) < s->fence_len)
		return false;
	for (i += run_length(s, i, l->end); i < l->end; i++)
	{
		if (!is_space(s->chars[i]))
			return false;
	}
	return true;
}

static void
open_fence(struct scan *s, const struct line *l)
{
	s->fence = s->chars[l->at];
	s->fence_len = run_length(s, l->at, l->end);
	s->fence_quotes = l->quotes;
	s->fence_indent = s->list_indent;
	s->in_paragraph = false;
	silence(s, l->at, l->end);
}

/* Columns that the marker of a list item takes with the spaces behind it; 0: there is none (5.2). */
static int
marker_width(const struct scan *s, const struct line *l)
{
	int i = l->at;
	int spaces = 0;

	if (i < l->end && (s->chars[i] == '-' || s->chars[i] == '*' || s->chars[i] == '+'))
		i++;
	else
	{
		while (i < l->end && i - l->at < 9 && s->chars[i] >= '0' && s->chars[i] <= '9')
			i++;
		if (i == l->at || i >= l->end || (s->chars[i] != '.' && s->chars[i] != ')'))
			return 0;
		i++;
	}
	while (i + spaces < l->end && s->chars[i + spaces] == ' ')
		spaces++;
	if (spaces == 0 || i + spaces == l->end)
		return 0;
	return i - l->at + (spaces > CODE_INDENT ? 1 : spaces);
}

/* A heading ends a paragraph with its line (4.2). */
static bool
is_heading(const struct scan *s, const struct line *l)
{
	int run = l->at < l->end && s->chars[l->at] == '#' ? run_length(s, l->at, l->end) : 0;

	return run >= 1 && run <= 6 && (l->at + run == l->end || is_space(s->chars[l->at + run]));
}

/* A thematic break: three or more of one character, and spaces (4.1). */
static bool
is_rule(const struct scan *s, const struct line *l)
{
	pg_wchar c = l->at < l->end ? s->chars[l->at] : 0;
	int count = 0;

	if (c != '-' && c != '*' && c != '_')
		return false;
	for (int i = l->at; i < l->end; i++)
	{
		if (s->chars[i] != c && !is_space(s->chars[i]))
			return false;
		count += s->chars[i] == c;
	}
	return count >= 3;
}

/* What makes the paragraph above it a heading (4.3). */
static bool
is_underline(const struct scan *s, const struct line *l)
{
	pg_wchar c = l->at < l->end ? s->chars[l->at] : 0;

	if (!s->in_paragraph || l->indent < s->list_indent || l->indent - s->list_indent >= CODE_INDENT ||
		(c != '=' && c != '-'))
		return false;
	for (int i = l->at + run_length(s, l->at, l->end); i < l->end; i++)
	{
		if (!is_space(s->chars[i]))
			return false;
	}
	return true;
}

/* A rule that stands further left than the content of a list item ends the list too. */
static void
end_paragraph(struct scan *s, const struct line *l)
{
	end_segment(s, l->start);
	s->in_paragraph = false;
	if (l->indent < s->list_indent)
		s->list_indent = 0;
}

/* Text, maybe the first of a list item, whose content may be code itself. */
static void
take_text(struct scan *s, const struct line *l)
{
	int width;
	struct line item = *l;

	if (is_underline(s, l) || (is_rule(s, l) && l->indent - s->list_indent < CODE_INDENT))
	{
		end_paragraph(s, l);
		return;
	}
	while ((width = marker_width(s, &item)) > 0)
	{
		end_segment(s, item.at);
		s->list_indent = item.indent + width;
		item.at += width;
		item.indent = s->list_indent;
		s->in_paragraph = false;
		while (item.at < item.end && is_space(s->chars[item.at]))
		{
			item.at++;
			item.indent++;
		}
		if (item.indent - s->list_indent >= CODE_INDENT)
		{
			silence(s, item.at, item.end);
			return;
		}
		if (opens_fence(s, &item))
		{
			open_fence(s, &item);
			return;
		}
	}
	if (is_heading(s, &item))
		end_segment(s, item.at);
	if (s->segment < 0)
		s->segment = item.at;
	s->in_paragraph = !is_heading(s, &item);
	if (!s->in_paragraph)
		end_segment(s, item.end);
}

static void
take_line(struct scan *s, const struct line *l)
{
	bool blank = l->at >= l->end;

	/* A fence ends with the quote or the list item that it stands in (4.5). */
	if (s->fence != 0 && l->quotes >= s->fence_quotes && (blank || l->indent >= s->fence_indent))
	{
		if (closes_fence(s, l))
			s->fence = 0;
		silence(s, l->start, l->end);
		return;
	}
	s->fence = 0;
	if (blank)
	{
		end_segment(s, l->start);
		s->in_paragraph = false;
		return;
	}
	if (l->indent < s->list_indent && !s->in_paragraph)
		s->list_indent = 0;
	if (l->indent - s->list_indent >= CODE_INDENT && !s->in_paragraph)
	{
		silence(s, l->start, l->end);
		return;
	}
	if (l->indent - s->list_indent < CODE_INDENT && opens_fence(s, l))
	{
		end_segment(s, l->start);
		if (l->indent < s->list_indent)
			s->list_indent = 0;
		open_fence(s, l);
		return;
	}
	take_text(s, l);
}

bool *
rt_markup_quiet(const pg_wchar *chars, int n)
{
	struct scan s = {.chars = chars, .n = n, .quiet = palloc0(n + 1), .segment = -1};

	for (int start = 0; start < n;)
	{
		struct line l = read_line(&s, start);

		take_line(&s, &l);
		start = l.end + 1;
	}
	end_segment(&s, n);
	return s.quiet;
}
