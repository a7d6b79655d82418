/* precis.c: what usernames and passwords may consist of: PRECIS, RFC 8264, by the profiles of RFC 8265.
 *
 * The mappings of the profiles (width, spaces, NFC) are SQL's, in 20_users.sql; here is what is refused afterwards:
 * by the string class, by the rules of context (RFC 5892, appendix A), and for usernames by the Bidi Rule (RFC 5893,
 * section 2).  Runs in a backend; needs UTF-8, which rt asks for at its start. */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

PG_FUNCTION_INFO_V1(rt_precis_fault);

/* What a code point is in RFC 8264, section 8; what no range has is disallowed in both classes. */
enum string_class
{
	DISALLOWED,
	FREEFORM, /* ID_DIS or FREE_PVAL */
	PVALID,
	CONTEXT /* by a rule of its own */
};

enum bidi_class
{
	L,
	R,
	AL,
	AN,
	EN,
	ES,
	CS,
	ET,
	ON,
	BN,
	NSM,
	OTHER
};

enum
{
	GREEK = 1,
	HEBREW = 2,
	KANA_HAN = 4,
	VIRAMA = 8,
	JOINS_LEFT = 16,
	JOINS_RIGHT = 32,
	TRANSPARENT = 64
};

struct range
{
	uint32 first;
	uint32 last;
	uint8 string_class;
	uint8 bidi;
	uint8 flags;
};

#include "precis_table.h"

/* A string as its code points. */
struct points
{
	const pg_wchar *cp;
	int n;
};

static const struct range *
look_up(pg_wchar cp)
{
	int low = 0;
	int high = lengthof(ranges) - 1;

	while (low <= high)
	{
		int middle = (low + high) / 2;

		if (cp < ranges[middle].first)
			high = middle - 1;
		else if (cp > ranges[middle].last)
			low = middle + 1;
		else
			return &ranges[middle];
	}
	return NULL;
}

static bool
has_flag(pg_wchar cp, int flag)
{
	const struct range *r = look_up(cp);

	return r != NULL && (r->flags & flag) != 0;
}

static bool
has_between(struct points p, pg_wchar first, pg_wchar last)
{
	for (int i = 0; i < p.n; i++)
		if (p.cp[i] >= first && p.cp[i] <= last)
			return true;
	return false;
}

static bool
has_kana_or_han(struct points p)
{
	for (int i = 0; i < p.n; i++)
		if (p.cp[i] != 0x30FB && has_flag(p.cp[i], KANA_HAN))
			return true;
	return false;
}

/* RFC 5892, appendix A.1: (L or D) T* ZWNJ T* (R or D), in the order of the text. */
static bool
joins_around(struct points p, int at)
{
	int before = at - 1;
	int after = at + 1;

	while (before >= 0 && has_flag(p.cp[before], TRANSPARENT))
		before--;
	while (after < p.n && has_flag(p.cp[after], TRANSPARENT))
		after++;
	return before >= 0 && after < p.n && has_flag(p.cp[before], JOINS_LEFT) && has_flag(p.cp[after], JOINS_RIGHT);
}

/* RFC 5892, appendix A.1 to A.9. */
static bool
fits_context(struct points p, int at)
{
	bool follows_virama = at > 0 && has_flag(p.cp[at - 1], VIRAMA);

	switch (p.cp[at])
	{
		case 0x200C: /* zero width non-joiner */
			return follows_virama || joins_around(p, at);
		case 0x200D: /* zero width joiner */
			return follows_virama;
		case 0xB7: /* middle dot, as in Catalan */
			return at > 0 && at + 1 < p.n && p.cp[at - 1] == 'l' && p.cp[at + 1] == 'l';
		case 0x375: /* Greek keraia */
			return at + 1 < p.n && has_flag(p.cp[at + 1], GREEK);
		case 0x5F3: /* Hebrew geresh and gershayim */
		case 0x5F4:
			return at > 0 && has_flag(p.cp[at - 1], HEBREW);
		case 0x30FB: /* katakana middle dot */
			return has_kana_or_han(p);
	}
	if (p.cp[at] >= 0x660 && p.cp[at] <= 0x669)
		return !has_between(p, 0x6F0, 0x6F9);
	return !has_between(p, 0x660, 0x669); /* extended Arabic-Indic digits */
}

/* The first code point that may not be there, or -1. */
static int
find_wrong(struct points p, bool is_identifier)
{
	for (int i = 0; i < p.n; i++)
	{
		const struct range *r = look_up(p.cp[i]);

		if (r == NULL || (r->string_class == FREEFORM && is_identifier) ||
			(r->string_class == CONTEXT && !fits_context(p, i)))
			return i;
	}
	return -1;
}

static int
bidi_of(pg_wchar cp)
{
	const struct range *r = look_up(cp);

	return r == NULL ? OTHER : r->bidi;
}

#define BIT(c) (1 << (c))

/* RFC 5893, section 2, for strings that have right-to-left code points; others pass. */
static bool
fits_bidi(struct points p)
{
	const int both = BIT(EN) | BIT(ES) | BIT(CS) | BIT(ET) | BIT(ON) | BIT(BN) | BIT(NSM);
	int seen = 0;
	int end = p.n - 1;
	int first;

	for (int i = 0; i < p.n; i++)
		seen |= BIT(bidi_of(p.cp[i]));
	if ((seen & (BIT(R) | BIT(AL) | BIT(AN))) == 0)
		return true;
	first = bidi_of(p.cp[0]);
	while (end > 0 && bidi_of(p.cp[end]) == NSM)
		end--;
	if (first == R || first == AL)
		return (seen & ~(both | BIT(R) | BIT(AL) | BIT(AN))) == 0 &&
			   (BIT(bidi_of(p.cp[end])) & (BIT(R) | BIT(AL) | BIT(EN) | BIT(AN))) != 0 &&
			   (seen & (BIT(EN) | BIT(AN))) != (BIT(EN) | BIT(AN));
	return false; /* a string that begins from left to right may not have any of them */
}

/* rt_private.precis_fault(value text, is_identifier boolean): what is wrong, or NULL. */
Datum
rt_precis_fault(PG_FUNCTION_ARGS)
{
	text *value = PG_GETARG_TEXT_PP(0);
	bool is_identifier = PG_GETARG_BOOL(1);
	int len = VARSIZE_ANY_EXHDR(value);
	pg_wchar *cp = palloc(sizeof(pg_wchar) * (len + 1));
	struct points p = {cp, pg_mb2wchar_with_len(VARDATA_ANY(value), cp, len)};
	int wrong = find_wrong(p, is_identifier);

	if (p.n == 0)
		PG_RETURN_TEXT_P(cstring_to_text("It is empty."));
	if (wrong >= 0)
		PG_RETURN_TEXT_P(cstring_to_text(psprintf("Character %d, U+%04X, may not be in it.", wrong + 1, cp[wrong])));
	if (is_identifier && !fits_bidi(p))
		PG_RETURN_TEXT_P(cstring_to_text("It mixes scripts that run from right to left with others."));
	PG_RETURN_NULL();
}
