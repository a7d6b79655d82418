/* json_scan.h: finds where JSON values begin and end, and that they are well-formed (RFC 8259).  Pure.
 *
 * Builds no tree and copies nothing: what a client sent is handed on as it came.  Iterative, so depth costs no stack.
 * Text must have been checked to be UTF-8; escapes of lone surrogates are well-formed JSON and pass. */
#ifndef RT_JSON_SCAN_H
#define RT_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "bgworker/common/json.h"
#include "bgworker/common/result.h"
#include "span.h"

#define RT_JSON_MAX_DEPTH 100

enum rt_json_kind
{
	RT_JSON_OBJECT,
	RT_JSON_ARRAY,
	RT_JSON_STRING,
	RT_JSON_NUMBER,
	RT_JSON_LITERAL /* true, false, null */
};

struct rt_json_span
{
	const char *text; /* without white space around it */
	size_t len;
	enum rt_json_kind kind;
};

/* One value, with white space before and after it, from *p on; *p is moved behind.  RT_BAD_INPUT: malformed;
 * RT_LIMIT: nested deeper than RT_JSON_MAX_DEPTH, or a number far beyond what a double holds; *p is undefined and the
 * rest was not looked at. */
enum rt_result rt_json_scan(const char **p, const char *end, struct rt_json_span *value);

/* ---- one level of an object or an array --------------------------------------------
 *
 * For texts that are known to be JSON: the database wrote them, or they have been scanned.  They may be of any depth,
 * since SQL may be. */

struct rt_json_level
{
	const char *p; /* behind the last member or item, or behind the closing bracket and white space */
	const char *end;
	const char *close; /* right behind the closing bracket; NULL before it */
	bool begun;
	bool strict; /* json_scan.c's */
};

bool rt_json_scan_open(struct rt_json_level *l, const char *p, const char *end, enum rt_json_kind kind); /* { or [ */

/* The next member of an object.  RT_OK; RT_GONE: that was all, and l->p is behind the bracket and white space; or
 * what rt_json_scan() says.  key is a string with its quotes. */
enum rt_result rt_json_scan_member(struct rt_json_level *l, struct rt_json_span *key, struct rt_json_span *value);
enum rt_result rt_json_scan_item(struct rt_json_level *l, struct rt_json_span *value); /* the same, of an array */

/* ---- values by their keys ----------------------------------------------------------- */

bool rt_json_scan_is(const struct rt_json_span *string, const char *text); /* as it reads once decoded */

/* The members of one object, kept from the one time that it was read. */
#define RT_JSON_MEMBERS 16
struct rt_json_members
{
	int n;
	bool more; /* than there is room for: those are looked up in the text */
	const char *text;
	size_t len;
	struct
	{
		struct rt_json_span key;
		struct rt_json_span value;
	} list[RT_JSON_MEMBERS];
};

/* Scans an object as strictly as rt_json_scan() does. */
enum rt_result rt_json_scan_members(const char **p, const char *end, struct rt_json_members *m);
void rt_json_scan_move(struct rt_json_members *m, const char *text); /* to a copy of the object's text */

/* Of a key that is given twice, the last value, as jsonb has it.  NULL: it is not there. */
const struct rt_json_span *rt_json_scan_find(const struct rt_json_members *m, const char *key,
											 struct rt_json_span *buffer);

/* An object, split: the values of some keys, and the other members as they stand. */
struct rt_json_pick
{
	const char *key;
	bool cut;                  /* the member is not part of the rest; only the first one of this key is cut */
	struct rt_json_span value; /* text NULL: it is not there */
};

#define RT_JSON_RUNS 4 /* one more than what can be cut */
struct rt_json_rest
{
	struct rt_span runs[RT_JSON_RUNS]; /* each is members with commas between them, without white space around */
	int n;
};

/* At most RT_JSON_RUNS - 1 picks may be cut.  RT_BAD_INPUT: no object, or something behind it. */
enum rt_result rt_json_scan_split(const char *text, size_t len, struct rt_json_pick *picks, int npicks,
								  struct rt_json_rest *rest);

/* ---- scalars ------------------------------------------------------------------------- */

/* Decodes the string (with its quotes) that rt_json_scan() found into out, which has room for `len` bytes, and ends
 * it with a NUL.  U+0000 and lone surrogates become U+FFFD. */
void rt_json_scan_decode(const char *text, size_t len, char *out);

bool rt_json_scan_bool(const struct rt_json_span *value, bool *b); /* false: it is neither */
bool rt_json_scan_int(const struct rt_json_span *value, long *n);  /* an integer of up to 9 digits, not negative */

/* An id, as rt_json_id() has it: a positive number or the same as a string, in canonical digits. */
bool rt_json_scan_id(const struct rt_json_span *value, char id[RT_ID_LEN + 1]);

#endif
