/* dberror.c: see dberror.h.
 *
 * SQL raises in PostgreSQL's style ("meeting not found"); clients read sentences ("Meeting not found").
 * rt_dberror_show() is the one place where the first becomes the second; rt_private.sentence() does the same for
 * errors inside JSON. */
#include "dberror.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct mapping
{
	const char *prefix; /* of the SQLSTATE; the first that fits counts */
	const char *code;
};

static const struct mapping mappings[] = {
	{"RT400", "bad_request"}, {"RT401", "unauthorized"},   {"RT403", "forbidden"},   {"RT404", "not_found"},
	{"RT409", "conflict"},    {"RT410", "gone"},           {"RT413", "too_large"},   {"RT429", "rate_limited"},
	{"RT4FU", "full"},        {"RT4WP", "wrong_password"}, {"RT503", "unavailable"}, {"22", "bad_request"},
	{"54", "bad_request"},    {"23502", "bad_request"},    {"23514", "bad_request"}, {"23505", "conflict"},
	{"23503", "not_found"},   {"42501", "forbidden"},      {"40001", "unavailable"}, {"40P01", "unavailable"},
	{"55P03", "unavailable"}, {"08", "unavailable"},       {"53", "unavailable"},    {"57", "unavailable"},
	{"25006", "unavailable"}, {"0A000", "unavailable"},
};

struct text
{
	const char *code;
	const char *message;
};

static const struct text texts[] = {
	{"bad_request", "Invalid value"},
	{"conflict", "Already there"},
	{"not_found", "Not found"},
	{"forbidden", "Not allowed"},
	{"unavailable", "Temporarily unavailable"},
	{"internal", "Internal error"},
};

const char *
rt_dberror_code(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++)
	{
		if (strncmp(sqlstate, mappings[i].prefix, strlen(mappings[i].prefix)) == 0)
			return mappings[i].code;
	}
	return "internal";
}

bool
rt_dberror_is_lock_timeout(const char *sqlstate)
{
	return strcmp(sqlstate, "55P03") == 0;
}

/* It writes nothing, and does not read unlogged tables. */
bool
rt_dberror_is_standby(const char *sqlstate)
{
	return strcmp(sqlstate, "25006") == 0 || strcmp(sqlstate, "0A000") == 0;
}

bool
rt_dberror_retry(const char *sqlstate)
{
	return strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0 ||
		   strcmp(sqlstate, "26000") == 0; /* our own prepared statement is not there: it is prepared again */
}

bool
rt_dberror_is_ours(const char *sqlstate)
{
	return strncmp(sqlstate, "RT", 2) == 0;
}

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

/* The name of a field ("roomId must be an id") keeps its case: only a first word of lower-case letters alone is
 * changed. */
void
rt_dberror_show(char *out, size_t size, const char *message)
{
	size_t word = 0;

	snprintf(out, size, "%s", message);
	while (is_lower(message[word]))
		word++;
	if (size > 1 && word > 0 && (message[word] == ' ' || message[word] == '\0'))
		out[0] = (char) (message[0] - 'a' + 'A');
}

const char *
rt_dberror_message(const char *code, const char *sqlstate)
{
	if (rt_dberror_is_lock_timeout(sqlstate))
		return "Another transaction has locked it. Try again later.";
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		if (strcmp(code, texts[i].code) == 0)
			return texts[i].message;
	}
	return "Request failed";
}
